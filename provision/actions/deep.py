"""Has an environment's own torch compute, and judges what it answers."""

from __future__ import annotations

import tempfile
from pathlib import Path

from provision.actions.context import Context
from provision.core.child_env import build_worker_env
from provision.core.deep_checks import DEEP_CHECKS, judge_deep
from provision.model.checkup import ComputedEnvironment, InspectedEnvironment
from provision.model.deep import DeepAnswer
from provision.system.deep import run_deep
from provision.system.resources import find_worker


def compute(ctx: Context, environment: InspectedEnvironment) -> ComputedEnvironment:
    """The deep checks of one environment: seconds, on a cold disk minutes."""
    interpreter = environment.report.interpreter
    if interpreter is None or not interpreter.exists:
        answer = DeepAnswer(problem=environment.report.problem or "its python is missing")
    else:
        with tempfile.TemporaryDirectory(prefix="provision-deep-") as work:
            answer = run_deep(
                Path(interpreter.path),
                tuple(DEEP_CHECKS),
                worker_path=find_worker(ctx.data_dir).with_name("deep.py"),
                env=build_worker_env(ctx.env),
                work_dir=Path(work),
            )
    return ComputedEnvironment(subject=environment.subject, findings=judge_deep(answer))
