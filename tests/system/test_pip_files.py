"""pip's configuration files are read where pip reads them, in its order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from provision.core.pip_settings import parse_package_settings
from provision.errors import BadFileError
from provision.system.pip_files import list_pip_files, load_pip_files


def test_linux_places(tmp_path: Path) -> None:
    env = {
        "HOME": "/home/u",
        "XDG_CONFIG_DIRS": "/etc/xdg:/opt/xdg",
        "VIRTUAL_ENV": "/venv",
        "PIP_CONFIG_FILE": "/my.ini",
    }
    assert [str(path) for path in list_pip_files(env, platform="linux")] == [
        "/opt/xdg/pip/pip.conf",
        "/etc/xdg/pip/pip.conf",
        "/etc/pip.conf",
        "/home/u/.pip/pip.conf",
        "/home/u/.config/pip/pip.conf",
        "/venv/pip.conf",
        "/my.ini",
    ]


def test_pip_config_file_may_turn_all_files_off() -> None:
    assert list_pip_files({"HOME": "/home/u", "PIP_CONFIG_FILE": os.devnull}, platform="linux") == []


def test_macos_and_windows_places() -> None:
    macos = list_pip_files({"HOME": "/Users/u"}, platform="darwin")
    assert [str(path) for path in macos] == [
        "/Library/Application Support/pip/pip.conf",
        "/Users/u/.pip/pip.conf",
        "/Users/u/.config/pip/pip.conf",
    ]
    env = {
        "USERPROFILE": "/c/Users/u",
        "APPDATA": "/c/Users/u/AppData/Roaming",
        "PROGRAMDATA": "/c/ProgramData",
    }
    assert [path.as_posix() for path in list_pip_files(env, platform="win32")] == [
        "/c/ProgramData/pip/pip.ini",
        "/c/Users/u/pip/pip.ini",
        "/c/Users/u/AppData/Roaming/pip/pip.ini",
    ]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "pip.conf"
    path.write_bytes(b"[global]\nindex-url = \xff\n")
    with pytest.raises(BadFileError, match="pip's configuration cannot be read"):
        load_pip_files({"HOME": str(tmp_path), "PIP_CONFIG_FILE": str(path)})


@pytest.mark.parametrize("named", [True, False])
def test_we_find_what_pip_itself_finds(tmp_path: Path, named: bool) -> None:
    """pip is asked, in an environment of its own: PIP_CONFIG_FILE stands in the user's files' place."""
    user = tmp_path / ".config" / "pip" / "pip.conf"
    user.parent.mkdir(parents=True)
    user.write_text("[global]\nfind-links = /user\nindex-url = https://user.example/simple\n")
    chosen = tmp_path / "chosen.conf"
    chosen.write_text(
        "[global]\nindex-url = https://chosen.example/s\n[install]\nextra-index-url = https://x.example/s\n"
    )
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "XDG_CONFIG_DIRS": str(tmp_path)}
    if named:
        env["PIP_CONFIG_FILE"] = str(chosen)
    python = Path(sys.base_prefix) / "bin" / "python3"
    asked = subprocess.run(
        [str(python), "-m", "pip", "config", "list"], env=env, capture_output=True, text=True, check=False
    )
    if asked.returncode != 0:
        pytest.skip("this Python has no pip to compare with")
    kinds = {"index-url": "index", "extra-index-url": "extra-index", "find-links": "find-links"}
    said = {}
    for line in asked.stdout.splitlines():
        key, value = line.split("=", 1)
        said[key.split(".")[-1]] = value.strip("'")
    settings = parse_package_settings(load_pip_files(env), env)
    assert {item.kind: item.location for item in settings.sources} == {
        kinds[key]: value for key, value in said.items() if key in kinds
    }
