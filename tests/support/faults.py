"""Failing file operations one after another: as a kill, after which nothing runs, or as an error."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

OPERATIONS = ("replace", "rename", "fsync", "unlink", "mkdir", "rmdir")


class Killed(BaseException):
    """Stands for SIGKILL: whatever the code does about it comes to nothing."""


class Faults:
    """Counts the operations that change the file system; the one at `at` is the first that does not work.

    `kind` is `kill` (dead before it), `killed-after` (dead after it), `error` (that one alone fails), `full`
    (from there on nothing can be written, though files can be removed).
    """

    def __init__(self, kind: str, at: int) -> None:
        self.kind, self.at, self.count = kind, at, 0
        self.failed = False

    def wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def operate(*arguments: Any, **options: Any) -> Any:
            number, self.count = self.count, self.count + 1
            if number < self.at:
                return real(*arguments, **options)
            if self.kind == "kill" or (self.kind == "killed-after" and number > self.at):
                self.failed = True
                raise Killed
            if self.kind == "killed-after":
                real(*arguments, **options)
                self.failed = True
                raise Killed
            if self.kind == "error" and number == self.at:
                self.failed = True
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(arguments[0]))
            if self.kind == "full" and name in ("replace", "rename", "fsync", "mkdir"):
                self.failed = True
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(arguments[0]))
            return real(*arguments, **options)

        return operate


@contextlib.contextmanager
def inject(monkeypatch: pytest.MonkeyPatch, kind: str, at: int) -> Iterator[Faults]:
    """Within, the operation number `at` fails."""
    faults = Faults(kind, at)
    with monkeypatch.context() as patched:
        for name in OPERATIONS:
            # Nothing here outlives a power cut: that a file is synced counts, the disk's time does not.
            real = _do_nothing if name == "fsync" else getattr(os, name)
            patched.setattr(os, name, faults.wrap(name, real))
        yield faults


def _do_nothing(*_arguments: Any) -> None:
    return None
