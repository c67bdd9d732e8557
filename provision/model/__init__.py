"""Typed data: what is known of a machine, a profile, a model, a plan and a reading. No I/O."""
