"""Decisions as pure functions: parse, choose, build, check, judge. No I/O, no clock, no environment."""
