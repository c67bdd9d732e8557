"""From uv's resolution to a lock: exact wheels with hashes, in pip's requirements format and without URLs."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from provision.core.lock_text import render_lock_text
from provision.errors import ToolError
from provision.model.packages import StackLock, Wheel

if TYPE_CHECKING:
    from packaging.pylock import PackageWheel, Pylock
    from packaging.tags import Tag


class ResolvedWheel(Struct, frozen=True, kw_only=True):
    """One package as uv resolved it: the file that this platform fetches, and the hashes of all wheels."""

    name: str
    version: str
    url: str | None
    size_bytes: int | None
    hashes: tuple[str, ...]


def parse_resolution(text: str, tags: Iterable[Tag]) -> tuple[ResolvedWheel, ...]:
    """Read the `pylock.toml` that uv printed, choosing for each package the wheel of best rank in `tags`.

    Raises ToolError when a package has no wheel: nothing is ever built from source.
    """
    from packaging.pylock import Pylock, PylockValidationError

    try:
        pylock: Pylock = Pylock.from_dict(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, PylockValidationError) as error:
        raise ToolError(
            f"uv's resolution cannot be read: {error}", hint="uv --version", output=text
        ) from error
    rank = {tag: position for position, tag in enumerate(tags)}
    resolved = []
    for package in pylock.packages:
        if not package.wheels or package.version is None:
            raise ToolError(
                f"{package.name} {package.version} has no wheel, and nothing is built from source",
                hint=f"uv pip download --only-binary :all: {package.name}",
            )
        best = min(package.wheels, key=lambda wheel: _rank(wheel, rank))
        resolved.append(
            ResolvedWheel(
                name=str(package.name),
                version=str(package.version),
                url=best.url or best.path,
                size_bytes=best.size,
                hashes=tuple(sorted(f"sha256:{wheel.hashes['sha256']}" for wheel in package.wheels)),
            )
        )
    return tuple(sorted(resolved, key=lambda wheel: wheel.name))


# https://docs.astral.sh/uv/concepts/resolution/#dependency-cooldowns
_UNDATED = re.compile(r"^warning: `([^`]+)` is missing an upload date", re.MULTILINE)


def find_undated(output: str) -> frozenset[str]:
    """The packages with files that uv left out because their index does not say when they were uploaded."""
    return frozenset(name for file in _UNDATED.findall(output) if (name := _read_name(file)))


def _read_name(file: str) -> str | None:
    from packaging.utils import (
        InvalidSdistFilename,
        InvalidWheelFilename,
        parse_sdist_filename,
        parse_wheel_filename,
    )

    try:
        return str((parse_wheel_filename if file.endswith(".whl") else parse_sdist_filename)(file)[0])
    except (InvalidSdistFilename, InvalidWheelFilename):
        return None


def parse_pins(text: str) -> dict[str, str]:
    """Versions by name in requirements as uv prints them: one `name==version` a line."""
    pins = (line.partition("==") for line in text.splitlines() if "==" in line and not line.startswith("#"))
    return {name.strip(): version.split()[0] for name, _, version in pins}


def build_lock(resolved: Iterable[ResolvedWheel], sizes: Mapping[str, int]) -> StackLock:
    """The lock of a stack. `sizes` adds, by package name, bytes that the index did not tell."""
    wheels = tuple(
        Wheel(
            name=wheel.name,
            version=wheel.version,
            hashes=wheel.hashes,
            size_bytes=wheel.size_bytes if wheel.size_bytes is not None else sizes.get(wheel.name),
        )
        for wheel in resolved
    )
    text = render_lock_text(wheels, sizes=False)
    return StackLock(text=text, sha256=hashlib.sha256(text.encode()).hexdigest(), wheels=wheels)


def _rank(wheel: PackageWheel, rank: Mapping[Tag, int]) -> int:
    from packaging.utils import parse_wheel_filename

    *_, tags = parse_wheel_filename(wheel.filename)
    return min((rank[tag] for tag in tags if tag in rank), default=len(rank))
