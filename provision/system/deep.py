"""Has an environment's own interpreter compute, for `doctor --deep`: a request in, a response out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from provision.errors import ToolError
from provision.model.deep import DeepAnswer, DeepOutcome, DeepRequest, DeepResponse, DeepResult
from provision.system.run import Completed, run

# The worker's own limit for importing torch, and what a process needs beside its checks.
_IMPORT_S = 180.0
_START_S = 20.0
_GRACE_S = 2.0


def run_deep(
    interpreter: Path,
    checks: Sequence[str],
    *,
    device: Literal["auto", "cuda", "cpu"] = "auto",
    worker_path: Path,
    env: Mapping[str, str],
    work_dir: Path,
    check_timeout_s: float = 60.0,
) -> DeepAnswer:
    """Let `interpreter` run the deep `checks`, each in at most `check_timeout_s`. Never raises for what it finds.

    A check that crashes, hangs or loses the device ends its process; the rest runs in another one. `env` is
    the worker's whole environment; take it from `core.child_env`.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    results: list[DeepResult] = []
    remaining = tuple(checks)
    chosen = None
    while remaining:
        request = DeepRequest(device=device, check_timeout_s=check_timeout_s, checks=remaining)
        try:
            response, completed = _ask(
                interpreter, request, worker_path=worker_path, env=env, work_dir=work_dir
            )
        except ToolError as error:
            return DeepAnswer(results=tuple(results), device=chosen, problem=error.message)
        chosen = response.device or chosen
        results += response.results
        if response.running is not None:
            results.append(_describe_loss(response.running, completed, check_timeout_s))
        known = {result.id for result in results}
        progress = len(remaining)
        remaining = tuple(name for name in remaining if name not in known)
        failed_import = response.running == "deep.import" or chosen is None
        if response.done or failed_import or len(remaining) == progress:
            break
    skipped = (
        DeepResult(id=name, outcome=DeepOutcome.SKIPPED, detail="torch cannot be imported")
        for name in remaining
    )
    return DeepAnswer(results=(*results, *skipped), device=chosen)


def _ask(
    interpreter: Path, request: DeepRequest, *, worker_path: Path, env: Mapping[str, str], work_dir: Path
) -> tuple[DeepResponse, Completed]:
    """Raises ToolError when the interpreter cannot be started or its answer is missing or makes no sense."""
    request_path, response_path = work_dir / "deep-request.json", work_dir / "deep-response.json"
    request_path.write_bytes(msgspec.json.encode(request))
    response_path.unlink(missing_ok=True)
    # -I: neither the user's PYTHONPATH and packages nor the working folder come into the environment.
    argv = [str(interpreter), "-I", "-X", "utf8", str(worker_path), str(request_path), str(response_path)]
    limit_s = _IMPORT_S + _START_S + request.check_timeout_s * len(request.checks)
    completed = run(argv, timeout_s=limit_s, env=env, cwd=work_dir, grace_s=_GRACE_S)
    try:
        return msgspec.json.decode(response_path.read_bytes(), type=DeepResponse), completed
    except OSError as error:
        said = _take_last_line(completed)
        raise ToolError(f"{interpreter} {_describe_end(completed)} and left no answer{said}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ToolError(f"the answer of {interpreter} cannot be understood: {error}") from error


def _describe_loss(name: str, completed: Completed, limit_s: float) -> DeepResult:
    """What became of the check that was running when its process ended."""
    if completed.timed_out or "Timeout (" in completed.stderr:
        limit = _IMPORT_S if name == "deep.import" else limit_s
        detail = f"it was not done within {limit:.0f} s"
        return DeepResult(id=name, outcome=DeepOutcome.TIMEOUT, detail=detail, elapsed_s=limit)
    detail = f"the process {_describe_end(completed)}{_take_last_line(completed)}"
    return DeepResult(id=name, outcome=DeepOutcome.CRASHED, detail=detail, elapsed_s=completed.elapsed_s)


def _describe_end(completed: Completed) -> str:
    if completed.timed_out:
        return f"was ended after {completed.elapsed_s:.0f} s"
    if completed.signal is not None:
        return f"died of {completed.signal}"
    return f"ended with exit code {completed.exit_code}"


def _take_last_line(completed: Completed) -> str:
    lines = [line.strip() for line in completed.stderr.splitlines() if line.strip()]
    return f": {lines[-1][:300]}" if lines else ""
