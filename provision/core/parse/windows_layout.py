"""How Windows' tools lay out adapters: blocks of `Key : Value`, `Key=Value`, and tables in columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

_ADAPTER_NAME = re.compile(
    r"NVIDIA (?:GeForce|Quadro|RTX|TITAN|Tesla|T\d)|AMD Radeon|Radeon |Intel\(R\) .{0,40}(?:Graphics|Arc)"
    r"|Microsoft .{0,40}Display"
)
_BLOCK_LINE = re.compile(r"^[ \t]{0,16}([A-Za-z]\w{1,40}) {0,40}:(?: (.{0,1000}))?$")
_BLOCK_KEYS = {
    "AdapterRAM",
    "AdapterCompatibility",
    "AdapterDACType",
    "CreationClassName",
    "PNPDeviceID",
    "InstanceId",
}
_WMIC_KEYS = {
    *("Name", "Caption", "Description", "AdapterRAM", "AdapterCompatibility", "DriverVersion", "PNPDeviceID"),
    *("VideoProcessor", "ConfigManagerErrorCode"),
}
# What the values of a table's columns look like.
_COLUMNS = {
    "AdapterRAM": re.compile(r"(?:-?\d{1,15})?"),
    "DriverVersion": re.compile(r"(?:\d[\d.]{2,30})?"),
    "PNPDeviceID": re.compile(r"(?:[A-Z]{2,8}\\.{1,300})?"),
}
_TABLE_KEYS = {"AdapterRAM", "DriverVersion", "VideoProcessor", "PNPDeviceID"}


def split_lines(text: str) -> list[str]:
    """The lines; without the empty ones where these stand between any two, as line ends put twice make them."""
    lines = text.splitlines()
    if any(first.strip() and second.strip() for first, second in pairwise(lines)):
        return lines
    return [line for line in lines if line.strip()]


def read_blocks(text: str) -> Iterator[dict[str, str]]:
    """`Key : Value`; an empty line, another text, or a key that comes again ends an adapter.

    A line that begins with many blanks continues a value and is passed over.
    """
    keys: dict[str, str] = {}
    for line in [*split_lines(text), ""]:
        match = _BLOCK_LINE.match(line)
        if match is None and line.startswith(" " * 12) and line.strip():
            continue
        if match is None or match[1] in keys:
            if not _BLOCK_KEYS.isdisjoint(keys):
                yield keys
            keys = {}
        if match is not None:
            keys[match[1]] = (match[2] or "").strip()


def read_assignments(text: str) -> Iterator[dict[str, str]]:
    """`Key=Value` of WMIC, which sets empty lines anywhere: only a key that comes again ends an adapter."""
    keys: dict[str, str] = {}
    for line in text.splitlines():
        key, found, value = (part.strip() for part in line.partition("="))
        if not found or key not in _WMIC_KEYS:
            continue
        if key in keys:
            yield keys
            keys = {}
        keys[key] = value
    if keys:
        yield keys


def read_columns(text: str) -> Iterator[dict[str, str]]:
    """Columns begin where the words of the header do; a line that does not fit ends the table."""
    starts: list[tuple[str, int]] = []
    for line in text.splitlines():
        if _is_header(line):
            starts = [(match[0], match.start()) for match in re.finditer(r"\S+", line)]
        elif starts and line.strip(" -\t"):
            ends = [start for _, start in starts[1:]] + [len(line)]
            keys = {name: line[start:end].strip() for (name, start), end in zip(starts, ends, strict=True)}
            if _is_row(keys):
                yield keys
            else:
                starts = []


def read_csv_rows(text: str) -> Iterator[dict[str, str]]:
    """`wmic ... /format:csv` and PowerShell's `ConvertTo-Csv`: names in a first line, quoted or not."""
    names: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip().strip('"') for cell in line[:2000].split(",")]
        if not names and {"Name", "Caption"} & set(cells) and _TABLE_KEYS & set(cells):
            names = cells
        elif names and len(cells) == len(names):
            yield dict(zip(names, cells, strict=True))
        elif names and line.strip():
            return


def _is_row(keys: dict[str, str]) -> bool:
    """Whether each value looks like its column's. A name alone must be a known maker's."""
    if not all(pattern.fullmatch(keys.get(key, "")) for key, pattern in _COLUMNS.items()):
        return False
    name = keys.get("Name") or keys.get("Caption", "")
    told = any(keys.get(key) for key in _COLUMNS)
    return bool(name) and (told or _ADAPTER_NAME.match(name) is not None)


def _is_header(line: str) -> bool:
    """Of `wmic`, and of PowerShell's `Select-Object Name, DriverVersion, AdapterRAM`."""
    words = line[:2000].split()
    named = not {"Name", "Caption"}.isdisjoint(words)
    told = not _TABLE_KEYS.isdisjoint(words) or len(words) == 1
    return named and told and all(word.isidentifier() for word in words)


def _is_list_of_names(text: str) -> bool:
    """`wmic path win32_VideoController get name` and nothing else: a heading, then adapters."""
    lines = [line.strip() for line in text[:2000].splitlines() if line.strip(" -\t")]
    if lines and "win32_videocontroller" in lines[0].lower():
        del lines[0]
    return len(lines) > 1 and lines[0] in {"Name", "Caption"} and all(map(_ADAPTER_NAME.match, lines[1:]))


def is_table(text: str) -> bool:
    """Whether a table of adapters is in the text, with a column that only these have."""
    if any(key in text for key in _TABLE_KEYS):
        if any(True for _ in read_csv_rows(text)):
            return True
        return any(_is_header(line) for line in text.splitlines() if line.strip() not in {"Name", "Caption"})
    return _is_list_of_names(text)
