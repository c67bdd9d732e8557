"""Data as YAML text that means the same in YAML 1.1 and 1.2: block style, or JSON style where `{}` stands."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

# Letters, digits and what names, versions, paths and Hub ids are made of; single spaces between words.
_PLAIN = re.compile(r"(?:[\w/]|\.(?=[\w/]))[\w./+()@-]*(?: [\w/+(][\w./+()@-]*)*")
# YAML 1.2 reads some of these as numbers where 1.1 does not (1e3, 0o7), so they are quoted for both.
_NUMERIC = re.compile(r"\.?[0-9][0-9a-fA-FxXoO_.:eE+-]*")
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", ".inf", ".nan"))
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def render_scalar(value: object, *, quote: str = "") -> str:
    """A text, number, truth value or None on one line.

    `quote` is the style for text: `'`, `"`, or "" for plain where that is safe. Text with control characters
    is always in double quotes.
    """
    if isinstance(value, float):
        digits = repr(value)
        # YAML 1.1 takes 1e-07 for a text: its floats need a dot.
        return digits if "." in digits else digits.replace("e", ".0e")
    if not isinstance(value, str):
        return json.dumps(value)
    if not quote and _is_plain(value):
        return value
    if not quote and ("\\" in value or '"' in value) and "'" not in value:
        quote = "'"
    if quote == "'" and not _UNPRINTABLE.search(value):
        return "'" + value.replace("'", "''") + "'"
    return _quote(value)


def _is_plain(text: str) -> bool:
    if not _PLAIN.fullmatch(text) or _NUMERIC.fullmatch(text):
        return False
    return text.lower() not in _WORDS


def _quote(text: str) -> str:
    escaped = json.dumps(text, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", escaped)


def render_flow(value: object) -> str:
    """`value` on one line in JSON style, so that a JSON file stays one."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(render_flow_pairs(value)) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(render_flow(item) for item in value) + "]"
    return _quote(value) if isinstance(value, str) else render_scalar(value)


def render_flow_pairs(mapping: Mapping[str, object]) -> list[str]:
    """`"key": value` of each pair, without the braces."""
    return [f"{_quote(key)}: {render_flow(value)}" for key, value in mapping.items()]


def render_block(mapping: Mapping[str, object], *, indent: str, step: int) -> list[str]:
    """The lines of a block mapping, each indented by `indent`, what is nested by `step` spaces more."""
    lines = []
    for key, value in mapping.items():
        name = f"{indent}{render_scalar(key)}:"
        if isinstance(value, Mapping) and value:
            lines += [name, *render_block(value, indent=indent + " " * step, step=step)]
        elif isinstance(value, Mapping | list | tuple):
            lines.append(f"{name} {render_flow(value)}")
        else:
            lines.append(f"{name} {render_scalar(value)}")
    return lines
