# ruff: noqa: E501 - a wheel is one line of TOML
"""PEP 751 out of uv's own resolution: the locked files only, and no logins."""

from __future__ import annotations

import tomllib
from pathlib import PurePosixPath

import pytest
from packaging.pylock import Pylock

from provision.core.lock_text import parse_lock_text
from provision.core.pylock_export import build_pylock, hide_login, list_pins
from provision.errors import DownloadError, ToolError

A, B, C = "a" * 64, "b" * 64, "c" * 64
LOCK = parse_lock_text(
    f"numpy==2.4.6 \\\n    --hash=sha256:{A}\ntorch==2.13.0+cpu \\\n    --hash=sha256:{B}\n", where="x"
)
RESOLUTION = f"""
lock-version = "1.0"
created-by = "uv"

[[packages]]
name = "numpy"
version = "2.4.6"
index = "https://user:secret@mirror.example/simple"
wheels = [
  {{ url = "https://user:secret@mirror.example/numpy-2.4.6-cp312-cp312-win_amd64.whl#x", upload-time = 2026-11-01T11:20:05Z, size = 9, hashes = {{ sha256 = "{A}" }} }},
  {{ url = "https://mirror.example/numpy-2.4.6-cp313-cp313-win_amd64.whl", hashes = {{ sha256 = "{C}" }} }},
]

[[packages]]
name = "torch"
version = "2.13.0+cpu"
wheels = [
  {{ path = "../wheels/torch-2.13.0+cpu-cp312-cp312-linux_x86_64.whl", hashes = {{ sha256 = "{B}" }} }},
]
"""
EXPECTED = f"""\
lock-version = "1.0"
requires-python = "==3.12.*"
created-by = "provision"

[[packages]]
name = "numpy"
version = "2.4.6"
index = "https://mirror.example/simple"
wheels = [
  {{ upload-time = 2026-11-01T11:20:05Z, url = "https://mirror.example/numpy-2.4.6-cp312-cp312-win_amd64.whl", size = 9, hashes = {{ sha256 = "{A}" }} }},
]

[[packages]]
name = "torch"
version = "2.13.0+cpu"
wheels = [
  {{ path = "/data/wheels/torch-2.13.0+cpu-cp312-cp312-linux_x86_64.whl", hashes = {{ sha256 = "{B}" }} }},
]
"""


def export(resolution: str) -> str:
    return build_pylock(resolution, LOCK, python="3.12", base=PurePosixPath("/data/work"))


def test_the_export_holds_the_locked_files_and_packaging_takes_it() -> None:
    text = export(RESOLUTION)
    assert text == EXPECTED
    Pylock.from_dict(tomllib.loads(text)).validate()
    assert list_pins(LOCK.wheels) == ("numpy===2.4.6", "torch===2.13.0+cpu")


@pytest.mark.parametrize(
    ("old", "new"), [(A, C), ('version = "2.4.6"', 'version = "2.4.7"'), ('name = "numpy"', 'name = "other"')]
)
def test_a_file_that_no_source_has_any_more_is_an_error(old: str, new: str) -> None:
    with pytest.raises(DownloadError) as caught:
        export(RESOLUTION.replace(old, new))
    assert caught.value.message == "no source has the file of numpy 2.4.6 that the lock names"


@pytest.mark.parametrize("text", ["[", "", 'packages = ["a"]', '[[packages]]\nversion = "1"\n'])
def test_what_is_no_resolution_is_ours_to_tell(text: str) -> None:
    with pytest.raises(ToolError, match="^uv's resolution cannot be exported: "):
        export(text)


def test_logins_and_fragments_go() -> None:
    assert hide_login("https://u:p@h.example:8443/a%20b?x=1#sha256=2") == "https://h.example:8443/a%20b?x=1"
    assert hide_login("file:///data/a.whl") == "file:///data/a.whl"
