"""The part of a log that is searched: all of a short one; of a long one its ends and what fragments occur in."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ahocorasick_rs import BytesAhoCorasick
from msgspec import Struct

from provision.core.diagnosis.cleaning import clean_line
from provision.core.diagnosis.repetition import find_repeats

# Read whole up to this size; beyond it these are kept of both ends, and lines around what was found.
WHOLE_BYTES = 2 * 2**20
_HEAD_BYTES = 256 * 1024
_TAIL_BYTES = 768 * 1024
_CONTEXT_LINES = 6
_CONTEXT_BYTES = 1500
# How often one fragment's lines are kept, first and last ones: a log can repeat one warning a million times.
_KEPT_FIRST = 12
_KEPT_LAST = 12
# One that came so often is kept less often of each piece: cutting is what takes the time.
_OFTEN = 200
_KEPT_OF_OFTEN = 2
_LINE_LIMIT = 4000
_SPACES = re.compile(r"\s+")
_BREAK = re.compile(rb"\n")


class Digest(Struct, frozen=True, kw_only=True):
    """Lines of a log in order. `text` is the lines joined by one space each, runs of white space made one.

    `lowered` is `text` with ASCII letters in lower case, of the same length. `starts` are the offsets of the
    lines in `text`, `numbers` their numbers in the log, from 1. `lines_total` counts the whole log.
    `repeats` are the first and last index of lines of plain text that come again and again. `unwrapped` is the
    same log without the breaks that a console put into its lines, where such breaks show.
    """

    text: str
    lowered: str
    starts: tuple[int, ...]
    numbers: tuple[int, ...]
    lines_total: int
    repeats: tuple[tuple[int, int], ...] = ()
    unwrapped: Digest | None = None

    def find_line(self, offset: int) -> int:
        """The index of the line that `offset` of `text` lies in."""
        return bisect_right(self.starts, offset) - 1

    def get_text(self, first: int, last: int) -> str:
        """The text of the lines with the indices `first` to `last`, both included."""
        end = self.starts[last + 1] if last + 1 < len(self.starts) else len(self.text)
        return self.text[self.starts[first] : end]


def normalize(text: str) -> str:
    """Runs of white space as one space."""
    return _SPACES.sub(" ", text).strip()


def lower_ascii(text: str) -> str:
    """ASCII letters in lower case, all else as it is: the length stays, unlike with `str.lower`."""
    return text.translate(_LOWER)


_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def build_digest(lines: Iterable[tuple[int, str]], lines_total: int) -> Digest:
    """A digest of numbered lines. A line that unfolds to several, or is very long, stays one line."""
    parts: list[str] = []
    starts: list[int] = []
    numbers: list[int] = []
    offset = 0
    for number, raw in lines:
        line = normalize(clean_line(raw))
        if not line:
            continue
        parts.append(line)
        starts.append(offset)
        numbers.append(number)
        offset += len(line) + 1
    text = " ".join(parts)
    return Digest(
        text=text,
        lowered=lower_ascii(text),
        starts=tuple(starts),
        numbers=tuple(numbers),
        lines_total=lines_total,
        repeats=find_repeats(parts),
    )


def split_lines(text: str) -> list[tuple[int, str]]:
    """Numbered lines of a short log. What a progress bar overwrote counts as lines of the same number."""
    return [
        (number, part) for number, line in enumerate(text.split("\n"), start=1) for part in _split_line(line)
    ]


class LogReducer:
    """Takes a long log piece by piece and keeps what can matter, in bounded memory.

    `literals` are what is looked for, in lower case; `feed` takes UTF-8 bytes in any cut.
    """

    def __init__(self, literals: Sequence[str]) -> None:
        self._finder = BytesAhoCorasick([literal.encode() for literal in literals])
        self._first: list[_Excerpt] = []
        self._last: dict[int, deque[_Excerpt]] = {}
        self._seen: Counter[int] = Counter()
        self._tail: deque[_Excerpt] = deque()
        self._rest = b""
        self._lines = 0
        # Where lines end in the piece that is being taken.
        self._breaks: list[int] = []
        self._fed_bytes = 0

    def feed(self, data: bytes) -> None:
        """The next bytes of the log."""
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
            self._lines += not self._rest.endswith(b"\n")
            self._rest = b""
        excerpts = [*self._first, *self._tail, *(found for group in self._last.values() for found in group)]
        # By offset: excerpts overlap, and of a line that one of them cuts the longest part is taken.
        lines: dict[int, tuple[int, str]] = {}
        for excerpt in _drop_contained(excerpts):
            for offset, number, text in excerpt.split():
                if len(text) > len(lines.get(offset, (0, ""))[1]):
                    lines[offset] = (number, text)
        return build_digest((lines[offset] for offset in sorted(lines)), self._lines)

    def _take(self, piece: bytes) -> None:
        self._breaks = [match.start() for match in _BREAK.finditer(piece)]
        if self._fed_bytes < _HEAD_BYTES:
            self._first.append(self._cut(piece, 0, _HEAD_BYTES))
        self._find(piece)
        self._keep_tail(piece)
        self._fed_bytes += len(piece)
        self._lines += len(self._breaks)

    def _find(self, piece: bytes) -> None:
        positions: dict[int, list[int]] = {}
        for literal, start, _ in self._finder.find_matches_as_indexes(piece.lower(), overlapping=True):
            if literal in positions:
                positions[literal].append(start)
            else:
                positions[literal] = [start]
        for literal, found in positions.items():
            first = max(0, _KEPT_FIRST - self._seen[literal])
            self._first += [self._cut_excerpt(piece, at) for at in found[:first]]
            group = self._last.setdefault(literal, deque(maxlen=_KEPT_LAST))
            kept = _KEPT_LAST if self._seen[literal] < _OFTEN else _KEPT_OF_OFTEN
            group.extend(self._cut_excerpt(piece, at) for at in found[first:][-kept:])
            self._seen[literal] += len(found)

    def _cut_excerpt(self, piece: bytes, at: int) -> _Excerpt:
        """The lines around `at`, as far as they are within some kilobytes."""
        start, end = max(0, at - _CONTEXT_BYTES), min(len(piece), at + 2 * _CONTEXT_BYTES)
        begin = max(piece.rfind(b"\n", start, at) + 1, start)
        for _ in range(_CONTEXT_LINES):
            before = piece.rfind(b"\n", start, max(start, begin - 1)) + 1
            if before <= start:
                break
            begin = before
        return self._cut(piece, begin, end)

    def _keep_tail(self, piece: bytes) -> None:
        start = max(0, len(piece) - _TAIL_BYTES)
        start = piece.find(b"\n", start) + 1 or start if start else 0
        self._tail.append(self._cut(piece, start, len(piece)))
        kept = sum(len(excerpt.data) for excerpt in self._tail)
        while len(self._tail) > 1 and kept - len(self._tail[0].data) >= _TAIL_BYTES:
            kept -= len(self._tail.popleft().data)

    def _cut(self, piece: bytes, begin: int, end: int) -> _Excerpt:
        number = self._lines + 1 + bisect_left(self._breaks, begin)
        return _Excerpt(self._fed_bytes + begin, number, piece[begin:end])


class _Excerpt(NamedTuple):
    """Bytes of a log: where they begin in it, and the number of the line that they begin in."""

    offset: int
    number: int
    data: bytes

    def split(self) -> Iterator[tuple[int, int, str]]:
        """Each line, in parts where a progress bar overwrote it or where it is long: offset, number, text."""
        offset = self.offset
        for index, line in enumerate(self.data.split(b"\n")):
            for part, text in enumerate(_split_line(line.decode("utf-8", errors="replace"))):
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


def _split_line(line: str) -> Iterator[str]:
    for part in line.split("\r") if "\r" in line else (line,):
        yield from (part[i : i + _LINE_LIMIT] for i in range(0, max(len(part), 1), _LINE_LIMIT))
