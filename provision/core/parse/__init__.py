"""Parsers of what a machine says about itself, one module for each source."""
