"""Text that a console broke at its own width, in the middle of words, put together again."""

from __future__ import annotations

from collections.abc import Sequence

# Narrower than this no console is; at these widths one full line is enough to tell.
_LEAST_WIDTH = 60
_USUAL_WIDTHS = (80, 100, 120, 132, 160)
# Of more lines than these, all but one in so many being full: a table or a hex dump, which nothing broke.
_FEW_LINES = 8
_NEARLY_ALL = 10
_JOINED_LIMIT = 4000


def unwrap_lines(lines: Sequence[tuple[int, str]]) -> list[tuple[int, str]] | None:
    """Numbered lines with each full one joined to what follows it; None when no width shows.

    A full line is as long as the longest, and several are, or its length is a usual console's; where nearly all
    are full nothing was wrapped. The joined line has the number of its first, and is not continued beyond some
    thousand characters.
    """
    width = max((len(line) for _, line in lines), default=0)
    full = sum(len(line) == width for _, line in lines)
    if width < _LEAST_WIDTH or (full < 2 and width not in _USUAL_WIDTHS):
        return None
    if len(lines) > _FEW_LINES and (len(lines) - full) * _NEARLY_ALL < len(lines):
        return None
    joined: list[tuple[int, str]] = []
    parts: list[str] = []
    for index, (number, line) in enumerate(lines):
        if not parts:
            first = number
        parts.append(line)
        ends = len(line) < width or len(parts) * width >= _JOINED_LIMIT
        if ends or index + 1 == len(lines):
            joined.append((first, "".join(parts)))
            parts = []
    return joined
