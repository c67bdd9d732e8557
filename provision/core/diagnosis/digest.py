"""The part of a log that is searched, as text with the numbers of its lines."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator

from msgspec import Struct

from provision.core.diagnosis.cleaning import clean_line
from provision.core.diagnosis.repetition import find_repeats

# A log is read whole up to this size and so many lines.
WHOLE_BYTES = 2 * 2**20
WHOLE_LINES = 60_000
_LINE_LIMIT = 4000
_SPACES = re.compile(r"\s+")


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
        (number, part) for number, line in enumerate(text.split("\n"), start=1) for part in split_line(line)
    ]


def split_line(line: str) -> Iterator[str]:
    """A line in the parts that a progress bar overwrote, and those in pieces that are not too long."""
    for part in line.split("\r") if "\r" in line else (line,):
        yield from (part[i : i + _LINE_LIMIT] for i in range(0, max(len(part), 1), _LINE_LIMIT))
