"""From uv's resolution to a lock without URLs."""

from __future__ import annotations

import pytest
from packaging.tags import Tag

from provision.core.locks import build_lock, parse_pins, parse_resolution
from provision.errors import ToolError
from provision.model.packages import Wheel

PYLOCK = """
lock-version = "1.0"
created-by = "uv"

[[packages]]
name = "torch"
version = "2.13.0+cpu"
wheels = [
  { url = "file:///wheels/torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl", hashes = { sha256 = "bb" } },
]

[[packages]]
name = "numpy"
version = "2.4.6"
wheels = [
  { url = "https://x.example/numpy-2.4.6-cp311-cp311-win_amd64.whl", size = 9, hashes = { sha256 = "02" } },
  { url = "https://x.example/numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl", size = 7, hashes = { sha256 = "01" } },
]
"""
TAGS = [Tag("cp311", "cp311", "manylinux_2_28_x86_64")]


def test_the_wheel_of_this_platform_is_chosen_and_all_hashes_are_kept() -> None:
    resolved = parse_resolution(PYLOCK, TAGS)
    lock = build_lock(resolved, {"torch": 191_794_682})
    assert lock.wheels == (
        Wheel(name="numpy", version="2.4.6", hashes=("sha256:01", "sha256:02"), size_bytes=7),
        Wheel(name="torch", version="2.13.0+cpu", hashes=("sha256:bb",), size_bytes=191_794_682),
    )
    assert lock.text == (
        "numpy==2.4.6 \\\n    --hash=sha256:01 \\\n    --hash=sha256:02\n"
        "torch==2.13.0+cpu \\\n    --hash=sha256:bb\n"
    )
    assert lock.download_bytes == 191_794_689
    assert "://" not in lock.text


def test_the_same_wheels_give_the_same_hash_whatever_their_sizes() -> None:
    resolved = parse_resolution(PYLOCK, TAGS)
    assert build_lock(resolved, {}).sha256 == build_lock(resolved, {"torch": 1}).sha256


def test_a_package_without_a_wheel_is_refused() -> None:
    text = (
        'lock-version = "1.0"\ncreated-by = "uv"\n[[packages]]\nname = "flash-attn"\nversion = "2.8.3"\n'
        '[packages.sdist]\nurl = "https://x.example/flash_attn-2.8.3.tar.gz"\nhashes = { sha256 = "aa" }\n'
    )
    with pytest.raises(ToolError, match="^flash-attn 2.8.3 has no wheel, and nothing is built from source$"):
        parse_resolution(text, TAGS)


def test_pins_as_uv_prints_them() -> None:
    text = "# by uv\ntorch==2.13.0+cpu\ntorchvision==0.28.0 ; python_version < '4'\n"
    assert parse_pins(text) == {"torch": "2.13.0+cpu", "torchvision": "0.28.0"}


def test_what_is_no_lock_is_a_tools_fault() -> None:
    with pytest.raises(ToolError, match="^uv's resolution cannot be read: "):
        parse_resolution("nonsense", TAGS)
