"""uv's own settings files, which bend what it resolves."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path


def hash_uv_settings(env: Mapping[str, str]) -> str:
    """SHA-256 over the settings that uv reads for the user and the system.

    https://docs.astral.sh/uv/concepts/configuration-files/
    """
    digest = hashlib.sha256()
    for path in _list_paths(env):
        try:
            digest.update(path.read_bytes())
        except OSError:
            # Absent for nearly everybody.
            continue
        digest.update(b"\0")
    return digest.hexdigest()


def _list_paths(env: Mapping[str, str]) -> list[Path]:
    if named := env.get("UV_CONFIG_FILE"):
        return [Path(named)]
    if os.name == "nt":
        folders = [env.get("APPDATA"), env.get("PROGRAMDATA")]
        return [Path(folder, "uv", "uv.toml") for folder in folders if folder]
    home = env.get("XDG_CONFIG_HOME") or (f"{env['HOME']}/.config" if env.get("HOME") else None)
    system = [
        Path(folder, "uv", "uv.toml") for folder in (env.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
    ]
    return [*([Path(home, "uv", "uv.toml")] if home else []), *system, Path("/etc/uv/uv.toml")]
