"""Has a stack's interpreter run the smoke worker: a request file in, a response file out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from provision.errors import ToolError
from provision.model.smoke import WorkerRequest, WorkerResponse
from provision.system.run import Completed, run

# The worker ends its jobs when it is asked to end.
_GRACE_S = 5.0
_LAST_WORDS = 4000


def run_worker(
    interpreter: Path,
    request: WorkerRequest,
    *,
    worker_path: Path,
    env: Mapping[str, str],
    work_dir: Path,
    timeout_s: float,
) -> WorkerResponse:
    """Let `interpreter` answer `request`, in at most `timeout_s` for all jobs and the import.

    `env` is the worker's whole environment; take it from `core.child_env`, since a model's own code may run
    there. A job that fails, crashes or takes too long is a result. Raises ToolError, with what the worker
    said last, when it cannot be started, does not end or leaves no answer that can be understood.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    request_path, response_path = work_dir / "request.json", work_dir / "response.json"
    request_path.write_bytes(msgspec.json.encode(request))
    response_path.unlink(missing_ok=True)
    # -I: neither the user's PYTHONPATH and packages nor the working folder come into the stack.
    argv = [str(interpreter), "-I", "-X", "utf8", str(worker_path), str(request_path), str(response_path)]
    completed = run(argv, timeout_s=timeout_s, env=env, cwd=work_dir, grace_s=_GRACE_S)
    if not response_path.is_file():
        raise ToolError(
            f"the smoke worker of {interpreter} {_describe_end(completed, timeout_s)} and left no answer",
            hint="provision doctor",
            output=(completed.stdout + completed.stderr)[-_LAST_WORDS:],
        )
    return parse_response(response_path.read_bytes())


def parse_response(data: bytes) -> WorkerResponse:
    """Raises ToolError with the key path of what is wrong."""
    try:
        return msgspec.json.decode(data, type=WorkerResponse)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ToolError(
            f"the smoke worker's answer cannot be understood: {error}",
            hint="reinstall provision: ./install.sh",
            output=data[:_LAST_WORDS].decode(errors="replace"),
        ) from error


def _describe_end(completed: Completed, timeout_s: float) -> str:
    if completed.timed_out:
        return f"was ended after {timeout_s:.0f} s"
    if completed.signal is not None:
        return f"died of {completed.signal}"
    return f"ended with exit code {completed.exit_code}"
