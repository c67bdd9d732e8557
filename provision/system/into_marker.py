"""The mark in an environment that somebody changes it: one application at a time, whatever folder that one works in."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from provision.errors import StateError, UsageError
from provision.system.environment_scope import MARKER

_TRIES, _PAUSE_S = 10, 0.05


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """Lies in an environment while it is changed: the state folder that knows how to put it back."""

    state_dir: str


def lay_mark(prefix: Path, state_dir: Path) -> None:
    """Mark the environment as changed by the application of `state_dir`; its own mark may lie there already.

    One of two that try at once succeeds. Raises StateError for the other one, UsageError where nothing may be
    written.
    """
    path = prefix / MARKER
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        check_mark(prefix, state_dir)
        return
    except OSError as error:
        raise UsageError(
            f"{prefix} may not be written to: {error.strerror or error}", hint=f"ls -ld {prefix}"
        ) from error
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(msgspec.json.encode(Marker(state_dir=os.path.realpath(state_dir))))
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def check_mark(prefix: Path, state_dir: Path) -> None:
    """Raise StateError when another application's mark lies in the environment, or one that nobody can read."""
    path = prefix / MARKER
    owner = _load_owner(path)
    if owner is None or _is_own(owner, state_dir):
        return
    if not owner:
        raise StateError(
            f"{path} says that {prefix} is being changed, and cannot be read",
            hint=f"rm {path}   # when no apply --into of it runs",
        )
    root = Path(owner).parent
    raise StateError(
        f"a change of {prefix} by the application in {root} is under way or was cut short",
        hint=f"provision apply auto --into {prefix} --undo --root {root}   # puts it back",
    )


def has_mark(prefix: Path, state_dir: Path) -> bool:
    """Whether the mark of this very application lies in the environment."""
    owner = _load_owner(prefix / MARKER)
    return owner is not None and _is_own(owner, state_dir)


def remove_mark(prefix: Path, state_dir: Path) -> None:
    """Take our own mark away; another application's stays. Raises OSError.

    One that cannot be read is what a kill left while it was written: only who laid one has a journal.
    """
    owner = _load_owner(prefix / MARKER)
    if owner is not None and (not owner or _is_own(owner, state_dir)):
        (prefix / MARKER).unlink(missing_ok=True)


def _is_own(owner: str, state_dir: Path) -> bool:
    return bool(owner) and os.path.realpath(owner) == os.path.realpath(state_dir)


def _load_owner(path: Path) -> str | None:
    """The state folder that a mark names, empty when it cannot be read; None without a mark.

    One that is being written this moment is waited for.
    """
    for _ in range(_TRIES):
        owner = _read_owner(path)
        if owner != "":
            return owner
        time.sleep(_PAUSE_S)
    return ""


def _read_owner(path: Path) -> str | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Marker).state_dir
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.DecodeError):
        return ""
