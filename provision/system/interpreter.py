"""What decides which wheels the interpreter can install: it is the one that this tool itself runs in."""

from __future__ import annotations

import os
import sys
import sysconfig

from provision.model.checkup import PythonView


def inspect_interpreter() -> PythonView:
    """This interpreter, which stacks share their implementation and C library with."""
    return PythonView(
        version=".".join(str(part) for part in sys.version_info[:3]),
        implementation=sys.implementation.name,
        bits=64 if sys.maxsize > 2**32 else 32,
        libc=_read_libc(),
        free_threaded=bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    )


def is_superuser() -> bool:
    """Whether commands need no sudo."""
    return sys.platform != "win32" and os.geteuid() == 0


def _read_libc() -> str | None:
    """`glibc 2.36`, `musl`, or None where neither is."""
    if sys.platform != "linux":
        return None
    try:
        told = os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):
        told = None
    return told or ("musl" if "musl" in str(sysconfig.get_config_var("HOST_GNU_TYPE")) else None)
