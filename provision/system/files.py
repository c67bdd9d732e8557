"""Files written whole or not at all, and the hashes that tell them apart."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path


class StagedFile:
    """Data written whole beside its target, durable, that one rename puts in place.

    A symbolic link is followed: the file that it names is replaced, the link stays. The mode of a file that
    is replaced is kept. Raises OSError before anything has changed.
    """

    def __init__(self, path: Path, data: bytes) -> None:
        self.target = path.resolve()
        if self.target.exists() and not self.target.is_file() and not self.target.is_dir():
            # A device or a pipe would become a plain file; as root that takes /dev/null from the whole system.
            # A folder refuses to be replaced by itself.
            raise FileExistsError(errno.EEXIST, "not a regular file", str(self.target))
        self.target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(
            dir=self.target.parent, prefix=f".{self.target.name}.", suffix=".tmp"
        )
        self._temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            if self.target.exists():
                shutil.copymode(self.target, self._temporary)
            else:
                self._temporary.chmod(0o666 & ~_read_umask())
        except BaseException:
            self.discard()
            raise

    def commit(self) -> None:
        """Replace the target. Raises OSError and leaves nothing behind when that is not possible."""
        try:
            self._temporary.replace(self.target)
        except BaseException:
            self.discard()
            raise
        _sync_folder(self.target.parent)

    def discard(self) -> None:
        """Forget the data."""
        self._temporary.unlink(missing_ok=True)


def write_atomic(path: Path, data: bytes) -> None:
    """Replace `path` by `data` in one step that survives a power cut; see StagedFile."""
    StagedFile(path, data).commit()


def remove_staged(path: Path) -> None:
    """Remove what StagedFile left beside `path` in processes that were killed. No other may be writing it."""
    target = path.resolve()
    for left in target.parent.glob(f".{glob.escape(target.name)}.????????.tmp"):
        left.unlink(missing_ok=True)


def list_sizes(folder: Path) -> dict[str, int]:
    """Bytes of every file below `folder`, links followed, by its path relative to it. Empty without one."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def hash_file(path: Path) -> str:
    """SHA-256 of the file's content, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_bytes(data: bytes | None) -> str | None:
    """SHA-256 in hex, None for no data."""
    return None if data is None else hashlib.sha256(data).hexdigest()


def hash_folder(folder: Path, *, leave_out: Collection[str] = ()) -> str:
    """SHA-256 over the names and contents of all files below `folder`, independent of order and times.

    Files whose name is in `leave_out` do not count.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in leave_out):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{hash_file(path)}\n".encode())
    return digest.hexdigest()


def _read_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Make the new name durable. Windows cannot open a folder, and needs not to."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
