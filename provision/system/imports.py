"""Asks a stack's interpreter to import what was installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from provision.errors import ToolError
from provision.system.run import run

# A first import of torch from a cold disk reads gigabytes.
_TIMEOUT_S = 300.0


class ImportedPackage(Struct, frozen=True, kw_only=True):
    """One distribution: its version and the seconds that importing it took, or the error."""

    name: str
    version: str | None = None
    import_s: float | None = None
    error: str | None = None


class ImportReport(Struct, frozen=True, kw_only=True):
    """What an interpreter could import; `cuda` is the version that torch was built for, None without one."""

    packages: tuple[ImportedPackage, ...]
    cuda: str | None = None
    hip: str | None = None
    architectures: tuple[str, ...] = ()


def run_imports(
    interpreter: Path, names: Sequence[str], *, script: Path, env: Mapping[str, str], cwd: Path
) -> ImportReport:
    """Import the distributions `names` in `interpreter`. Raises ToolError when it cannot even say.

    `cwd` should hold no modules: an interpreter looks there first.
    """
    done = run([str(interpreter), "-I", str(script), *names], timeout_s=_TIMEOUT_S, env=env, cwd=cwd)
    try:
        if done.exit_code == 0:
            return msgspec.json.decode(done.stdout, type=ImportReport)
    except msgspec.DecodeError:
        pass
    how = f"within {_TIMEOUT_S:.0f} s" if done.timed_out else f"and ended with exit code {done.exit_code}"
    raise ToolError(f"{interpreter} could not import {', '.join(names)} {how}", output=done.stderr)
