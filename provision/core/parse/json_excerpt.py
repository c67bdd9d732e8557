"""JSON in the middle of a paste: behind a prompt or a warning, and before the next prompt."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_START = re.compile(r"^[ \t]{0,16}[{\[]", re.MULTILINE)
# A paste holds few documents; a log full of brackets is not worth a decode for each line.
_ATTEMPTS = 16
_LIMIT = 4 * 2**20


def parse_json_excerpts(text: str) -> Iterator[Any]:
    """Each JSON object or array of at most 4 MiB that begins a line, in order. Never raises."""
    decoder = json.JSONDecoder()
    position = 0
    for _ in range(_ATTEMPTS):
        start = _START.search(text, position)
        if start is None:
            return
        try:
            value, length = decoder.raw_decode(text[start.end() - 1 : start.end() + _LIMIT])
        except (ValueError, RecursionError):
            position = start.end()
            continue
        position = start.end() - 1 + length
        yield value


def get_mapping(value: object) -> dict[str, Any]:
    """`value` when it is an object; an empty one for everything else."""
    return value if isinstance(value, dict) else {}


def get_mappings(value: object) -> list[dict[str, Any]]:
    """The objects of an array; none when `value` is no array."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def get_text(value: object) -> str | None:
    """A string with more than blanks in it, without those around it."""
    return value.strip() or None if isinstance(value, str) else None


def get_number(value: object) -> int | None:
    """A whole number, also one written as a string; None for everything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,18}", value.strip()) else None
