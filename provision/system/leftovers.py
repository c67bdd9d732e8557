"""What interrupted runs left in the state folder, and whether somebody works in it now."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

import msgspec

from provision.errors import StateError
from provision.model.checkup import LockState
from provision.model.state import Holder
from provision.system.into_store import find_unneeded
from provision.system.record_folder import GENERATION, SWITCH, list_numbered
from provision.system.stack_folder import load_manifest

_UNFINISHED = (
    "generations/*/.*.tmp",
    "generations/*/locks/.*.tmp",
    "switches/*/.*.tmp",
    "weights/.*.partial",
    "stacks/.*.aside",
    "stacks/.building-*",
)


def find_leftovers(state_dir: Path, *, needed: Collection[str] = ()) -> tuple[str, ...]:
    """Paths relative to `state_dir` that nothing refers to and no run finishes.

    Half-written files, stacks set aside, copies of weights that were not finished, stacks that were not built to
    their end, snapshots of users' environments that no change names, and numbered folders without the record that
    is written last. `needed` are stacks that a generation
    refers to: those are built again, not removed.
    """
    found = [path for folder in (state_dir, state_dir.parent) for path in folder.glob(".*.tmp")]
    found = [path for path in found if path.parent == state_dir or path.name.startswith(".config.yaml.")]
    for pattern in _UNFINISHED:
        found += state_dir.glob(pattern)
    for stack in state_dir.glob("stacks/[!.]*"):
        if stack.relative_to(state_dir).as_posix() not in needed and load_manifest(stack) is None:
            found.append(stack)
    found += _find_folders_without_record(state_dir)
    found += find_unneeded(state_dir)
    return tuple(sorted(_name(path, state_dir) for path in found))


def _find_folders_without_record(state_dir: Path) -> list[Path]:
    """None while a change of the active generation is under way, whose folder is not finished by its nature."""
    if (state_dir / "pending.json").exists():
        return []
    found = []
    for kind, record in (("generations", GENERATION), ("switches", SWITCH)):
        for number in list_numbered(state_dir / kind):
            folder = state_dir / kind / str(number)
            if not (folder / record).exists() and not _is_active(state_dir, number, kind):
                found.append(folder)
    return found


def _is_active(state_dir: Path, number: int, kind: str) -> bool:
    """What is left of the generation that the pointer names may be all that there is of it."""
    try:
        return kind == "generations" and (state_dir / "active").read_bytes().strip() == str(number).encode()
    except OSError:
        return False


def remove_leftovers(state_dir: Path, names: Collection[str]) -> None:
    """Remove what `find_leftovers` named. The caller holds the lock. Raises StateError."""
    for name in names:
        path = state_dir / name
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise StateError(
                f"{path} cannot be removed: {error.strerror or error}", hint=f"ls -ld {path}"
            ) from error


def inspect_lock(state_dir: Path) -> tuple[LockState, str]:
    """Whether somebody holds the state folder, and who, in one sentence.

    A holder whose lock can be taken has ended: a process's lock ends with it, its name stays.
    """
    try:
        holder = msgspec.json.decode((state_dir / "holder.json").read_bytes(), type=Holder)
        said = f"`{holder.command}` (pid {holder.pid}, since {holder.since})"
    except FileNotFoundError:
        return LockState.FREE, ""
    except (OSError, msgspec.DecodeError):
        said = "another provision"
    if _is_free(state_dir / "lock"):
        return LockState.STALE, f"the state folder was in use by {said}"
    return LockState.HELD, f"the state folder is in use by {said}"


def _is_free(path: Path) -> bool:
    from filelock import FileLock, Timeout

    if not path.exists():
        return True
    try:
        with FileLock(path, timeout=0):
            return True
    except Timeout:
        return False
    except OSError:
        return False


def _name(path: Path, state_dir: Path) -> str:
    return (
        Path("..") / path.name if path.parent == state_dir.parent else path.relative_to(state_dir)
    ).as_posix()
