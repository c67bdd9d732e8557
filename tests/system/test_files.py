"""Files written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provision.system.files import StagedFile, hash_file, hash_folder, remove_staged, write_atomic


def test_a_new_file_and_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_atomic(path, b"one")
    assert path.read_bytes() == b"one"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_the_mode_of_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    path.chmod(0o640)
    write_atomic(path, b"two")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"two", 0o640)


def test_a_symbolic_link_stays_and_its_target_changes(tmp_path: Path) -> None:
    target, link = tmp_path / "shared" / "config.yaml", tmp_path / "config.yaml"
    target.parent.mkdir()
    target.write_bytes(b"one")
    link.symlink_to(target)
    write_atomic(link, b"two")
    assert link.is_symlink()
    assert target.read_bytes() == b"two"


def test_a_write_that_fails_leaves_the_file_and_no_remains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("provision.system.files.os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, b"two")
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("file", b"one")]


def test_a_folders_hash_is_of_names_and_contents(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for folder, names in ((first, ("x", "y")), (second, ("y", "x"))):
        folder.mkdir()
        for name in names:
            (folder / name).write_text(name)
    assert hash_folder(first) == hash_folder(second)
    (second / "x").write_text("changed")
    assert hash_folder(first) != hash_folder(second)
    assert hash_file(first / "x") == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX")
def test_a_pipe_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(FileExistsError, match="not a regular file"):
        write_atomic(pipe, b"data")
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_what_a_killed_writer_staged_goes_and_nothing_else(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    kept = [
        tmp_path / name for name in (".config.yaml.mine.tmp", ".other.yaml.abcdefgh.tmp", "config.yaml.bak")
    ]
    for path in (config, *kept):
        path.touch()
    staged = StagedFile(config, b"new")
    assert len(list(tmp_path.iterdir())) == 5
    link = tmp_path / "link"
    link.mkdir()
    (link / "config.yaml").symlink_to(config)
    remove_staged(link / "config.yaml")
    assert sorted(tmp_path.iterdir()) == sorted([config, *kept, link])
    staged.discard()
