"""Puts back what a snapshot saved, exactly: bytes, modes, times, links, and nothing besides."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from provision.model.into import SavedEntry, SavedKind, Snapshot
from provision.system.environment_snapshot import (
    BLOBS,
    TEMPORARY,
    THREADS,
    link_file,
    list_fleeting,
    walk_all,
)
from provision.system.files import hash_file


def restore_snapshot(prefix: Path, folder: Path, snapshot: Snapshot) -> list[str]:
    """Make everything in the snapshot's scope what it was, whatever state it is in. May be cut short and repeated.

    Gives one sentence for each path that is not what it was, after trying; empty when all is exact. What is
    outside of the scope is left alone, but for bytecode and installers' temporary files that are new.
    """
    problems: list[str] = []
    saved = {entry.path for entry in snapshot.entries}
    folders = {entry.path: entry for entry in snapshot.entries if entry.kind is SavedKind.FOLDER}
    others = [entry for entry in snapshot.entries if entry.kind is not SavedKind.FOLDER]
    new = [path for path in walk_all(prefix, snapshot.info_dirs) if path not in saved]
    fleeting = saved | set(snapshot.fleeting)
    new += [path for path in list_fleeting(prefix, snapshot.swept_dirs) if path not in fleeting]
    doomed = [*snapshot.absent, *new]
    for path in doomed:
        _try(problems, prefix / path, _remove)
    _remove_empty(prefix, doomed, folders)
    for path in sorted(folders):
        _try(problems, prefix / path, lambda place: place.mkdir(parents=True, exist_ok=True))
    with ThreadPoolExecutor(THREADS) as pool:
        restored = pool.map(lambda entry: _restore(prefix, folder / BLOBS, entry), others)
        problems += [problem for problem in restored if problem]
    for path in sorted(folders, reverse=True):
        entry = folders[path]
        _try(problems, prefix / path, lambda place, entry=entry: _restore_status(place, entry))  # type: ignore[misc]
    return problems


def _try(problems: list[str], place: Path, act: Callable[[Path], None]) -> None:
    try:
        act(place)
    except OSError as error:
        problems.append(f"{place}: {error.strerror or error}")


def _remove(place: Path) -> None:
    """Remove a file or a link; of folders only an installer's temporary one."""
    if place.is_dir() and not place.is_symlink():
        if place.name.startswith(TEMPORARY):
            shutil.rmtree(place)
        return
    place.unlink(missing_ok=True)


def _remove_empty(prefix: Path, paths: Iterable[str], kept: dict[str, SavedEntry]) -> None:
    """Remove folders that the change made: those above `paths` that were not there and are empty now."""
    folders: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in kept and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    for folder in sorted(folders, key=lambda name: -name.count("/")):
        place = prefix / folder
        try:
            if place.is_dir() and not place.is_symlink():
                place.rmdir()
        except OSError:
            continue  # somebody else's files are in it: they stay, and so does the folder


def _restore(prefix: Path, blobs: Path, entry: SavedEntry) -> str | None:
    """Put one file or link back; what is wrong with it afterwards, None when it is as it was."""
    place = prefix / entry.path
    try:
        if entry.kind is SavedKind.LINK:
            if not place.is_symlink() or os.readlink(place) != entry.target:  # noqa: PTH115
                _replace(place, lambda path: path.symlink_to(entry.target))
        else:
            if not _holds(place, entry):
                _replace(place, lambda path: _bring_back(blobs / entry.blob, path, entry))
            if not _holds(place, entry):
                if not place.name.endswith(".pyc"):
                    return f"{place}: what was saved of it has other content than it had"
                # Somebody compiled it in place. Python does it again, where a wrong one would be believed.
                place.unlink()
                return None
        _restore_status(place, entry)
    except OSError as error:
        return f"{place}: {error.strerror or error}"
    return None


def _holds(place: Path, entry: SavedEntry) -> bool:
    """Whether the file is there with the very bytes."""
    try:
        state = os.lstat(place)
    except OSError:
        return False
    regular = stat.S_ISREG(state.st_mode) and state.st_size == entry.size_bytes
    return regular and hash_file(place) == entry.sha256


def _bring_back(blob: Path, place: Path, entry: SavedEntry) -> None:
    """A file that was kept by a second name gets its first one back; of a copy a copy is made."""
    if not entry.linked or not link_file(blob, place):
        shutil.copyfile(blob, place)


def _replace(place: Path, make: Callable[[Path], None]) -> None:
    """Make the new file beside its place and rename it there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_name(f"{TEMPORARY}-provision-{place.name[-100:]}")
    temporary.unlink(missing_ok=True)
    make(temporary)
    temporary.replace(place)


def _restore_status(place: Path, entry: SavedEntry) -> None:
    """Owner, mode and time as they were."""
    state = os.lstat(place)
    if os.name == "posix" and (state.st_uid, state.st_gid) != entry.owner:
        os.chown(place, *entry.owner, follow_symlinks=False)
    if entry.kind is not SavedKind.LINK and stat.S_IMODE(state.st_mode) != entry.mode:
        place.chmod(entry.mode)
    if state.st_mtime_ns != entry.mtime_ns:
        follow = os.utime not in os.supports_follow_symlinks
        os.utime(place, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=follow)
