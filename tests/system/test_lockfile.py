"""`provision.lock` on disk, and the files of models."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from provision.errors import BadFileError, StateError
from provision.model.lockfile import LockedFile
from provision.system.lockfile import (
    inspect_cached_model,
    inspect_folder,
    load_lock_texts,
    load_stack_lock,
    save_lock_texts,
)
from tests.support.locks import COMMIT


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_what_is_saved_is_loaded_and_stacks_that_went_are_removed(tmp_path: Path) -> None:
    assert load_lock_texts(tmp_path) is None
    save_lock_texts(tmp_path, "one\n", {"main": "a\n", "second": "b\n"})
    save_lock_texts(tmp_path, "two\n", {"main": "c\n"})
    assert load_lock_texts(tmp_path) == ("two\n", {"main": "c\n"})
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "main.txt",
        "provision.lock",
        "provision.lock.d",
    ]


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "provision.lock.d").write_text("", encoding="ascii")
    with pytest.raises(StateError, match=r"provision\.lock\.d: File exists$"):
        save_lock_texts(tmp_path, "one\n", {"main": "a\n"})


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    (tmp_path / "provision.lock").write_bytes(b"ok\xff")
    with pytest.raises(BadFileError, match=r"provision\.lock: not UTF-8 at byte 2$"):
        load_lock_texts(tmp_path)


def test_a_stack_without_a_lock_has_none(tmp_path: Path) -> None:
    assert load_stack_lock(tmp_path) is None


def test_the_hubs_names_are_taken_for_large_files_and_small_ones_are_read(tmp_path: Path) -> None:
    """The name of a blob is what the Hub said of it; here it is not the content's, to tell the two apart."""
    repo = tmp_path / "hub" / "models--Qwen--Qwen2-VL-2B-Instruct"
    snapshot, blobs = repo / "snapshots" / COMMIT, repo / "blobs"
    (snapshot / "code").mkdir(parents=True)
    blobs.mkdir()
    (blobs / ("5" * 64)).write_bytes(b"weights")
    (blobs / ("6" * 40)).write_bytes(b"{}")
    (snapshot / "model.safetensors").symlink_to(blobs / ("5" * 64))
    (snapshot / "config.json").symlink_to(blobs / ("6" * 40))
    (snapshot / "code" / "modeling.py").write_bytes(b"pass")
    env = {"HF_HUB_CACHE": str(tmp_path / "hub")}
    assert inspect_cached_model("Qwen/Qwen2-VL-2B-Instruct", COMMIT, env=env) == (
        LockedFile(path="code/modeling.py", size_bytes=4, sha256=sha256(b"pass")),
        LockedFile(path="config.json", size_bytes=2, sha256=sha256(b"{}")),
        LockedFile(path="model.safetensors", size_bytes=7, sha256="5" * 64),
    )
    assert inspect_cached_model("Qwen/Qwen2-VL-2B-Instruct", "0" * 40, env=env) == ()


def test_documents_are_left_out(tmp_path: Path) -> None:
    for name in ("README.md", "config.json"):
        (tmp_path / name).write_bytes(b"{}")
    assert [file.path for file in inspect_folder(tmp_path, leave_out=("README.md",))] == ["config.json"]
