"""Folders that will be filled, the file systems that they are on, and shared memory."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from provision.model.checkup import Space

_MEMORY_LIMITS = ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes")


def find_spaces(folders: Mapping[str, Path]) -> tuple[Space, ...]:
    """The file system of each folder, by what it is for; one that cannot be looked at is left out.

    A folder that does not exist yet is on the file system of its nearest parent that does.
    """
    found = (_find_space(purpose, folder) for purpose, folder in folders.items())
    return tuple(space for space in found if space is not None)


def _find_space(purpose: str, folder: Path) -> Space | None:
    for place in (folder, *folder.parents):
        try:
            device = place.stat().st_dev
            writable = os.access(place, os.W_OK | os.X_OK)
            free_bytes = shutil.disk_usage(place).free
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return None
        return Space(
            purpose=purpose,
            path=str(place),
            device=device,
            free_bytes=free_bytes,
            writable=writable,
            missing=None if place == folder else str(folder),
        )
    return None


_FULL_BYTES = 1 << 20


def find_full(*folders: Path) -> Path | None:
    """The first of `folders` whose file system has less than 1 MiB left."""
    spaces = find_spaces({str(folder): folder for folder in folders})
    return next((Path(space.path) for space in spaces if space.free_bytes < _FULL_BYTES), None)


def find_uv_cache(env: Mapping[str, str], *, platform: str = sys.platform) -> Path:
    """Where uv keeps its cache. https://docs.astral.sh/uv/concepts/cache/#cache-directory"""
    if env.get("UV_CACHE_DIR"):
        return Path(env["UV_CACHE_DIR"]).absolute()
    if platform == "win32":
        return Path(env.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "uv" / "cache"
    home = Path(env.get("HOME") or Path.home())
    return Path(env.get("XDG_CACHE_HOME") or home / ".cache") / "uv"


def find_temporary_dir(env: Mapping[str, str]) -> Path:
    """Where programs of `env` put their temporary files."""
    named = next((env[name] for name in ("TMPDIR", "TEMP", "TMP") if env.get(name)), None)
    return Path(named or tempfile.gettempdir()).absolute()


def read_shared_memory_bytes(system_root: Path = Path("/")) -> int | None:
    """The size of /dev/shm; None where there is none."""
    if sys.platform == "win32":
        return None
    try:
        status = os.statvfs(system_root / "dev/shm")
    except OSError:
        return None
    return status.f_frsize * status.f_blocks


def read_memory_limit_bytes(system_root: Path = Path("/")) -> int | None:
    """What the control group lets this process use, in bytes; None where nothing limits it."""
    for name in _MEMORY_LIMITS:
        try:
            text = (system_root / name).read_text(encoding="ascii", errors="replace").strip()
        except OSError:
            continue
        return int(text) if text.isdecimal() else None
    return None
