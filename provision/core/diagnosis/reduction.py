"""Of a long log its ends, and the lines around what fragments of known failures occur in: in one pass."""

from __future__ import annotations

import re
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice
from typing import NamedTuple

from ahocorasick_rs import BytesAhoCorasick

from provision.core.diagnosis.digest import WHOLE_BYTES, Digest, build_digest, split_line

# Beyond what is kept whole, these are kept of both ends, and lines around what was found. Lines are bounded too: each
# costs some hundred bytes, however short it is.
_HEAD_BYTES = 256 * 1024
_TAIL_BYTES = 768 * 1024
_END_LINES = 20_000
_CONTEXT_LINES = 6
_CONTEXT_BYTES = 1500
_LINES_AFTER = 48
_BLOCK_BYTES = 1024
# Of a longer run of one letter only the ends are searched: `!!!!` occurs at each of its letters.
_LONG_RUN = 512
# How often one fragment's lines are kept, first and last ones: a log can repeat one warning a million times.
_KEPT_FIRST = 12
_KEPT_LAST = 12
# One that came so often is kept less often of each piece: cutting is what takes the time.
_OFTEN = 200
_KEPT_OF_OFTEN = 2
_BREAK = re.compile(rb"\r\n?|\n")


class LogReducer:
    """Takes a long log piece by piece and keeps what can matter, in bounded memory.

    `literals` are what is looked for, in lower case; `feed` takes UTF-8 bytes in any cut.
    """

    def __init__(self, literals: Sequence[str]) -> None:
        self._finder = BytesAhoCorasick([literal.encode() for literal in literals])
        self._runs = {
            literal[0].encode() for literal in literals if literal and literal.strip(literal[0]) == ""
        }
        self._first: list[_Excerpt] = []
        self._last: dict[int, deque[_Excerpt]] = {}
        self._seen: Counter[int] = Counter()
        self._head = b""
        # The last pieces, whole: enough of them for the tail.
        self._tail: deque[bytes] = deque()
        self._rest = b""
        self._ended = True
        self._breaks = 0
        self._fed_bytes = 0

    def feed(self, data: bytes) -> None:
        """The next bytes of the log."""
        if data:
            self._ended = data.endswith(b"\n")
        data = self._rest + data
        # A line without an end is cut: better in two than kept in memory for ever.
        cut = data.rfind(b"\n") + 1 or (len(data) if len(data) >= WHOLE_BYTES else 0)
        self._rest = data[cut:]
        if cut:
            self._take(data[:cut])

    def close(self) -> Digest:
        """What was kept of all that was fed."""
        if self._rest:
            self._take(self._rest)
            self._rest = b""
        found = [excerpt for group in self._last.values() for excerpt in group]
        excerpts = [self._cut_head(), *self._first, self._cut_tail(), *found]
        # By offset: excerpts overlap, and of a line that one of them cuts the longest part is taken.
        lines: dict[int, tuple[int, str]] = {}
        for excerpt in _drop_contained(excerpts):
            for offset, number, text in excerpt.split():
                if len(text) > len(lines.get(offset, (0, ""))[1]):
                    lines[offset] = (number, text)
        return build_digest((lines[offset] for offset in sorted(lines)), self._breaks + (not self._ended))

    def _take(self, piece: bytes) -> None:
        if len(self._head) < _HEAD_BYTES:
            self._head += piece[: _HEAD_BYTES - len(self._head)]
        self._tail.append(piece)
        while sum(map(len, self._tail)) - len(self._tail[0]) >= _TAIL_BYTES:
            self._tail.popleft()
        breaks = self._find(piece)
        self._fed_bytes += len(piece)
        self._breaks += breaks

    def _find(self, piece: bytes) -> int:
        """Keep the lines around what occurs in the piece, and count its line breaks."""
        positions: defaultdict[int, list[int]] = defaultdict(list)
        searched = piece.lower()
        for letter in self._runs:
            if letter * _LONG_RUN in searched:
                searched = re.sub(re.escape(letter) + b"{%d,}" % _LONG_RUN, _blank_middle, searched)
        for literal, start, _ in self._finder.find_matches_as_indexes(searched, overlapping=True):
            positions[literal].append(start)
        if not positions:
            return piece.count(b"\n")
        before = _count_breaks(piece)
        for literal, found in positions.items():
            first = max(0, _KEPT_FIRST - self._seen[literal])
            self._first += [self._cut_excerpt(piece, at, before) for at in found[:first]]
            group = self._last.setdefault(literal, deque(maxlen=_KEPT_LAST))
            kept = _KEPT_LAST if self._seen[literal] < _OFTEN else _KEPT_OF_OFTEN
            group.extend(self._cut_excerpt(piece, at, before) for at in found[first:][-kept:])
            self._seen[literal] += len(found)
        return before[-1]

    def _cut_excerpt(self, piece: bytes, at: int, before: list[int]) -> _Excerpt:
        """The lines around `at`, as far as they are within some kilobytes. `before` is of `_count_breaks`."""
        start, end = max(0, at - _CONTEXT_BYTES), min(len(piece), at + 2 * _CONTEXT_BYTES)
        begin = max(piece.rfind(b"\n", start, at) + 1, start)
        for _ in range(_CONTEXT_LINES):
            earlier = piece.rfind(b"\n", start, max(start, begin - 1)) + 1
            if earlier <= start:
                break
            begin = earlier
        if piece.count(b"\r", begin, at) > _LINES_AFTER:
            begin += _find_break(piece[begin:at], count_breaks(piece[begin:at]) - _CONTEXT_LINES)
        block = begin // _BLOCK_BYTES
        number = self._breaks + 1 + before[block] + piece.count(b"\n", block * _BLOCK_BYTES, begin)
        if piece.count(b"\n", at, end) + piece.count(b"\r", at, end) > 2 * _LINES_AFTER:
            end = at + _find_break(piece[at:end], _LINES_AFTER)
        return _Excerpt(self._fed_bytes + begin, number, piece[begin:end])

    def _cut_head(self) -> _Excerpt:
        return _Excerpt(0, 1, self._head[: _find_break(self._head, _END_LINES)])

    def _cut_tail(self) -> _Excerpt:
        data = b"".join(self._tail)
        start = max(0, len(data) - _TAIL_BYTES)
        start = data.find(b"\n", start) + 1 or start if start else 0
        over = count_breaks(data[start:]) - _END_LINES
        if over > 0:
            start += _find_break(data[start:], over)
        number = self._breaks + 1 - data.count(b"\n", start)
        return _Excerpt(self._fed_bytes - len(data) + start, number, data[start:])


def _blank_middle(run: re.Match[bytes]) -> bytes:
    """A run of one letter, as long as it was, with its ends only."""
    end = run[0][: _LONG_RUN // 2]
    return end + bytes(len(run[0]) - 2 * len(end)) + end


def _count_breaks(piece: bytes) -> list[int]:
    """How many lines end before each block of the piece, and, last, in the whole of it."""
    counts = (piece.count(b"\n", at, at + _BLOCK_BYTES) for at in range(0, len(piece), _BLOCK_BYTES))
    return [0, *accumulate(counts)]


def count_breaks(data: bytes) -> int:
    """How often a line ends or is begun anew."""
    return data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")


def _find_break(data: bytes, count: int) -> int:
    """The offset behind the break with this number, from 1; the length where there are fewer."""
    if count_breaks(data) < count:
        return len(data)
    return next(islice(_BREAK.finditer(data), count - 1, None)).end()


class _Excerpt(NamedTuple):
    """Bytes of a log: where they begin in it, and the number of the line that they begin in."""

    offset: int
    number: int
    data: bytes

    def split(self) -> Iterator[tuple[int, int, str]]:
        """Each line, in parts where a progress bar overwrote it or where it is long: offset, number, text."""
        offset = self.offset
        for index, line in enumerate(self.data.split(b"\n")):
            for part, text in enumerate(split_line(line.decode("utf-8", errors="replace"))):
                # Parts of a line follow each other; that their exact offsets differ by some bytes is no matter.
                yield offset + part, self.number + index, text
            offset += len(line) + 1


def _drop_contained(excerpts: list[_Excerpt]) -> Iterator[_Excerpt]:
    """Those that another does not hold as a whole."""
    end = 0
    for excerpt in sorted(excerpts, key=lambda excerpt: (excerpt.offset, -len(excerpt.data))):
        if excerpt.offset + len(excerpt.data) > end:
            end = excerpt.offset + len(excerpt.data)
            yield excerpt
