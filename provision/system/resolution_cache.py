"""Resolutions kept from one run to the next: the same question has the same answer for a day."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from provision.model.packages import Source, StackLock
from provision.system.files import write_atomic

_KEPT_S = 2 * 24 * 3600.0
# Raised when what is kept changes its meaning.
_VERSION = 1


class KeptResolution(Struct, frozen=True, kw_only=True):
    """A lock, or why there is none."""

    lock: StackLock | None = None
    refusal: str | None = None


class ResolutionCache(Struct, frozen=True, kw_only=True):
    """A folder of resolutions. One that cannot be read or written costs time and nothing else."""

    folder: Path

    def load(self, key: str) -> KeptResolution | None:
        """What was kept under `key`, None when nothing readable was."""
        try:
            return msgspec.json.decode((self.folder / f"{key}.json").read_bytes(), type=KeptResolution)
        except (OSError, msgspec.DecodeError):
            return None

    def save(self, key: str, kept: KeptResolution) -> None:
        """Keep `kept` where that is possible: a read-only home is no reason to fail. What is old goes."""
        try:
            write_atomic(self.folder / f"{key}.json", msgspec.json.encode(kept))
            self._prune()
        except OSError:
            return

    def _prune(self) -> None:
        """Yesterday's questions are not asked again: the day is part of them."""
        newest = max(path.stat().st_mtime for path in self.folder.glob("*.json"))
        for path in self.folder.glob("*.json"):
            if newest - path.stat().st_mtime > _KEPT_S:
                path.unlink(missing_ok=True)


def find_cache_dir(env: Mapping[str, str]) -> Path | None:
    """This tool's folder in the user's cache; None where the environment names no home."""
    if named := env.get("PROVISION_CACHE_DIR"):
        return Path(named)
    if os.name == "nt":
        local = env.get("LOCALAPPDATA")
        return Path(local, "provision", "cache") if local else None
    if xdg := env.get("XDG_CACHE_HOME"):
        return Path(xdg, "provision")
    return Path(env["HOME"], ".cache", "provision") if env.get("HOME") else None


def hash_question(question: Mapping[str, object], sources: Sequence[Source]) -> str:
    """SHA-256 of everything that decides a resolution; what a folder of wheels holds is part of it."""
    content = {
        "version": _VERSION,
        "question": dict(question),
        "sources": [[source.kind, source.location, _list_folder(source.location)] for source in sources],
    }
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def _list_folder(location: str | None) -> list[tuple[str, int, int]]:
    folder = Path((location or "").removeprefix("file://"))
    if not location or not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.stat().st_size, entry.stat().st_mtime_ns) for entry in entries]
    return sorted(found)
