"""Logs and pasted text as bytes, from a file or from standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from provision.errors import BadFileError

PIECE_BYTES = 2**20
STDIN = "-"


def read_pieces(source: str, *, hint: str, stdin: BinaryIO | None = None) -> Iterator[bytes]:
    """The bytes of the file `source`, or of standard input for "-", in pieces of at most 1 MiB.

    Raises BadFileError with `hint` when there is no such file, it is a folder, it may not be read, or standard
    input is closed.
    """
    if not source:
        raise BadFileError("the file's name is empty", hint=hint)
    if source == STDIN and stdin is None and sys.stdin is None:
        raise BadFileError("standard input is closed", hint=hint)
    try:
        if source == STDIN:
            yield from _read_stream(stdin or sys.stdin.buffer)
            return
        with Path(source).open("rb") as stream:
            yield from _read_stream(stream)
    except OSError as error:
        raise BadFileError(f"{source}: {error.strerror or error}", hint=hint) from error


def _read_stream(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(PIECE_BYTES):
        yield piece
