"""Reads pip's configuration files from where pip looks for them.

https://pip.pypa.io/en/stable/topics/configuration/ lists the places.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from provision.errors import BadFileError


def load_pip_files(environ: Mapping[str, str], *, platform: str = sys.platform) -> list[tuple[str, str]]:
    """(path, text) of every configuration file of pip's that exists, lowest precedence first.

    Raises BadFileError when one exists and cannot be read.
    """
    found: list[tuple[str, str]] = []
    for path in list_pip_files(environ, platform=platform):
        try:
            found.append((str(path), path.read_text(encoding="utf-8")))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise BadFileError(
                f"{path}: pip's configuration cannot be read: {error}", hint=f"ls -l {path}"
            ) from error
    return found


def list_pip_files(environ: Mapping[str, str], *, platform: str = sys.platform) -> list[Path]:
    """Where pip looks on `platform`, lowest precedence first: global, user, environment, PIP_CONFIG_FILE."""
    chosen = environ.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return []
    home = Path(environ.get("USERPROFILE" if platform == "win32" else "HOME") or Path.home())
    name = "pip.ini" if platform == "win32" else "pip.conf"
    places = {"win32": _windows_places, "darwin": _macos_places}.get(platform, _linux_places)(environ, home)
    if environ.get("VIRTUAL_ENV"):
        places.append(Path(environ["VIRTUAL_ENV"]) / name)
    if chosen:
        places.append(Path(chosen))
    return places


def _linux_places(environ: Mapping[str, str], home: Path) -> list[Path]:
    shared = [Path(part) for part in environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":") if part]
    user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    return [
        *(folder / "pip" / "pip.conf" for folder in reversed(shared)),
        Path("/etc/pip.conf"),
        home / ".pip" / "pip.conf",
        user / "pip" / "pip.conf",
    ]


def _macos_places(_environ: Mapping[str, str], home: Path) -> list[Path]:
    user = home / "Library" / "Application Support" / "pip"
    return [
        Path("/Library/Application Support/pip/pip.conf"),
        home / ".pip" / "pip.conf",
        (user if user.is_dir() else home / ".config" / "pip") / "pip.conf",
    ]


def _windows_places(environ: Mapping[str, str], home: Path) -> list[Path]:
    return [
        Path(environ.get("PROGRAMDATA", r"C:\ProgramData")) / "pip" / "pip.ini",
        home / "pip" / "pip.ini",
        Path(environ.get("APPDATA") or home / "AppData" / "Roaming") / "pip" / "pip.ini",
    ]
