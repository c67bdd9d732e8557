"""Runs in the interpreter of a stack: the worker that lets a model read a page, and what it needs."""
