"""One writer at a time works in a state folder, and says who it is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from provision.errors import StateError
from provision.model.state import Holder
from provision.system.files import write_atomic


@contextlib.contextmanager
def hold(state_dir: Path, holder: Holder) -> Iterator[None]:
    """Hold the lock of `state_dir`; one whose process died is free. Raises StateError naming the holder."""
    from filelock import FileLock, Timeout

    holder_path = state_dir / "holder.json"
    lock = FileLock(state_dir / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise StateError(
            _describe_holder(state_dir, holder_path), hint="wait for it, then run the command again"
        ) from error
    try:
        write_atomic(holder_path, msgspec.json.encode(holder))
        yield
    finally:
        # What was done is done, whether the name can go or not; the next holder writes another one.
        with contextlib.suppress(OSError):
            holder_path.unlink(missing_ok=True)
        lock.release()


def build_holder(command: str, since: str) -> Holder:
    """This process as the holder of a lock."""
    return Holder(pid=os.getpid(), command=command, since=since)


def _describe_holder(state_dir: Path, path: Path) -> str:
    try:
        holder = msgspec.json.decode(path.read_bytes(), type=Holder)
    except (OSError, msgspec.DecodeError):
        return f"{state_dir} is in use by another provision"
    return f"{state_dir} is in use by `{holder.command}` (pid {holder.pid}, since {holder.since})"
