"""Text that a repeated heading divides."""

from __future__ import annotations

import re
from collections.abc import Iterator


def read_blocks(heading: re.Pattern[str], text: str) -> Iterator[tuple[re.Match[str], str]]:
    """(heading, text behind it up to the next heading); what stands before the first is left out."""
    last: re.Match[str] | None = None
    for match in heading.finditer(text):
        if last is not None:
            yield last, text[last.end() : match.start()]
        last = match
    if last is not None:
        yield last, text[last.end() :]
