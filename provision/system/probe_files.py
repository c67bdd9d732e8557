"""Looks at files of a machine that may be anything: what cannot be read is nothing, not an error."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

TEXT_LIMIT_BYTES = 64 * 1024
LIST_LIMIT = 64


def read_text(path: Path, *, limit_bytes: int = TEXT_LIMIT_BYTES) -> str:
    """The beginning of a file as text; undecodable bytes are replaced."""
    return read_bytes(path, limit_bytes).decode(errors="replace")


def read_bytes(path: Path, limit_bytes: int) -> bytes:
    """The beginning of a file; nothing where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(limit_bytes)
    except OSError:
        return b""


def list_matches(folder: Path, pattern: str) -> Iterator[Path]:
    """The paths below a folder that match; none where it cannot be listed."""
    try:
        yield from folder.glob(pattern)
    except OSError:
        return


def list_names(folder: Path) -> list[str] | None:
    """The names in a folder, sorted, the first of many; None where there is no such folder."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:
        return None
    return [clean_name(name) for name in islice(names, LIST_LIMIT)]


def show_path(path: Path, system_root: Path) -> str:
    """As the user would write it: from the root of the system on."""
    inside = path.is_relative_to(system_root)
    return clean_name(f"/{path.relative_to(system_root)}" if inside else str(path))


def clean_name(name: str) -> str:
    """Text that fits into JSON: a file's name may be no UTF-8."""
    return name.encode(errors="replace").decode()
