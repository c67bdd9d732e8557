"""Text that a console broke at its own width, in the middle of words, put together again."""

from __future__ import annotations

from collections.abc import Sequence

# Narrower than this no console is; at these widths one full line is enough to tell.
_LEAST_WIDTH = 60
_USUAL_WIDTHS = (80, 100, 120, 132, 160)


def unwrap_lines(lines: Sequence[tuple[int, str]]) -> list[tuple[int, str]] | None:
    """Numbered lines with each full one joined to what follows it; None when no width shows.

    A full line is as long as the longest, and several are, or its length is a usual console's. The joined line
    has the number of its first.
    """
    width = max((len(line) for _, line in lines), default=0)
    full = sum(len(line) == width for _, line in lines)
    if width < _LEAST_WIDTH or (full < 2 and width not in _USUAL_WIDTHS):
        return None
    joined: list[tuple[int, str]] = []
    goes_on = False
    for number, line in lines:
        if goes_on:
            joined[-1] = (joined[-1][0], joined[-1][1] + line)
        else:
            joined.append((number, line))
        goes_on = len(line) == width
    return joined
