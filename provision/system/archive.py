"""The form of a bundle: a plain tar whose every byte follows from names, sizes and contents.

Reading compares with what would have been written, so there is no header to be misunderstood: no links, no
devices, no second meaning for another program. https://www.gnu.org/software/tar/manual/html_node/Standard.html
"""

from __future__ import annotations

import re

BLOCK_BYTES = 512
END = bytes(2 * BLOCK_BYTES)
_NAME_BYTES = 100
# Sizes from 8 GiB on do not fit into eleven octal digits and are written in base 256, as GNU tar does.
_MOST_OCTAL = 8**11 - 1
_LONG_NAME = "././@LongLink"
_SIZE_FIELD = slice(124, 136)
_OCTAL_SIZE = re.compile(rb"[0-7]{11}\0")


def build_header(name: str, size_bytes: int) -> bytes:
    """What stands before the content of a regular file: one block, three where the name is long.

    Owner 0, mode 644 and time 0 for all, so that equal content is an equal archive.
    """
    data = name.encode("utf-8")
    if len(data) <= _NAME_BYTES:
        return _build_block(data, size_bytes, b"0")
    content = data + b"\0"
    start = _build_block(_LONG_NAME.encode("ascii"), len(content), b"L")
    return start + content + padding(len(content)) + _build_block(data[:_NAME_BYTES], size_bytes, b"0")


def padding(size_bytes: int) -> bytes:
    """The zeros that fill the last block of a content."""
    return bytes(-size_bytes % BLOCK_BYTES)


def compute_extent(name: str, size_bytes: int) -> int:
    """Bytes that a file takes in the archive, with header and padding."""
    return len(build_header(name, size_bytes)) + size_bytes + len(padding(size_bytes))


def parse_first_size(block: bytes, name: str) -> int | None:
    """The size in a header that `build_header(name, …)` wrote; None when it is no such header."""
    field = block[_SIZE_FIELD]
    if not _OCTAL_SIZE.fullmatch(field):
        return None
    size_bytes = int(field[:-1], 8)
    return size_bytes if block == build_header(name, size_bytes) else None


def _build_block(name: bytes, size_bytes: int, kind: bytes) -> bytes:
    size = b"%011o\0" % size_bytes
    if size_bytes > _MOST_OCTAL:
        size = b"\x80" + size_bytes.to_bytes(11, "big")
    before = name.ljust(_NAME_BYTES, b"\0") + b"0000644\0" + b"0000000\0" * 2 + size + b"0" * 11 + b"\0"
    after = kind + bytes(100) + b"ustar  \0"
    checksum = sum(before) + 8 * ord(" ") + sum(after)
    return (before + b"%06o\0 " % checksum + after).ljust(BLOCK_BYTES, b"\0")
