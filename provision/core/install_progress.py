"""From uv's lines while it installs to one line a group of packages, with bytes and rate."""

from __future__ import annotations

import re

from msgspec import Struct

from provision.model.packages import StackLock

# What uv says without a terminal; it names large files only. https://docs.astral.sh/uv/
_BEGUN = re.compile(r"^Downloading ([A-Za-z0-9._-]+)")
_DONE = re.compile(r"^\s*Downloaded ([A-Za-z0-9._-]+)")
_PREPARED = re.compile(r"^Prepared \d+ packages?")
_LISTED = re.compile(r"^\s*[+~-] ")
_GROUPS = ("CUDA libraries", "torch", "transformers and others")


class Said(Struct, frozen=True, kw_only=True):
    """A line for the user; one that is `passing` is overwritten by the next, and only fit for a terminal."""

    text: str
    passing: bool = False


class InstallProgress:
    """Follows one `uv pip sync`. Seconds are of any clock that goes on evenly."""

    def __init__(self, lock: StackLock) -> None:
        self._sizes = {wheel.name: wheel.size_bytes or 0 for wheel in lock.wheels}
        self._begun: dict[str, float] = {}
        self._done: dict[str, float] = {}

    def read(self, line: str, now_s: float) -> list[Said]:
        """What the user should see of one line of uv's. The packages that it lists at the end are left out."""
        if found := _BEGUN.match(line):
            self._begun[found[1]] = now_s
            return []
        if found := _DONE.match(line):
            self._done[found[1]] = now_s
            return [Said(text=self._describe(_find_group(found[1])), passing=True)]
        if _PREPARED.match(line):
            return [Said(text=self._describe(group)) for group in _GROUPS if self._list(group)] + [
                Said(text=line.strip())
            ]
        return [] if _LISTED.match(line) else [Said(text=line.strip())]

    def _describe(self, group: str) -> str:
        names = self._list(group)
        done = [name for name in names if name in self._done]
        size = sum(self._sizes.get(name, 0) for name in done)
        elapsed_s = max((self._done[name] for name in done), default=0.0) - min(
            (self._begun[name] for name in names), default=0.0
        )
        rate = f", {size / elapsed_s / 1e6:.0f} MB/s" if elapsed_s > 0.05 else ""
        return f"{group}: {len(done)} of {len(names)} files, {size / 1e6:.1f} MB{rate}"

    def _list(self, group: str) -> list[str]:
        return [name for name in self._begun if _find_group(name) == group]


def _find_group(name: str) -> str:
    if name in {"torch", "torchvision", "triton", "torchaudio"}:
        return _GROUPS[1]
    return _GROUPS[0] if name.startswith(("nvidia-", "cuda-")) else _GROUPS[2]
