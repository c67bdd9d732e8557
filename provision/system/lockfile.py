"""`provision.lock` and its folder on disk, and the files of models with their hashes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from provision.errors import StateError
from provision.model.lockfile import LockedFile
from provision.system.files import hash_file, write_atomic
from provision.system.hub_request import read_hub_request
from provision.system.resources import load_text
from provision.system.stack_folder import LOCK_NAME

LOCKFILE_NAME = "provision.lock"
_STACKS_DIR_NAME = f"{LOCKFILE_NAME}.d"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def load_lock_texts(root: Path) -> tuple[str, dict[str, str]] | None:
    """The text of `provision.lock` and those of its stacks by name; None when there is no such file.

    Raises BadFileError for what cannot be read.
    """
    path = root / LOCKFILE_NAME
    if not path.exists():
        return None
    folder = root / _STACKS_DIR_NAME
    return load_text(path), {file.stem: load_text(file) for file in sorted(folder.glob("*.txt"))}


def save_lock_texts(root: Path, text: str, stack_texts: Mapping[str, str]) -> None:
    """Write the stacks, then `provision.lock`, which binds them, then remove stacks that it does not name.

    Cut short in between, the old `provision.lock` does not fit its stacks, and reading it says so. Raises
    StateError.
    """
    folder = root / _STACKS_DIR_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, stack_text in stack_texts.items():
            write_atomic(folder / f"{name}.txt", stack_text.encode())
        write_atomic(root / LOCKFILE_NAME, text.encode())
        for path in folder.glob("*.txt"):
            if path.stem not in stack_texts:
                path.unlink()
    except OSError as error:
        raise StateError(
            f"{error.filename or root}: {error.strerror or error}", hint="df -h . && ls -ld ."
        ) from error


def load_stack_lock(folder: Path) -> str | None:
    """The lock in a stack's own folder, where generations before the first that keep locks have theirs."""
    try:
        return (folder / LOCK_NAME).read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def inspect_folder(folder: Path, *, leave_out: Collection[str] = ()) -> tuple[LockedFile, ...]:
    """Every file below `folder` with its size and hash, but those whose name is in `leave_out`.

    The Hub's cache keeps large files under the SHA-256 of their content, as links: that name is taken, since
    hashing gigabytes takes a minute; `provision doctor --deep` compares it with the content.
    """
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in leave_out):
        blob = path.resolve()
        named = path.is_symlink() and _SHA256.fullmatch(blob.name)
        found.append(
            LockedFile(
                path=path.relative_to(folder).as_posix(),
                size_bytes=blob.stat().st_size,
                sha256=blob.name if named else hash_file(blob),
            )
        )
    return tuple(found)


def inspect_cached_model(repo_id: str, revision: str, *, env: Mapping[str, str]) -> tuple[LockedFile, ...]:
    """The files of a snapshot in the Hub's cache; none when it is not there. Asks nothing of the network."""
    wanted = read_hub_request(repo_id, revision, env)
    folder = wanted.cached_dir / "snapshots" / revision
    try:
        return inspect_folder(folder) if folder.is_dir() else ()
    except OSError as error:
        raise StateError(
            f"{error.filename or folder}: {error.strerror or error}", hint=f"ls -l {folder}"
        ) from error
