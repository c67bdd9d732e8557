"""Our own headers are those of a tar: Python's reader says what they mean."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.system.archive import BLOCK_BYTES, END, build_header, compute_extent, padding, parse_first_size


@pytest.mark.parametrize("size", [0, 1, 511, 512, 8**11 - 1, 8**11, 2**43])
def test_a_header_is_read_as_a_regular_file_of_nobody(size: int) -> None:
    info = tarfile.TarInfo.frombuf(build_header("wheels/a.whl", size), "utf-8", "strict")
    assert (info.name, info.size, info.type, info.mode) == ("wheels/a.whl", size, tarfile.REGTYPE, 0o644)
    assert (info.uid, info.gid, info.mtime, info.uname, info.gname, info.linkname) == (0, 0, 0, "", "", "")


def test_a_short_header_is_the_one_that_python_writes_for_gnu_tar() -> None:
    info = tarfile.TarInfo("n" * 100)
    info.size = 12345
    assert build_header("n" * 100, 12345) == info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("length", [99, 100, 101, 511, 512, 700])
def test_names_of_any_length_are_read_back(length: int) -> None:
    archive = build_header("n" * length, 3) + b"abc" + padding(3) + END
    with tarfile.open(fileobj=io.BytesIO(archive)) as stream:
        assert [(info.name, info.size, info.isreg()) for info in stream] == [("n" * length, 3, True)]


@given(st.integers(0, 2**40), st.integers(1, 300))
def test_what_a_file_takes_is_whole_blocks(size: int, length: int) -> None:
    extent = compute_extent("n" * length, size)
    assert extent % BLOCK_BYTES == 0
    assert extent - size - len(padding(size)) == len(build_header("n" * length, size))


@given(st.binary(max_size=600))
def test_any_bytes_are_no_header(data: bytes) -> None:
    assert parse_first_size(data, "bundle.json") is None


@given(st.integers(0, 8**11 - 1))
def test_the_size_of_the_list_is_read_back(size: int) -> None:
    assert parse_first_size(build_header("bundle.json", size), "bundle.json") == size
    assert parse_first_size(build_header("bundle.json", size), "other.json") is None
