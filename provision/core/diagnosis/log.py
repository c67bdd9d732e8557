"""A log of any length, in bytes, made ready to be searched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from provision.core.diagnosis.cleaning import decode_log
from provision.core.diagnosis.digest import WHOLE_BYTES, WHOLE_LINES, Digest, build_digest, split_lines
from provision.core.diagnosis.reduction import LogReducer, count_breaks
from provision.core.diagnosis.wrapping import unwrap_lines

_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_log(pieces: Iterable[bytes], literals: Sequence[str]) -> Digest:
    """The digest of the log that comes in `pieces`; a short one is kept whole.

    A long one in UTF-16 is decoded piece by piece. Memory does not grow with the log: a process that reads
    100 MB takes 40 to 80 MB, and less than 300 MB where all known failures stand between lines of one letter.
    """
    source = iter(pieces)
    held: list[bytes] = []
    size = 0
    for piece in source:
        held.append(piece)
        size += len(piece)
        if size > WHOLE_BYTES:
            break
    start = b"".join(held)
    if size <= WHOLE_BYTES and count_breaks(start) <= WHOLE_LINES:
        return _digest_text(decode_log(start))
    reducer = LogReducer(literals)
    for piece in _encode_utf8(start, source):
        reducer.feed(piece)
    return reducer.close()


def _digest_text(text: str) -> Digest:
    lines = split_lines(text.replace("\r\n", "\n"))
    lines_total = text.count("\n") + (not text.endswith("\n") and bool(text))
    digest = build_digest(lines, lines_total)
    joined = unwrap_lines(lines)
    return digest if joined is None else replace(digest, unwrapped=build_digest(joined, lines_total))


def _encode_utf8(start: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    """The log in UTF-8, whichever it is in."""
    if not start.startswith(_WIDE_MARKS):
        yield from (start[i : i + 2**20] for i in range(0, len(start), 2**20))
        yield from rest
        return
    import codecs

    decoder = codecs.getincrementaldecoder("utf-16")(errors="replace")
    yield decoder.decode(start).encode("utf-8", errors="replace")
    for piece in rest:
        yield decoder.decode(piece).encode("utf-8", errors="replace")
