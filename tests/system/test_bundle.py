"""A bundle is written whole, and read only as far as every byte is what its list says."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from provision.core.bundle import render_manifest
from provision.errors import BadFileError, StateError, UsageError
from provision.system import bundle as module
from provision.system.archive import END, build_header, padding
from provision.system.bundle import (
    compute_archive_bytes,
    extract_bundle,
    load_manifest_bytes,
    load_member,
    verify_bundle,
)
from provision.system.bundle_writer import check_destination, write_bundle
from provision.system.files import hash_file
from tests.support.bundles import build_contents, build_manifest, write_small_bundle


def ignore(_done: int) -> None:
    """Progress is of no interest."""


def test_a_bundle_is_a_tar_that_others_read(tmp_path: Path) -> None:
    path = tmp_path / "b.tar"
    head, manifest = write_small_bundle(path)
    with tarfile.open(path) as archive:
        found = {info.name: archive.extractfile(info).read() for info in archive}  # type: ignore[union-attr]
    assert found == {"bundle.json": head} | build_contents()
    assert next(iter(found)) == "bundle.json"
    listed = subprocess.run(["tar", "-tf", path], capture_output=True, text=True, check=True)
    assert (listed.stdout.split(), listed.stderr) == (list(found), "")
    assert path.stat().st_size == compute_archive_bytes(head, manifest.members)
    assert [item.name for item in tmp_path.iterdir()] == ["b.tar"]


def test_equal_content_is_an_equal_file(tmp_path: Path) -> None:
    write_small_bundle(tmp_path / "a.tar")
    write_small_bundle(tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_the_hash_that_is_told_is_of_the_file(tmp_path: Path) -> None:
    path, manifest = tmp_path / "b.tar", build_manifest()
    contents = build_contents()
    told = write_bundle(
        path, render_manifest(manifest), [(item, contents[item.name]) for item in manifest.members], ignore
    )
    assert told == hash_file(path)


def test_it_is_unpacked_once_and_again_where_it_was_altered(tmp_path: Path) -> None:
    path, folder = tmp_path / "b.tar", tmp_path / "state" / "x"
    head, manifest = write_small_bundle(path)
    extract_bundle(path, head, manifest.members, folder, ignore)
    found = {str(item.relative_to(folder)): item.read_bytes() for item in folder.rglob("*") if item.is_file()}
    assert found == build_contents()
    marker = folder / "marker"
    marker.touch()
    extract_bundle(path, head, manifest.members, folder, ignore)
    assert marker.exists()
    (folder / "weights/tiny/model.safetensors").write_bytes(bytes(2560))
    extract_bundle(path, head, manifest.members, folder, ignore)
    assert not marker.exists()
    assert (folder / "weights/tiny/model.safetensors").read_bytes() == bytes(range(256)) * 10


@pytest.mark.parametrize("tenth", range(10))
def test_cut_short_anywhere_it_is_refused_and_nothing_is_left(tmp_path: Path, tenth: int) -> None:
    path, folder = tmp_path / "b.tar", tmp_path / "state" / "x"
    _, manifest = write_small_bundle(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * tenth // 10])
    with pytest.raises(BadFileError) as caught:
        extract_bundle(path, load_manifest_bytes(path), manifest.members, folder, ignore)
    assert caught.value.message in (
        f"{path} is no bundle of provision",
        f"{path} is cut short: its own list is not whole",
        f"{path} is cut short: it has {len(whole) * tenth // 10} bytes of the {len(whole)} that its list names",
    )
    assert not folder.exists()
    assert not folder.parent.exists() or not list(folder.parent.iterdir())


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, bytes]:
    """A bundle to spoil: where, its list, and its bytes."""
    path = tmp_path_factory.mktemp("small") / "b.tar"
    head, _ = write_small_bundle(path)
    return path, head, path.read_bytes()


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_one_flipped_bit_anywhere_is_noticed(small: tuple[Path, bytes, bytes], data: st.DataObject) -> None:
    path, head, whole = small
    spoiled = bytearray(whole)
    spoiled[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(spoiled)
    members, folder = build_manifest().members, path.parent / "x"
    with pytest.raises(BadFileError):
        verify_bundle(path, head, members, ignore)
    with pytest.raises(BadFileError):
        extract_bundle(path, head, members, folder, ignore)
    assert [item.name for item in path.parent.iterdir()] == ["b.tar"]


def test_a_flipped_byte_is_named(tmp_path: Path) -> None:
    path = tmp_path / "b.tar"
    head, manifest = write_small_bundle(path)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"torchtorch", b"torchTorch", 1))
    with pytest.raises(BadFileError) as caught:
        verify_bundle(path, head, manifest.members, ignore)
    assert caught.value.message == (
        f"{path} is altered: wheels/torch-2.13.0-py3-none-any.whl is not what its list says"
    )


@pytest.mark.parametrize(
    ("kind", "link"),
    [(tarfile.SYMTYPE, "/etc/passwd"), (tarfile.LNKTYPE, "README.txt"), (tarfile.CHRTYPE, "")],
)
def test_a_link_or_device_under_a_listed_name_is_refused(tmp_path: Path, kind: bytes, link: str) -> None:
    path, folder = tmp_path / "b.tar", tmp_path / "x"
    head, manifest = write_small_bundle(path)
    info = tarfile.TarInfo("weights/tiny/config.json")
    info.type, info.linkname, info.size = kind, link, 2
    data = path.read_bytes()
    path.write_bytes(data.replace(build_header(info.name, 2), info.tobuf(tarfile.GNU_FORMAT), 1))
    with pytest.raises(BadFileError) as caught:
        extract_bundle(path, head, manifest.members, folder, ignore)
    assert caught.value.message == (f"{path} is altered: weights/tiny/config.json is not what its list says")
    assert not folder.exists()


def test_a_member_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.tar"
    head, manifest = write_small_bundle(path)
    data = path.read_bytes().removesuffix(END)
    path.write_bytes(data + build_header("more", 1) + b"x" + padding(1) + END)
    with pytest.raises(BadFileError) as caught:
        verify_bundle(path, head, manifest.members, ignore)
    assert caught.value.message == f"{path} is altered: 1024 bytes more than its list names"


def test_a_huge_declared_size_costs_nothing(tmp_path: Path) -> None:
    path, folder = tmp_path / "b.tar", tmp_path / "state" / "x"
    manifest = build_manifest()
    members = (replace(manifest.members[0], size_bytes=2**43), *manifest.members[1:])
    head = render_manifest(replace(manifest, members=members))
    path.write_bytes(build_header("bundle.json", len(head)) + head + padding(len(head)) + END)
    with pytest.raises(BadFileError, match="is cut short: it has"):
        extract_bundle(path, head, members, folder, ignore)
    assert not folder.parent.exists()


def test_a_list_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "b.tar"
    with path.open("wb") as stream:
        stream.write(build_header("bundle.json", 2**32))
        stream.truncate(2**33)
    with pytest.raises(BadFileError) as caught:
        load_manifest_bytes(path)
    assert caught.value.message == f"{path} is no bundle of provision"


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadFileError) as caught:
        load_manifest_bytes(tmp_path / "b.tar")
    assert caught.value.message == f"{tmp_path / 'b.tar'}: No such file or directory"


def test_a_file_that_changes_while_it_is_packed_stops_it(tmp_path: Path) -> None:
    path, source = tmp_path / "b.tar", tmp_path / "source"
    path.write_bytes(b"before")
    source.write_bytes(b"changed")
    manifest = build_manifest()
    with pytest.raises(StateError) as caught:
        write_bundle(path, render_manifest(manifest), [(manifest.members[0], source)], ignore)
    assert caught.value.message == f"{source} changed while it was packed"
    assert path.read_bytes() == b"before"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["b.tar", "source"]


def test_without_space_nothing_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, folder = tmp_path / "b.tar", tmp_path / "state" / "x"
    head, manifest = write_small_bundle(path)
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(StateError) as caught:
        extract_bundle(path, head, manifest.members, folder, ignore)
    needed = manifest.content_bytes
    assert caught.value.message == f"{path} needs {needed} bytes in {folder.parent}, where 10 are free"
    assert not list(folder.parent.iterdir())


def test_only_a_bundle_is_replaced_by_a_bundle(tmp_path: Path) -> None:
    path = tmp_path / "b.tar"
    check_destination(path)
    write_small_bundle(path)
    check_destination(path)
    path.write_text("somebody's notes")
    for bad, message in (
        (path, f"{path} exists and is no bundle"),
        (tmp_path, f"{tmp_path} exists and is no bundle"),
        (tmp_path / "no" / "b.tar", f"{tmp_path / 'no'}: no such folder"),
    ):
        with pytest.raises(UsageError) as caught:
            check_destination(bad)
        assert caught.value.message == message


def test_one_member_is_read_without_the_others(tmp_path: Path) -> None:
    path = tmp_path / "b.tar"
    head, manifest = write_small_bundle(path)
    for name, content in build_contents().items():
        assert load_member(path, head, manifest.members, name) == content
    assert [item.name for item in tmp_path.iterdir()] == ["b.tar"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: data[:-1], "is cut short: it has"),
        (lambda data: data + b"x", "is altered: 1 bytes more than its list names"),
        (
            lambda data: data.replace(b"numpy==2.4.6", b"numpy==2.4.7"),
            "is altered: locks/main.txt is not what",
        ),
        (
            lambda data: data.replace(b"locks/main.txt\0", b"locks/niam.txt\0"),
            "is altered: locks/main.txt is",
        ),
    ],
)
def test_one_member_of_what_was_spoilt_is_refused(
    tmp_path: Path, spoil: Callable[[bytes], bytes], message: str
) -> None:
    path = tmp_path / "b.tar"
    head, manifest = write_small_bundle(path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(BadFileError) as caught:
        load_member(path, head, manifest.members, "locks/main.txt")
    assert caught.value.message.startswith(f"{path} {message}")


def test_cures_quote_names_with_spaces(tmp_path: Path) -> None:
    folder = tmp_path / "no such folder"
    with pytest.raises(UsageError) as caught:
        check_destination(folder / "b.tar")
    assert caught.value.hint == f"mkdir -p '{folder}'"
    path = tmp_path / "my bundle.tar"
    head, manifest = write_small_bundle(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BadFileError) as refused:
        verify_bundle(path, head, manifest.members, ignore)
    assert refused.value.hint == f"copy it again, or compare it with the original: sha256sum '{path}'"
