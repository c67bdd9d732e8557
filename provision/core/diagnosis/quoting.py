"""Messages that a document quotes, which nothing has just said."""

from __future__ import annotations

import re
from collections.abc import Sequence

from provision.model.failure import LogLine

# A row of a Markdown table, its rule, a heading, and a message in backticks within a sentence or an item.
_ROW = re.compile(r"^\|.{1,400}\|")
_RULE = re.compile(r"(?:^|\s)\|? ?:?-{3,}:? ?\| ?:?-{2,}")
_HEADING = re.compile(r"^#{1,6} \S")
_IN_BACKTICKS = re.compile(r"[^`\s][^`]*`[^`]{4,}`|`[^`]{4,}`[^`]*[^`\s.,;:]")
_ITEM = re.compile(r"^(?:[-*+\u2022]|\d{1,2}[.)]) ")
# A person who asks quotes one message or two; a page on known problems quotes more.
_LEAST_OF_A_PAGE = 3


def find_quoted(evidence: Sequence[Sequence[LogLine]], text: str) -> list[bool]:
    """For each cause's evidence, whether a document quotes it: `text` is the log as a whole.

    A table's rows always do. Headings, list items and backticks do when three causes or more stand in such.
    """
    table = _RULE.search(text) is not None
    rows = [table and all(_ROW.match(line.text) for line in lines) for lines in evidence]
    marked = [all(_is_marked(line.text) for line in lines) for lines in evidence]
    page = sum(row or mark for row, mark in zip(rows, marked, strict=True)) >= _LEAST_OF_A_PAGE
    return [row or (page and mark) for row, mark in zip(rows, marked, strict=True)]


def _is_marked(line: str) -> bool:
    return bool(_HEADING.match(line) or _ITEM.match(line) or _IN_BACKTICKS.search(line))
