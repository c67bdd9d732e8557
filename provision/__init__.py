"""Turns a machine into a verified environment for OCR vision-language models, and proves it."""

__version__ = "0.1.0"
