"""Writes a bundle whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import IO

from provision.errors import StateError, UsageError
from provision.model.bundle import Member
from provision.system.archive import BLOCK_BYTES, END, build_header, padding, parse_first_size
from provision.system.bundle import MANIFEST_NAME, OnBytes

_CHUNK_BYTES = 2**20


def check_destination(path: Path) -> None:
    """Whether a bundle may be written to `path`. Raises UsageError: nothing else is ever replaced by one."""
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such folder", hint=f"mkdir -p {quote(str(path.parent))}")
    if path.exists() and (not path.is_file() or not _is_bundle(path)):
        raise UsageError(f"{path} exists and is no bundle", hint="name another file")


def write_bundle(
    path: Path, manifest: bytes, contents: Sequence[tuple[Member, Path | bytes]], on_bytes: OnBytes
) -> str:
    """Write the archive beside `path`, durable, then rename it; gives its SHA-256.

    `on_bytes` is told the bytes written so far. Raises StateError when a file is not what `manifest` says of
    it, OSError when the disk takes no more; in both cases nothing is left.
    """
    target = path.resolve()
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".partial")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            writer = _Writer(stream, on_bytes)
            writer.write(build_header(MANIFEST_NAME, len(manifest)) + manifest + padding(len(manifest)))
            for member, content in contents:
                writer.write_member(member, content)
            writer.write(END)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return writer.digest.hexdigest()


class _Writer:
    """The archive as it grows, hashed as a whole."""

    def __init__(self, stream: IO[bytes], on_bytes: OnBytes) -> None:
        self._stream = stream
        self._on_bytes = on_bytes
        self._written = 0
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._stream.write(data)
        self.digest.update(data)
        self._written += len(data)
        self._on_bytes(self._written)

    def write_member(self, member: Member, content: Path | bytes) -> None:
        self.write(build_header(member.name, member.size_bytes))
        digest, left = hashlib.sha256(), member.size_bytes
        if isinstance(content, bytes):
            digest.update(content)
            left -= len(content)
            self.write(content)
        else:
            with content.open("rb") as source:
                while left > 0 and (chunk := source.read(min(_CHUNK_BYTES, left))):
                    digest.update(chunk)
                    left -= len(chunk)
                    self.write(chunk)
        if left or digest.hexdigest() != member.sha256:
            where = content if isinstance(content, Path) else member.name
            raise StateError(f"{where} changed while it was packed", hint="run the same command again")
        self.write(padding(member.size_bytes))


def _is_bundle(path: Path) -> bool:
    with path.open("rb") as stream:
        return parse_first_size(stream.read(BLOCK_BYTES), MANIFEST_NAME) is not None
