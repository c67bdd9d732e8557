"""Reads a bundle only as far as it is what its list says, and unpacks it whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from shlex import quote
from typing import IO

from provision.errors import BadFileError, StateError
from provision.model.bundle import Member
from provision.system.archive import (
    BLOCK_BYTES,
    END,
    build_header,
    compute_extent,
    padding,
    parse_first_size,
)
from provision.system.files import hash_file

MANIFEST_NAME = "bundle.json"
# Some thousand files are a few hundred kilobytes of JSON.
_MOST_MANIFEST_BYTES = 64 * 2**20
_CHUNK_BYTES = 2**20

OnBytes = Callable[[int], None]


def compute_archive_bytes(manifest: bytes, members: Sequence[Member]) -> int:
    """The size of the archive of these members, to the byte."""
    head = compute_extent(MANIFEST_NAME, len(manifest))
    return head + sum(compute_extent(item.name, item.size_bytes) for item in members) + len(END)


def load_manifest_bytes(path: Path) -> bytes:
    """The list at the head of a bundle, not yet understood. Raises BadFileError when there is none."""
    try:
        with path.open("rb") as stream:
            block = stream.read(BLOCK_BYTES)
            size = parse_first_size(block, MANIFEST_NAME)
            if size is None or size > _MOST_MANIFEST_BYTES:
                raise _no_bundle(path)
            data = stream.read(size)
    except OSError as error:
        raise BadFileError(f"{path}: {error.strerror or error}", hint=f"ls -l {quote(str(path))}") from error
    if len(data) < size:
        raise BadFileError(f"{path} is cut short: its own list is not whole", hint=_again(path))
    return data


def load_member(path: Path, manifest: bytes, members: Sequence[Member], name: str) -> bytes:
    """The content of one small member, verified; nothing else is read or written.

    Raises BadFileError for an archive whose length or whose member is not what its list says.
    """
    _check_length(path, manifest, members)
    position = compute_extent(MANIFEST_NAME, len(manifest))
    for member in members:
        if member.name == name:
            with path.open("rb") as stream:
                stream.seek(position)
                _expect(stream, build_header(member.name, member.size_bytes), path, name)
                data = stream.read(min(member.size_bytes, _MOST_MANIFEST_BYTES))
            if hashlib.sha256(data).hexdigest() != member.sha256:
                raise _altered(path, name)
            return data
        position += compute_extent(member.name, member.size_bytes)
    raise _altered(path, name)


def verify_bundle(path: Path, manifest: bytes, members: Sequence[Member], on_bytes: OnBytes) -> None:
    """Read the whole archive and compare it with its list. Raises BadFileError with the first difference."""
    _read(path, manifest, members, on_bytes, folder=None)


def extract_bundle(
    path: Path, manifest: bytes, members: Sequence[Member], folder: Path, on_bytes: OnBytes
) -> None:
    """Make `folder` hold the members, verified; it appears whole or not at all.

    The names must have been checked. A folder that is there already is kept when every file in it is still
    what the list says. Raises BadFileError for an archive that is not its list, StateError without space.
    """
    if _is_whole(folder, members):
        return
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _check_length(path, manifest, members)
        partial.mkdir(parents=True)
        _check_space(path, partial, sum(item.size_bytes for item in members))
        _read(path, manifest, members, on_bytes, folder=partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except OSError as error:
        raise StateError(
            f"{path} cannot be unpacked to {folder}: {error.strerror or error}",
            hint=f"df -h {quote(str(folder.parent))}",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _is_whole(folder: Path, members: Sequence[Member]) -> bool:
    """Sizes of all, and the hashes of all but the wheels, which uv compares with the lock anyway."""
    try:
        sizes = all((folder / item.name).stat().st_size == item.size_bytes for item in members)
        others = [item for item in members if not item.name.endswith(".whl")]
        return sizes and all(hash_file(folder / item.name) == item.sha256 for item in others)
    except OSError:
        return False


def _check_length(path: Path, manifest: bytes, members: Sequence[Member]) -> None:
    """Before anything is read or written: a list of huge sizes costs nothing."""
    expected, found = compute_archive_bytes(manifest, members), path.stat().st_size
    if found < expected:
        raise BadFileError(
            f"{path} is cut short: it has {found} bytes of the {expected} that its list names",
            hint=_again(path),
        )
    if found > expected:
        raise BadFileError(
            f"{path} is altered: {found - expected} bytes more than its list names", hint=_again(path)
        )


def _check_space(path: Path, folder: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise StateError(
            f"{path} needs {needed_bytes} bytes in {folder.parent}, where {free_bytes} are free",
            hint=f"df -h {quote(str(folder.parent))}",
        )


def _read(
    path: Path, manifest: bytes, members: Sequence[Member], on_bytes: OnBytes, *, folder: Path | None
) -> None:
    _check_length(path, manifest, members)
    with path.open("rb") as stream:
        # What precedes the members was read before; the file may be another one by now.
        head = build_header(MANIFEST_NAME, len(manifest)) + manifest + padding(len(manifest))
        _expect(stream, head, path, MANIFEST_NAME)
        for member in members:
            _expect(stream, build_header(member.name, member.size_bytes), path, member.name)
            _read_content(stream, member, path, None if folder is None else folder / member.name, on_bytes)
            _expect(stream, padding(member.size_bytes), path, member.name)
        _expect(stream, END, path, "its end")


def _expect(stream: IO[bytes], data: bytes, path: Path, what: str) -> None:
    if stream.read(len(data)) != data:
        raise _altered(path, what)


def _read_content(
    stream: IO[bytes], member: Member, path: Path, target: Path | None, on_bytes: OnBytes
) -> None:
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
    digest, left = hashlib.sha256(), member.size_bytes
    with Path(os.devnull if target is None else target).open("wb") as sink:
        while left > 0 and (chunk := stream.read(min(_CHUNK_BYTES, left))):
            digest.update(chunk)
            sink.write(chunk)
            left -= len(chunk)
            on_bytes(stream.tell())
    if left or digest.hexdigest() != member.sha256:
        raise _altered(path, member.name)


def _no_bundle(path: Path) -> BadFileError:
    return BadFileError(f"{path} is no bundle of provision", hint="provision bundle FILE   # makes one")


def _altered(path: Path, what: str) -> BadFileError:
    return BadFileError(f"{path} is altered: {what} is not what its list says", hint=_again(path))


def _again(path: Path) -> str:
    return f"copy it again, or compare it with the original: sha256sum {quote(str(path))}"
