"""The interpreter that this runs in, described."""

from __future__ import annotations

import sys

from provision.system.interpreter import inspect_interpreter


def test_this_interpreter() -> None:
    view = inspect_interpreter()
    assert view.version == ".".join(str(part) for part in sys.version_info[:3])
    assert (view.implementation, view.bits) == ("cpython", 64)
    if sys.platform == "linux":
        assert str(view.libc).startswith(("glibc 2.", "musl"))
