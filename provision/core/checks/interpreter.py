"""Python and uv, which stacks are made with."""

from __future__ import annotations

import re

from provision.core.checks.check import Check, Checkup, Needs
from provision.core.checks.results import Result, failed, passed

# Where the profile does not tell: wheels of torch 2.11 to 2.13.
_PYTHON = ("3.10", "3.14")
# torch's wheels are manylinux_2_28 since 2.6: https://github.com/pytorch/pytorch/issues/123649
_GLIBC = (2, 28)
_INSTALL = "uv tool install --python 3.12 --force --editable ."


def check_version(checkup: Checkup) -> Result:
    """The version for which torch has wheels."""
    version = checkup.python.version
    oldest, newest = (checkup.build.python if checkup.build else None) or _PYTHON
    if _minor(oldest) <= _minor(version) <= _minor(newest):
        return passed(f"Python {version}")
    return failed(f"Python {version}; wheels of torch exist for {oldest} to {newest}", _INSTALL)


def check_wheels(checkup: Checkup) -> Result:
    """What else decides whether a wheel can be installed: the implementation, word size and C library."""
    python = checkup.python
    kind = f"{python.implementation}, {python.bits} bit" + (f", {python.libc}" if python.libc else "")
    if python.implementation != "cpython":
        return failed(f"{kind}: wheels of torch are for CPython only", _INSTALL)
    if python.bits != 64:
        return failed(f"{kind}: wheels of torch are for 64 bit only", _INSTALL)
    if python.libc == "musl":
        return failed(
            f"{kind}: no wheel of torch is for musl; take a distribution with glibc, such as Debian"
        )
    glibc = re.match(r"glibc (\d+)\.(\d+)", python.libc or "")
    if glibc is not None and (int(glibc[1]), int(glibc[2])) < _GLIBC:
        needed = ".".join(str(part) for part in _GLIBC)
        return failed(f"{kind}: wheels of torch need glibc {needed}, that is a newer release of the system")
    if python.free_threaded:
        return failed(f"{kind}, free-threaded: few packages have wheels for it", _INSTALL)
    return passed(kind)


def check_uv(checkup: Checkup) -> Result:
    """uv resolves and installs."""
    version, problem = checkup.uv
    return passed(version) if version else failed(problem or "uv does not answer", "./install.sh")


def _minor(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())


CHECKS = (
    Check(
        id="python.version",
        question="Does torch have wheels for the Python that stacks are made of?",
        run=check_version,
        needs=Needs.HERE,
    ),
    Check(
        id="python.wheels",
        question="Can wheels of torch be installed here: CPython, 64 bit, glibc?",
        run=check_wheels,
        needs=Needs.HERE,
    ),
    Check(id="tool.uv", question="Can uv be run?", run=check_uv, needs=Needs.HERE),
)
