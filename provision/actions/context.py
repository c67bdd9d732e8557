"""What every use case is given: where it works, and the effects that it may not fetch for itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Protocol

from msgspec import Struct


class Reporter(Protocol):
    """Where progress goes while a use case runs; the result is returned, not reported."""

    def step(self, title: str) -> None:
        """A step begins."""

    def detail(self, text: str) -> None:
        """Something that happened within the step, such as a line of uv's."""

    def progress(self, text: str) -> None:
        """How far it is: overwritten by what comes next, and not shown where no terminal is."""

    def warn(self, text: str) -> None:
        """Something that the user should know although the work goes on."""


class Context(Struct, frozen=True, kw_only=True):
    """`root` is the application's folder; `python` the base interpreter that stacks are made of.

    `data_dir` holds profiles/ and smoke/; `profiles_dir` a folder of the user's with more profiles.
    """

    root: Path
    env: Mapping[str, str]
    now: Callable[[], datetime]
    random: Random
    reporter: Reporter
    python: Path
    data_dir: Path
    profiles_dir: Path | None = None

    def timestamp(self) -> str:
        """The time now as ISO 8601 to the second, with its offset."""
        return self.now().isoformat(timespec="seconds")
