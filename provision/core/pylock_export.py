"""A stack's lock as PEP 751's `pylock.toml`, which wants to know where each wheel is."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import SplitResult, urlsplit

from provision.core.toml_text import render_toml
from provision.errors import DownloadError, ToolError
from provision.model.packages import StackLock, Wheel


def build_pylock(resolution: str, lock: StackLock, *, python: str, base: PurePath) -> str:
    """The `pylock.toml` of `lock`, with the places of its wheels out of uv's own `resolution` of the same pins.

    Only files whose hash is in the lock are kept. Logins in addresses are left out. `base` is the folder that
    paths in `resolution` are relative to. Raises DownloadError when the sources no longer have a locked file,
    ToolError when the result is none that packaging takes.
    """
    from packaging.pylock import Pylock, PylockValidationError

    try:
        found = {str(package["name"]): package for package in tomllib.loads(resolution)["packages"]}
        document: dict[str, Any] = {
            "lock-version": "1.0",
            "requires-python": f"=={python}.*",
            "created-by": "provision",
            "packages": [_build_package(wheel, found.get(wheel.name), base) for wheel in lock.wheels],
        }
        Pylock.from_dict(document).validate()
    except (tomllib.TOMLDecodeError, PylockValidationError, KeyError, TypeError) as error:
        raise ToolError(
            f"uv's resolution cannot be exported: {error}", hint="uv --version", output=resolution
        ) from error
    return render_toml(document)


def _build_package(locked: Wheel, found: Mapping[str, Any] | None, base: PurePath) -> dict[str, Any]:
    hashes = set(locked.hashes)
    wheels = [] if found is None or found.get("version") != locked.version else found.get("wheels", [])
    kept = [_build_wheel(wheel, base) for wheel in wheels if f"sha256:{wheel['hashes']['sha256']}" in hashes]
    if not kept:
        raise DownloadError(
            f"no source has the file of {locked.name} {locked.version} that the lock names",
            hint="provision doctor --network   # shows which sources answer",
        )
    index = None if found is None or "index" not in found else hide_login(found["index"])
    package = {"name": locked.name, "version": locked.version, "index": index, "wheels": kept}
    return {key: value for key, value in package.items() if value is not None}


def _build_wheel(wheel: Mapping[str, Any], base: PurePath) -> dict[str, Any]:
    kept = {
        key: wheel[key] for key in ("name", "upload-time", "url", "path", "size", "hashes") if key in wheel
    }
    if "url" in kept:
        kept["url"] = hide_login(kept["url"])
    elif "path" in kept:
        # Relative to uv's working folder, which nobody will find again.
        kept["path"] = _join(base, str(kept["path"]))
    return kept


def hide_login(url: str) -> str:
    """`url` without user name, password and fragment."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return SplitResult(parts.scheme, place, parts.path, parts.query, "").geturl()


def _join(base: PurePath, path: str) -> str:
    parts: list[str] = []
    for part in (base / path).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return PurePath(*parts).as_posix()


def list_pins(wheels: Collection[Wheel]) -> tuple[str, ...]:
    """The exact versions in pip's syntax. Arbitrary equality, since `2.13.0` would take `2.13.0+cpu` too."""
    return tuple(f"{wheel.name}==={wheel.version}" for wheel in wheels)
