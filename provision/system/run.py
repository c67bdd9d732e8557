"""The only place where this tool starts programs: argument lists, a time limit, bounded output."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from msgspec import Struct

from provision.errors import ToolError
from provision.system.pipe_reader import PipeReader

MAX_OUTPUT_BYTES = 16 * 1024 * 1024
# From SIGTERM to SIGKILL. `detect` has to answer in seconds whatever hangs; callers with more time give more.
GRACE_S = 0.25
# A program that sits in the kernel outlives SIGKILL: it is left behind, not waited for.
_KILL_WAIT_S = 0.25
# How long a pipe is listened to that a program's own children hold open after it has ended.
_DRAIN_S = 0.2
_POLL_S = 0.05
_KILLED = -9


class Completed(Struct, frozen=True, kw_only=True):
    """How a program ended and what it said, undecodable bytes replaced.

    `exit_code` is -N after signal N, whose name is `signal`; after a timeout that is our own signal.
    `truncated` says that only the last `max_output_bytes` of a stream were kept.
    """

    argv: tuple[str, ...]
    exit_code: int
    signal: str | None = None
    stdout: str
    stderr: str
    elapsed_s: float
    timed_out: bool = False
    truncated: bool = False


class CannotStartError(ToolError):
    """The program is missing, may not be executed, is none, or its working folder is missing."""


def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin_text: str | None = None,
    on_line: Callable[[str], None] | None = None,
    max_output_bytes: int = MAX_OUTPUT_BYTES,
    grace_s: float = GRACE_S,
) -> Completed:
    """Run a program in a process group of its own and wait for it, at most `timeout_s`.

    `env` is its whole environment. `on_line` is called, in the caller's thread, with each line of stderr as
    it comes. When time is up, and on any exception such as Ctrl-C, the whole group gets SIGTERM and after
    `grace_s` SIGKILL. Raises CannotStartError; an exit code other than 0 is a value, not an error.
    """
    start = time.monotonic()
    process = _start(argv, env=env, cwd=cwd, stdin_text=stdin_text)
    wake = threading.Event()
    stdout = PipeReader(cast(IO[bytes], process.stdout), max_output_bytes, wake)
    stderr = PipeReader(
        cast(IO[bytes], process.stderr), max_output_bytes, wake, keeps_lines=on_line is not None
    )
    try:
        ended = _wait(process, (stdout, stderr), wake, start + timeout_s, on_line)
    except BaseException:
        _end_group(process, grace_s)
        raise
    if not ended:
        _end_group(process, grace_s)
    for reader in (stdout, stderr):
        reader.join(_DRAIN_S)
    exit_code = _KILLED if process.returncode is None else process.returncode
    return Completed(
        argv=tuple(argv),
        exit_code=exit_code,
        signal=_name_signal(exit_code),
        stdout=stdout.text(),
        stderr=stderr.text(),
        elapsed_s=time.monotonic() - start,
        timed_out=not ended,
        truncated=stdout.truncated or stderr.truncated,
    )


def _start(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path | None, stdin_text: str | None
) -> subprocess.Popen[bytes]:
    try:
        with _open_stdin(stdin_text) as stdin:
            return subprocess.Popen(  # noqa: S603 - an argument list; what is run is the callers' choice
                list(argv),
                env=dict(env),
                cwd=cwd,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
    except OSError as error:
        where = f" in {cwd}, which is no folder" if cwd is not None and not cwd.is_dir() else ""
        raise CannotStartError(
            f"{argv[0]} cannot be started{where}: {error.strerror or error}", hint=f"ls -l {argv[0]}"
        ) from error


@contextmanager
def _open_stdin(text: str | None) -> Iterator[IO[bytes] | int]:
    """Nothing, or `text` as an unnamed file, which unlike a pipe cannot block us when nobody reads it."""
    if text is None:
        yield subprocess.DEVNULL
        return
    import tempfile

    with tempfile.TemporaryFile() as stream:
        stream.write(text.encode())
        stream.seek(0)
        yield stream


def _wait(
    process: subprocess.Popen[bytes],
    readers: tuple[PipeReader, PipeReader],
    wake: threading.Event,
    deadline: float,
    on_line: Callable[[str], None] | None,
) -> bool:
    """True when the program has ended and both pipes are drained, False when its time is up.

    The end of both pipes comes with the program's end and wakes us at once; polling is for what a program
    leaves behind: its own children, which may hold a pipe for hours.
    """
    ended_at: float | None = None
    while not all(reader.finished for reader in readers):
        now = time.monotonic()
        if ended_at is None and process.poll() is not None:
            ended_at = now
        if ended_at is not None and now - ended_at >= _DRAIN_S:
            break
        if ended_at is None and now >= deadline:
            return False
        wake.wait(_POLL_S)
        wake.clear()
        _pass_lines(readers[1], on_line)
    _pass_lines(readers[1], on_line)
    return _ends_within(process, max(0.0, deadline - time.monotonic()))


def _pass_lines(reader: PipeReader, on_line: Callable[[str], None] | None) -> None:
    if on_line is not None:
        for line in reader.take_lines():
            on_line(line)


def _end_group(process: subprocess.Popen[bytes], grace_s: float) -> None:
    """Ask the whole group to end, then make it."""
    _signal_group(process, forced=False)
    _ends_within(process, grace_s)
    _signal_group(process, forced=True)
    _ends_within(process, _KILL_WAIT_S)


def _ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


if sys.platform == "win32":  # written from the documentation, never run

    def _signal_group(process: subprocess.Popen[bytes], *, forced: bool) -> None:
        """CTRL_BREAK reaches a process group of ours; `taskkill /T` ends the tree that the group lacks."""
        if not forced:
            process.send_signal(signal.CTRL_BREAK_EVENT)
            return
        argv = ["taskkill", "/T", "/F", "/PID", str(process.pid)]
        subprocess.run(argv, capture_output=True, check=False)  # noqa: S603 - our own argument list

else:

    def _signal_group(process: subprocess.Popen[bytes], *, forced: bool) -> None:
        """The group is named by its leader's id and may outlive it."""
        try:
            os.killpg(process.pid, signal.SIGKILL if forced else signal.SIGTERM)
        except (ProcessLookupError, PermissionError):
            # Nobody is left; on macOS a group of zombies answers with EPERM.
            return


def _name_signal(exit_code: int) -> str | None:
    if exit_code >= 0 or sys.platform == "win32":
        return None
    try:
        return signal.Signals(-exit_code).name
    except ValueError:
        return f"signal {-exit_code}"
