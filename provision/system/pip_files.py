"""Reads pip's configuration files from where pip looks for them.

https://pip.pypa.io/en/stable/topics/configuration/ lists the places.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from provision.errors import BadFileError
from provision.model.packages import Source


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
    """Where pip looks on `platform`, lowest precedence first: global, user, environment, PIP_CONFIG_FILE.

    As with pip, an existing PIP_CONFIG_FILE stands in the user's files' place, and os.devnull turns all off.
    """
    chosen = environ.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return []
    # Without a home there are no files of the user's: a folder that is not there stands for it.
    home = Path(environ.get("USERPROFILE" if platform == "win32" else "HOME") or os.devnull)
    list_places = {"win32": _list_windows_places, "darwin": _list_macos_places}.get(
        platform, _list_linux_places
    )
    shared, own = list_places(environ, home)
    places = shared if chosen and Path(chosen).exists() else [*shared, *own]
    if environ.get("VIRTUAL_ENV"):
        places.append(Path(environ["VIRTUAL_ENV"]) / ("pip.ini" if platform == "win32" else "pip.conf"))
    return [*places, Path(chosen)] if chosen else places


def _list_linux_places(environ: Mapping[str, str], home: Path) -> tuple[list[Path], list[Path]]:
    shared = [Path(part) for part in environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":") if part]
    user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    return (
        [*(folder / "pip" / "pip.conf" for folder in reversed(shared)), Path("/etc/pip.conf")],
        [home / ".pip" / "pip.conf", user / "pip" / "pip.conf"],
    )


def _list_macos_places(_environ: Mapping[str, str], home: Path) -> tuple[list[Path], list[Path]]:
    user = home / "Library" / "Application Support" / "pip"
    return (
        [Path("/Library/Application Support/pip/pip.conf")],
        [home / ".pip" / "pip.conf", (user if user.is_dir() else home / ".config" / "pip") / "pip.conf"],
    )


def _list_windows_places(environ: Mapping[str, str], home: Path) -> tuple[list[Path], list[Path]]:
    roaming = Path(environ.get("APPDATA") or home / "AppData" / "Roaming")
    return (
        [Path(environ.get("PROGRAMDATA", r"C:\ProgramData")) / "pip" / "pip.ini"],
        [home / "pip" / "pip.ini", roaming / "pip" / "pip.ini"],
    )


def list_wheels(sources: Iterable[Source], distribution: str) -> tuple[str, ...]:
    """The file names of `distribution`'s wheels in the folders among `sources`, its name as wheels write it."""
    folders = (Path((source.location or "").removeprefix("file://")) for source in sources if source.location)
    found = (
        path.name for folder in folders if folder.is_dir() for path in folder.glob(f"{distribution}-*.whl")
    )
    return tuple(sorted(found))
