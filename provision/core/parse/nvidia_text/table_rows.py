"""The rows of the table that `nvidia-smi` prints: up to three lines for each GPU."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from provision.core.parse.nvidia_text.answers import is_product_alone
from provision.model.facts import Gpu

_LINE_LIMIT = 400
_BOX = str.maketrans("│┃║─━═├╞╭┌╒╘╰└┼╪", "|||--=|||+++++++")
_SWITCH = r"On|Off|N/A|Enabled|Disabled|WDDM|TCC|MCDM|ERR!"
_BUS = r"[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]"
_FIRST_CELL = re.compile(rf"(\d{{1,3}})\s+(\S.{{0,80}}?)(?:\s+({_SWITCH}))?")
_SECOND_CELL = re.compile(rf"({_BUS}|N/A|ERR!)(?:\s+(?:{_SWITCH}))?")
# A row whose bars were lost on the way.
_BARE_ROW = re.compile(
    rf"\s{{0,9}}(\d{{1,3}})\s+(\S.{{0,80}}?)\s+({_SWITCH})\s+({_BUS})\s+(?:{_SWITCH})\s+(\S+)"
)
# A text that ends in the first cell of the first GPU.
_CUT_ROW = re.compile(rf"\|\s*(\d{{1,3}})\s+(\S.{{0,80}}?)(?:\s+({_SWITCH}))?")
_MEMORY = re.compile(r"(\d{1,9}) ?MiB ?/ {0,12}(\d{1,9}) ?MiB")
# Other makers' tools print tables of the same form.
_OTHER_MAKER = re.compile(
    r"Intel|AMD|Radeon|Moore|MTT|MetaX|MXC|Iluvatar|Ascend|Kunlun|Hygon|DCU|MLU", re.IGNORECASE
)


class TableRow(Struct, kw_only=True):
    """One GPU's lines while they are read."""

    index: str
    name: str
    switch: str | None
    bus_id: str | None
    ecc: str | None = None
    used_mib: int | None = None
    total_mib: int | None = None
    memory_line: str | None = None
    mig: str | None = None
    lines: int = 1
    closed: bool = False


def split_lines(text: str) -> Iterator[str]:
    """The lines that are not blank: some consoles and forums put a blank one behind each."""
    lines = (line[:_LINE_LIMIT].strip() for line in text.translate(_BOX).split("\n"))
    return (line for line in lines if line)


def read_row(line: str) -> TableRow | None:
    """The first line of a GPU: its index and name, its address, its count of memory errors."""
    if "|" not in line:
        bare = _BARE_ROW.match(line)
        return (
            None
            if bare is None
            else TableRow(index=bare[1], name=bare[2], switch=bare[3], bus_id=bare[4], ecc=bare[5])
        )
    cells = [cell.strip() for cell in line.strip("| ").split("|")]
    if len(cells) < 2:
        return None
    first, second = _FIRST_CELL.fullmatch(cells[0]), _SECOND_CELL.fullmatch(cells[1])
    if first is None or second is None or not re.search(r"[A-Za-z]", first[2]):
        return None
    if _OTHER_MAKER.match(first[2]):
        return None
    # Without an address it could be a row of another table, were it not for the switch.
    if second[1] in {"N/A", "ERR!"} and first[3] is None:
        return None
    bus_id = None if second[1] in {"N/A", "ERR!"} else second[1]
    ecc = cells[2] if len(cells) > 2 else None
    return TableRow(index=first[1], name=first[2], switch=first[3], bus_id=bus_id, ecc=ecc)


def read_rows(lines: Sequence[str]) -> list[TableRow]:
    rows: list[TableRow] = []
    known: set[tuple[str, str]] = set()
    current: TableRow | None = None
    for line in lines:
        row = read_row(line)
        if row is not None:
            current = row
            if (row.name, row.bus_id or row.index) not in known:
                rows.append(row)
            known.add((row.name, row.bus_id or row.index))
        elif current is not None:
            current = _read_further_line(current, line)
    cut = _CUT_ROW.fullmatch(lines[-1]) if lines and not rows else None
    if cut and is_product_alone(cut[2]):
        rows.append(TableRow(index=cut[1], name=cut[2], switch=cut[3], bus_id=None))
    return rows


def _read_further_line(row: TableRow, line: str) -> TableRow | None:
    """Puts what a line behind the first one says into `row`; None when the GPU's lines have ended."""
    if line.startswith(("+-", "+=", "|=", "|-")):
        row.closed = True
        return None
    row.lines += 1
    memory = _MEMORY.search(line)
    if row.total_mib is None and memory:
        row.memory_line = line
        row.used_mib, row.total_mib = int(memory[1]), int(memory[2])
        return row
    # The end of a line that a narrow console broke has one bar at most.
    if row.memory_line is None and line.count("|") > 1:
        row.memory_line = line
        return row
    last = line.strip("| ").split("|")[-1].strip()
    row.mig = last if last in {"Enabled", "Disabled"} else row.mig
    return row


def build_gpu(row: TableRow) -> Gpu:
    return Gpu(
        name=None if row.name == "ERR!" else row.name,
        memory_mib=row.total_mib,
        memory_used_mib=row.used_mib,
        mig_enabled={"Enabled": True, "Disabled": False}.get(row.mig or ""),
        pci_bus_id=row.bus_id,
    )
