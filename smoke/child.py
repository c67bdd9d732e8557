"""One process per job: forked where that works, fresh where not; watched, and ended when its time is up."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from smoke.contract import Job, load_json
from smoke.job import NOT_STARTED, JobRecord, run_job

# A forked child is on its device after less than a second; one that is not by now hangs on a lock that some
# thread of the parent held, and a fresh interpreter would not.
FORK_LIMIT_S = 60.0
# Between a child's own note of where it stands and its end.
_DUMP_S = 0.5
_POLL_S = 0.25
_LOG_LIMIT_BYTES = 4 * 1024 * 1024
_LOG_TAIL_BYTES = 8192
_PR_SET_PDEATHSIG = 1


def run_in_child(job: Job, *, threads: int | None, stem: Path) -> dict[str, Any]:
    """The job's result, whatever becomes of the process that runs it.

    A forked child that does not get as far as its device is followed by a fresh interpreter, and its fault is
    kept as `fork_fault`. Files whose names begin with `stem` are left behind.
    """
    start = time.monotonic()
    kept: dict[str, Any] = {}
    if hasattr(os, "fork"):
        result = _run_once(job, threads, "fork", stem.with_name(f"{stem.name}-fork"))
        if result["stage"] not in NOT_STARTED:
            return result | {"elapsed_s": time.monotonic() - start}
        kept = {"fork_fault": result["fault"]}
    result = _run_once(job, threads, "spawn", stem.with_name(f"{stem.name}-spawn"))
    return result | kept | {"elapsed_s": time.monotonic() - start}


def _run_once(job: Job, threads: int | None, method: str, stem: Path) -> dict[str, Any]:
    record_path, log_path = stem.with_suffix(".json"), stem.with_suffix(".log")
    process = multiprocessing.get_context(method).Process(  # type: ignore[attr-defined]
        target=_run_as_child, args=(job, threads, record_path, log_path)
    )
    process.start()
    try:
        complaint = _watch(process, job, method, record_path, log_path)
    finally:
        _kill_group(process)
        process.join()
    record = JobRecord(job).fields | load_json(record_path) | {"start_method": method}
    if "outcome" in record:
        # What was written stands: a process may still die on its way out, with its work done.
        return record
    return record | _describe_death(process.exitcode, complaint, record["stage"], log_path)


def _watch(process: BaseProcess, job: Job, method: str, record_path: Path, log_path: Path) -> str | None:
    """Wait for the child's end and keep its log within bounds. What took too long, None when it has ended."""
    start = time.monotonic()
    while process.is_alive():
        elapsed_s = time.monotonic() - start
        if elapsed_s > job.time_limit_s + _DUMP_S:
            return f"not done within {job.time_limit_s:g} s"
        if method == "fork" and elapsed_s > FORK_LIMIT_S and not _has_started(record_path):
            return f"not on its device after {FORK_LIMIT_S:g} s"
        if log_path.exists() and log_path.stat().st_size > _LOG_LIMIT_BYTES:
            # The child appends, so it goes on at the new end.
            os.truncate(log_path, 0)
        process.join(min(_POLL_S, max(0.0, job.time_limit_s + _DUMP_S - elapsed_s)))
    return None


def _has_started(record_path: Path) -> bool:
    return load_json(record_path).get("stage", NOT_STARTED[0]) not in NOT_STARTED


def _run_as_child(job: Job, threads: int | None, record_path: Path, log_path: Path) -> None:
    """The child's own main function."""
    _leave_parent()
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    # Where it stood goes to the log when it crashes, and shortly before it is ended for taking too long.
    faulthandler.enable(log)
    faulthandler.dump_traceback_later(job.time_limit_s, file=log)
    run_job(job, threads=threads, record=JobRecord(job, record_path))
    leave(0)


def leave(exit_code: int) -> None:
    """End this process at once, its answer being on disk: taking torch apart took 1.5 s here, for nothing."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def _leave_parent() -> None:
    """Own process group, default signals, and no life after the parent's."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(os, "setsid"):
        os.setsid()
    end_with_parent(signal.SIGKILL)


def end_with_parent(number: signal.Signals) -> None:
    """Have the kernel send this process `number` when its parent dies, however that is; on Linux only."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def _kill_group(process: BaseProcess) -> None:
    """End the child and whatever it started. It leads a group only after its first steps."""
    if process.is_alive():
        process.kill()
    if process.pid is not None and hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return


def _describe_death(
    exit_code: int | None, complaint: str | None, stage: str, log_path: Path
) -> dict[str, Any]:
    """The fields that say how a child ended which did not say so itself."""
    fault = {"log": _load_tail(log_path)}
    if complaint is not None:
        message = f"{complaint}, at: {stage}"
        return {"outcome": "timeout", "fault": fault | {"type": "timeout", "message": message}}
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        message = f"the process died of {name}, at: {stage}"
        return {"outcome": "crashed", "signal": name, "fault": fault | {"type": name, "message": message}}
    message = f"the process ended with exit code {exit_code}, at: {stage}"
    return {
        "outcome": "crashed",
        "exit_code": exit_code,
        "fault": fault | {"type": "exit", "message": message},
    }


def _load_tail(path: Path) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - _LOG_TAIL_BYTES))
        return stream.read().decode(errors="replace")
