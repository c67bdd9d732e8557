"""A reporter that remembers."""

from __future__ import annotations


class Recorder:
    """Keeps every line, with its kind in front."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def step(self, title: str) -> None:
        """A step begins."""
        self.lines.append(f"step: {title}")

    def detail(self, text: str) -> None:
        """Something within the step."""
        self.lines.append(f"detail: {text}")

    def progress(self, text: str) -> None:
        """Not kept: it is overwritten by what comes next."""

    def warn(self, text: str) -> None:
        """A warning."""
        self.lines.append(f"warn: {text}")
