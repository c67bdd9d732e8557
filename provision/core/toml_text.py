"""TOML as lock files are written: deterministic, one package or file a line, so that a diff reads well."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

_WIDTH = 100


def render_toml(document: Mapping[str, Any]) -> str:
    """`document` as TOML: its scalars and lists first, then each list of mappings as `[[key]]` tables.

    Values are str, int, float, bool, datetime, lists and mappings of these. None values are left out.
    """
    plain = {key: value for key, value in document.items() if not _is_tables(value) and value is not None}
    parts = ["".join(_render_pair(key, value) for key, value in plain.items())]
    for key, tables in document.items():
        if _is_tables(tables):
            parts += [f"[[{_key(key)}]]\n" + _render_table(table) for table in tables]
    return "\n".join(part for part in parts if part)


def _is_tables(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and isinstance(value[0], Mapping)


def _render_table(table: Mapping[str, Any]) -> str:
    return "".join(_render_pair(key, value) for key, value in table.items() if value is not None)


def _render_pair(key: str, value: Any) -> str:
    if not isinstance(value, (list, tuple)) or not value:
        return f"{_key(key)} = {_value(value)}\n"
    line = f"{_key(key)} = {_value(value)}\n"
    if not isinstance(value[0], Mapping) and len(line) <= _WIDTH:
        return line
    items = "".join(f"  {_value(item)},\n" for item in value)
    return f"{_key(key)} = [\n{items}]\n"


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            # JSON's escapes are among TOML's; it leaves alone the one control character that TOML forbids.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case Mapping():
            pairs = (f"{_key(key)} = {_value(item)}" for key, item in value.items() if item is not None)
            return f"{{ {', '.join(pairs)} }}" if value else "{}"
        case list() | tuple():
            return f"[{', '.join(_value(item) for item in value)}]"
        case _:
            return repr(value)


def _key(key: str) -> str:
    bare = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if bare else _value(key)
