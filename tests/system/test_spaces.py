"""File systems, shared memory and limits, from a tree of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.system.interpreter import is_superuser
from provision.system.spaces import (
    find_spaces,
    find_temporary_dir,
    find_uv_cache,
    read_memory_limit_bytes,
    read_shared_memory_bytes,
)


def test_a_folder_that_is_not_there_is_on_its_parents_file_system(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    state, odd = find_spaces({"state": tmp_path / "a" / "b", "odd": file / "below"})
    assert (state.purpose, state.path, state.device) == ("state", str(tmp_path), tmp_path.stat().st_dev)
    assert state.free_bytes > 0
    assert odd.path == str(file)
    assert (state.writable, state.missing) == (True, str(tmp_path / "a" / "b"))
    assert find_spaces({"state": tmp_path})[0].missing is None


@pytest.mark.skipif(is_superuser(), reason="the superuser may write everywhere")
def test_a_folder_that_may_not_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    [space] = find_spaces({"state": tmp_path / "below"})
    tmp_path.chmod(0o700)
    assert not space.writable


@pytest.mark.parametrize(
    ("env", "platform", "path"),
    [
        ({"UV_CACHE_DIR": "/big/uv", "HOME": "/home/a"}, "linux", "/big/uv"),
        ({"XDG_CACHE_HOME": "/caches", "HOME": "/home/a"}, "linux", "/caches/uv"),
        ({"HOME": "/home/a"}, "darwin", "/home/a/.cache/uv"),
        ({"LOCALAPPDATA": "/local"}, "win32", "/local/uv/cache"),
    ],
)
def test_where_uv_keeps_its_cache(env: dict[str, str], platform: str, path: str) -> None:
    assert find_uv_cache(env, platform=platform) == Path(path)


def test_temporary_files_go_where_tmpdir_says() -> None:
    assert find_temporary_dir({"TMPDIR": "/fast", "TMP": "/slow"}) == Path("/fast")
    assert find_temporary_dir({}).is_dir()


@pytest.mark.parametrize(
    ("name", "text", "limit"),
    [
        ("memory.max", "2147483648\n", 2**31),
        ("memory.max", "max\n", None),
        ("memory/memory.limit_in_bytes", "1073741824\n", 2**30),
    ],
)
def test_the_limit_of_a_control_group(tmp_path: Path, name: str, text: str, limit: int | None) -> None:
    path = tmp_path / "sys/fs/cgroup" / name
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert read_memory_limit_bytes(tmp_path) == limit


def test_nothing_is_known_of_an_empty_machine(tmp_path: Path) -> None:
    assert read_memory_limit_bytes(tmp_path) is None
    assert read_shared_memory_bytes(tmp_path) is None
    (tmp_path / "dev/shm").mkdir(parents=True)
    assert (read_shared_memory_bytes(tmp_path) or 0) > 0
