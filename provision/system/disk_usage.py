"""The files and folders below a path as the file system counts them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

_BLOCK_BYTES = 512  # of st_blocks, whatever the file system's own: POSIX, <sys/stat.h>


def walk_status(path: Path) -> Iterator[os.stat_result]:
    """The status of all that is at or below `path`, links not followed; what vanishes meanwhile is left out."""
    pending = [str(path)]
    while pending:
        place = pending.pop()
        try:
            # Not DirEntry.stat(): on Windows it knows no links and no inode.
            status = os.lstat(place)
            yield status
            if stat.S_ISDIR(status.st_mode):
                with os.scandir(place) as entries:
                    pending += [entry.path for entry in entries]
        except FileNotFoundError:
            continue


def count_links(status: os.stat_result) -> int:
    """How many names a file has; a folder has one, whatever the count of its own parts says."""
    return 1 if stat.S_ISDIR(status.st_mode) else status.st_nlink


def read_size_bytes(status: os.stat_result) -> int:
    """The bytes that it occupies; its length where the system does not tell, as on Windows."""
    blocks: int | None = getattr(status, "st_blocks", None)
    return status.st_size if blocks is None else blocks * _BLOCK_BYTES
