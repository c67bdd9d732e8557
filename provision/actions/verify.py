"""Whether a stack that was built can be imported, and is the build that the profile wants."""

from __future__ import annotations

import tempfile
from pathlib import Path

from packaging.requirements import Requirement

from provision.actions.context import Context
from provision.core.child_env import build_worker_env
from provision.errors import ToolError
from provision.model.profile import TorchBuild
from provision.system.imports import ImportReport, run_imports
from provision.system.resources import find_imports


def verify_imports(
    ctx: Context, interpreter: Path, requirements: tuple[str, ...], build: TorchBuild
) -> ImportReport:
    """Import torch and everything that was asked for beside it.

    Raises ToolError naming what cannot be imported, or when torch is built for another CUDA than `build`.
    """
    names = ["torch", *sorted({Requirement(text).name for text in requirements} - {"torch"})]
    with tempfile.TemporaryDirectory(prefix="provision-verify-") as empty:
        report = run_imports(
            interpreter,
            names,
            script=find_imports(ctx.data_dir),
            env=build_worker_env(ctx.env),
            cwd=Path(empty),
        )
    broken = [f"{item.name}: {item.error}" for item in report.packages if item.error]
    if broken:
        raise ToolError(f"{interpreter} cannot import {'; '.join(broken)}", hint="provision doctor")
    if build.cuda is not None and report.cuda != build.cuda:
        raise ToolError(
            f"{interpreter}: torch is built for CUDA {report.cuda or 'none'}, not for {build.cuda}",
            hint="provision doctor --only stack",
        )
    return report
