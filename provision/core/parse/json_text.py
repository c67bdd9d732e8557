"""JSON that a probe of ours holds, and that somebody may have changed."""

from __future__ import annotations

from typing import TypeVar

import msgspec

T = TypeVar("T")


def parse_json(text: str, kind: type[T]) -> T | None:
    """The value, or None for text that is not JSON of that shape or is nested too deeply. Never raises."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
