"""Saves the files that a change of an environment may touch."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from msgspec.structs import replace

from provision.model.into import SavedEntry, SavedKind, Scope, Snapshot
from provision.system.environment_scope import BYTECODE_DIR, MARKER, UV_LOCK
from provision.system.files import hash_file, write_atomic

_MANIFEST = "manifest.json"
BLOBS = "files"
TEMPORARY = ".tmp"
THREADS = min(8, os.cpu_count() or 1)
_CHUNK_BYTES = 1024 * 1024
# From here on a file is kept by a second name instead of a copy: shared libraries, of gigabytes together.
#
# A second name keeps the old bytes when a file is unlinked, and when another is renamed over it; it does not
# when somebody writes into the file. uv unlinks what it uninstalls, but for files that another package lists too
# (https://github.com/astral-sh/uv/blob/main/crates/uv-install-wheel/src/uninstall.rs), and where it has to copy
# from another file system it writes into what is still there (`copy_wheel_files` of linker.rs beside it); pip
# writes into files as well, and people edit small text files in place. So small files and all that may be
# written over are copied, and whatever is kept by a second name is checked by its hash when it is put back.
# Bytecode is replaced by renaming (importlib's `_write_atomic`).
_LINK_FROM_BYTES = 1024 * 1024


def take_snapshot(
    prefix: Path, folder: Path, scope: Scope, *, freeze: tuple[str, ...], created: str
) -> Snapshot:
    """Save all of `scope` that is there into `folder`, the manifest last. Raises OSError.

    What it costs in bytes is what is copied; the rest has a second name where both are on one file system.
    """
    blobs = folder / BLOBS
    blobs.mkdir(parents=True)
    paths = scope.unlinked | scope.written | set(walk_all(prefix, scope.info_dirs))
    saver = _Saver(prefix, blobs, written_over=scope.written_over)
    absent = [path for path in sorted(paths) if not _is_saveable(prefix / path)]
    present = sorted(paths - set(absent))
    with ThreadPoolExecutor(THREADS) as pool:
        entries = list(pool.map(saver.save, present, (str(number) for number in range(len(present)))))
    entries += [
        _describe(path, SavedKind.FOLDER, os.lstat(prefix / path)) for path in _list_parents(prefix, paths)
    ]
    files = [entry for entry in entries if entry.kind is SavedKind.FILE]
    snapshot = Snapshot(
        prefix=str(prefix),
        created=created,
        freeze=freeze,
        entries=tuple(entries),
        absent=tuple(absent),
        info_dirs=tuple(sorted(scope.info_dirs)),
        swept_dirs=scope.swept_dirs,
        fleeting=tuple(sorted(list_fleeting(prefix, scope.swept_dirs))),
        copied_bytes=sum(entry.size_bytes for entry in files if not entry.linked),
        linked_bytes=sum(entry.size_bytes for entry in files if entry.linked),
    )
    write_atomic(folder / _MANIFEST, msgspec.json.encode(snapshot))
    return snapshot


def estimate_copied_bytes(prefix: Path, folder: Path, scope: Scope) -> int:
    """At most what a snapshot will copy."""
    same = os.stat(prefix).st_dev == os.stat(folder).st_dev  # noqa: PTH116
    total = 0
    for path in scope.unlinked | scope.written:
        try:
            size = os.lstat(prefix / path).st_size
        except OSError:
            continue
        linked = same and size >= _LINK_FROM_BYTES and path not in scope.written_over
        total += 0 if linked else size
    return total


def load_snapshot(folder: Path) -> Snapshot | None:
    """The snapshot in `folder`; None when it was not finished or cannot be read."""
    try:
        return msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=Snapshot)
    except (OSError, msgspec.DecodeError):
        return None


def list_states(prefix: Path, snapshot: Snapshot) -> dict[str, tuple[int, int]]:
    """Size and mtime_ns of every file of the scope that is there now, but for bytecode and locks."""
    states = {}
    saved = (entry.path for entry in snapshot.entries if entry.kind is not SavedKind.FOLDER)
    for path in {*saved, *snapshot.absent, *walk_all(prefix, snapshot.info_dirs)}:
        if BYTECODE_DIR in path or path in (MARKER, UV_LOCK):
            continue
        try:
            state = os.lstat(prefix / path)
        except OSError:
            continue
        if not stat.S_ISDIR(state.st_mode):
            states[path] = (state.st_size, state.st_mtime_ns)
    return states


class _Saver:
    """Saves one path after another, from several threads."""

    def __init__(self, prefix: Path, blobs: Path, *, written_over: frozenset[str]) -> None:
        self._prefix = prefix
        self._blobs = blobs
        self._written_over = written_over

    def save(self, path: str, blob: str) -> SavedEntry:
        """Keep the file's bytes under the name `blob`; a link needs none."""
        place = self._prefix / path
        state = os.lstat(place)
        if stat.S_ISLNK(state.st_mode):
            link = _describe(path, SavedKind.LINK, state)
            return replace(link, target=os.readlink(place))  # noqa: PTH115 - as it is, not as a Path has it
        # A compiled module is replaced, never edited.
        lasting = state.st_size >= _LINK_FROM_BYTES or path.endswith(".pyc")
        linked = lasting and path not in self._written_over and link_file(place, self._blobs / blob)
        digest = hash_file(self._blobs / blob) if linked else _copy(place, self._blobs / blob)
        entry = _describe(path, SavedKind.FILE, state)
        return replace(entry, size_bytes=state.st_size, sha256=digest, blob=blob, linked=linked)


def _describe(path: str, kind: SavedKind, state: os.stat_result) -> SavedEntry:
    return SavedEntry(
        path=path,
        kind=kind,
        mode=stat.S_IMODE(state.st_mode),
        mtime_ns=state.st_mtime_ns,
        owner=(state.st_uid, state.st_gid),
    )


def link_file(source: Path, target: Path) -> bool:
    """A second name. Not across file systems, nor where the system forbids it for files of others."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        return False
    return True


def _copy(source: Path, target: Path) -> str:
    """Copy the bytes; gives the SHA-256 of what was read."""
    digest = hashlib.sha256()
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(_CHUNK_BYTES):
            digest.update(chunk)
            writer.write(chunk)
    return digest.hexdigest()


def _is_saveable(place: Path) -> bool:
    """Whether a file or a link is there. A folder in the way of a file is kept by its own files."""
    return place.is_symlink() or place.is_file()


def _list_parents(prefix: Path, paths: Iterable[str]) -> list[str]:
    """The folders above `paths` that are there, and not links, up to the prefix itself, which is ""."""
    found: set[str] = {""}
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return sorted(path for path in found if (prefix / path).is_dir() and not (prefix / path).is_symlink())


def walk_all(prefix: Path, folders: Iterable[str]) -> Iterator[str]:
    """Every file and link below the folders, relative to the prefix; an `.egg-info` that is a file too."""
    for folder in folders:
        if (prefix / folder).is_file():
            yield folder
        for where, names, files in os.walk(prefix / folder):
            base = os.path.relpath(where, prefix).replace(os.sep, "/")
            links = [name for name in names if os.path.islink(os.path.join(where, name))]  # noqa: PTH114, PTH118
            yield from (f"{base}/{name}" for name in (*files, *links))


def list_fleeting(prefix: Path, folders: Iterable[str]) -> Iterator[str]:
    """Bytecode, and what an installer that was killed leaves behind under a name such as `.tmpA1b2C3`."""
    for folder in folders:
        for where, names, files in os.walk(prefix / folder):
            base = os.path.relpath(where, prefix).replace(os.sep, "/")
            if base.endswith(BYTECODE_DIR):
                yield from (f"{base}/{name}" for name in files)
            yield from (f"{base}/{name}" for name in (*files, *names) if name.startswith(TEMPORARY))
