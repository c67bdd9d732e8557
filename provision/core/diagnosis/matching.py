"""Where the signs of a failure occur in a digest."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import lru_cache

from msgspec import Struct

from provision.core.diagnosis.digest import Digest, lower_ascii, normalize
from provision.model.failure import Failure, LogLine, Sign

REGEX_MARK = "re:"
_LEAST_LITERAL = 6
_EVIDENCE_LINES = 6
_EVIDENCE_WIDTH = 240
# The last occurrences are tried first: what ended a program stands at the end of its log.
_TRIED = 24
# All that a progress bar overwrote is of one line: what is near is bounded by parts and characters as well.
_NEAR_PARTS = 200
_NEAR_LENGTH = 64 * 1024


class Match(Struct, frozen=True, kw_only=True):
    """A sign that holds: the lines that show it."""

    sign: Sign
    evidence: tuple[LogLine, ...]


def list_literals(failures: tuple[Failure, ...]) -> list[str]:
    """Every literal fragment, lower case: what a long log is searched for."""
    fragments = {
        _fold(fragment)
        for failure in failures
        for sign in failure.signs
        for fragment in sign.all
        if not fragment.startswith(REGEX_MARK)
    }
    return sorted(fragments)


def describe_bad_sign(sign: Sign) -> str | None:
    """What is wrong with a sign as data, or None."""
    for fragment in (*sign.all, *sign.none):
        if fragment.startswith(REGEX_MARK):
            try:
                re.compile(fragment[len(REGEX_MARK) :])
            except re.error as error:
                return f"{fragment!r} is no regular expression: {error}"
    literal = [fragment for fragment in sign.all if not fragment.startswith(REGEX_MARK)]
    if not sign.repeats and not any(len(normalize(fragment)) >= _LEAST_LITERAL for fragment in literal):
        return f"no literal fragment of {_LEAST_LITERAL} characters or more"
    return None


def find_sign(sign: Sign, digest: Digest) -> Match | None:
    """The sign in the log, or None. The place nearest to the end is taken."""
    if sign.repeats:
        places: Iterator[tuple[int, int]] = _list_repeats(digest)
        others = sign.all
    else:
        anchor = _choose_anchor(sign, digest)
        if anchor is None:
            return None
        places = _find_last(_fold(anchor), digest)
        others = tuple(fragment for fragment in sign.all if fragment is not anchor)
    for start, end in places:
        first, last = digest.find_line(start), digest.find_line(max(start, end - 1))
        low, high = _widen(digest, first, last, sign.within)
        found = [(start, end)]
        for fragment in others:
            span = _find_within(fragment, digest, low, high)
            if span is None:
                break
            found.append(span)
        else:
            if not any(_find_within(fragment, digest, low, high) for fragment in sign.none):
                return Match(sign=sign, evidence=_build_evidence(digest, found))
    return None


def _choose_anchor(sign: Sign, digest: Digest) -> str | None:
    """The literal that occurs least: few places are to be tried. None when one does not occur at all."""
    literal = [fragment for fragment in sign.all if not fragment.startswith(REGEX_MARK)]
    if len(literal) < 2:
        return literal[0] if literal else None
    counts = {fragment: digest.lowered.count(_fold(fragment)) for fragment in literal}
    rarest = min(literal, key=lambda fragment: (counts[fragment], -len(fragment)))
    return rarest if counts[rarest] else None


def _list_repeats(digest: Digest) -> Iterator[tuple[int, int]]:
    """Where text repeats itself: two lines of each run, the last run first."""
    for first, last in reversed(digest.repeats):
        yield digest.starts[first], digest.starts[min(first + 1, last)] + 1


def _find_last(literal: str, digest: Digest) -> Iterator[tuple[int, int]]:
    end = len(digest.lowered)
    for _ in range(_TRIED):
        start = digest.lowered.rfind(literal, 0, end)
        if start < 0:
            return
        yield start, start + len(literal)
        end = start + len(literal) - 1


def _widen(digest: Digest, first: int, last: int, within: int) -> tuple[int, int]:
    """The offsets of the text whose lines are at most `within` from the lines `first` to `last`.

    On either side they are 200 parts of lines and 64 KiB at most.
    """
    numbers, starts = digest.numbers, digest.starts
    least = max(0, first - _NEAR_PARTS, bisect_left(starts, starts[first] - _NEAR_LENGTH))
    low = bisect_left(numbers, numbers[first] - within, least, first)
    end = starts[last + 1] if last + 1 < len(starts) else len(digest.text)
    most = min(len(starts), last + 1 + _NEAR_PARTS, bisect_left(starts, end + _NEAR_LENGTH))
    high = bisect_right(numbers, numbers[last] + within, last, max(most, last + 1))
    return starts[low], starts[high] if high < len(starts) else len(digest.text)


def _find_within(fragment: str, digest: Digest, low: int, high: int) -> tuple[int, int] | None:
    if fragment.startswith(REGEX_MARK):
        match = _compile(fragment).search(digest.text, low, high)
        return None if match is None else match.span()
    literal = _fold(fragment)
    start = digest.lowered.find(literal, low, high)
    return None if start < 0 else (start, start + len(literal))


@lru_cache(maxsize=4096)
def _fold(fragment: str) -> str:
    """A literal fragment as it is looked for: in lower case, with single spaces."""
    return lower_ascii(normalize(fragment))


@lru_cache(maxsize=2048)
def _compile(fragment: str) -> re.Pattern[str]:
    return re.compile(fragment[len(REGEX_MARK) :], re.IGNORECASE)


def _build_evidence(digest: Digest, spans: list[tuple[int, int]]) -> tuple[LogLine, ...]:
    """The lines of the spans, each once, in the order of the log."""
    at: dict[int, int] = {}
    for start, end in spans:
        first, last = digest.find_line(start), digest.find_line(max(start, end - 1))
        for index in range(first, min(last, first + 2) + 1):
            at.setdefault(index, start)
    lines = []
    for index in sorted(at)[:_EVIDENCE_LINES]:
        text = digest.get_text(index, index).strip()
        offset = max(0, at[index] - digest.starts[index] - 60) if len(text) > _EVIDENCE_WIDTH else 0
        cut = text[offset : offset + _EVIDENCE_WIDTH]
        lines.append(LogLine(line=digest.numbers[index], text=f"…{cut}" if offset else cut))
    return tuple(lines)
