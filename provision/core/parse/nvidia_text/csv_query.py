"""Pasted CSV of `nvidia-smi --query-gpu`: any columns, any separator, with units or not, with a header or not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from provision.core.parse.conditions import build_gpu_lost
from provision.core.parse.nvidia_smi import CsvTable, build_csv_gpu, read_csv_table, split_row
from provision.core.parse.nvidia_text.answers import (
    build_all,
    is_product,
    is_product_alone,
    judge_form,
    judge_warning,
    read_version,
)
from provision.core.parse.nvidia_text.csv_shapes import name_columns
from provision.core.parse.source_report import SourceReport
from provision.model.facts import ConditionId, Gpu

_LINE_LIMIT = 2000
_UNIT = re.compile(r" (?:MiB|W|MHz|%)$")
_WORDS = re.compile(r"[A-Za-z][A-Za-z _]{1,40}")
# What columns of such a query are called, also by those who put a header of their own above it.
_OF_A_QUERY = re.compile(
    r"gpu|index|name|uuid|memory|vram|driver|cuda|compute|temp|util|power|pstate|serial|bus|count|timestamp|total|used"
    r"|free|arch|mode|\bid\b",
    re.IGNORECASE,
)
_NO_MEMORY = ("[N/A]", "N/A", "[Not Supported]", "Not Supported")


def is_csv(text: str) -> bool:
    """Whether a header row of such a query is there."""
    return read_csv_table(text) is not None


def is_headless_csv(text: str) -> bool:
    """Whether a row has the name of a product in one cell and only values, or nothing, in the others."""
    return next(_list_headless_rows(text), None) is not None


def parse_csv_text(text: str) -> SourceReport:
    """The GPUs of the rows. Without a header a column is known by the shape of its values, or not at all."""
    table = read_csv_table(text)
    ids: list[ConditionId] = []
    if table is None:
        rows = list(_list_headless_rows(text))
        if not rows:
            return SourceReport()
        table = CsvTable(columns=name_columns(rows), rows=tuple(rows), units=())
        if "name" not in text.split():
            ids.append(ConditionId.CSV_NOHEADER)
    gpus = tuple(build_csv_gpu(row) for row in table.list_records())
    windows = any(row.get("driver_model.current") == "WDDM" for row in table.list_records())
    drivers = (read_version(row.get("driver_version")) for row in table.list_records())
    ids += [*_judge_columns(table, gpus), *judge_warning(text)]
    return SourceReport(
        gpus=gpus,
        driver=next((driver for driver in drivers if driver), None),
        conditions=(
            *(build_gpu_lost(f"GPU {row}") for row, cells in enumerate(table.rows) if _is_lost(cells)),
            *build_all([*ids, *([ConditionId.WDDM] if windows else []), *judge_form(gpus)]),
        ),
        nvidia=True,
        system="Windows" if windows else None,
    )


def _list_headless_rows(text: str) -> Iterator[tuple[str, ...]]:
    """Rows of as many cells as the first one has; none where a header names columns of another table."""
    width = 0
    before: tuple[str, ...] = ()
    for line in text.split("\n"):
        above, before = before, split_row(line[:_LINE_LIMIT].strip())
        cells = before
        if not width and len(cells) > 1 and len(above) == len(cells) and _is_other_header(above):
            return
        if width and len(cells) != width:
            continue
        if len(cells) == 1 and not is_product_alone(cells[0]):
            continue
        others = [cell for cell in cells if not is_product(cell)]
        if len(others) == len(cells) - 1 and all(_is_value(cell) for cell in others):
            width = len(cells)
            yield cells


def _is_other_header(cells: Sequence[str]) -> bool:
    """Names of columns of which one cannot be of such a query: `price`."""
    words = all(_WORDS.fullmatch(cell) and not is_product(cell) for cell in cells)
    return words and not all(_OF_A_QUERY.search(cell) for cell in cells)


def _is_value(cell: str) -> bool:
    """A number with or without a unit, an id, a version, a state in one or two words; no sentence."""
    return len(cell) <= 60 and len(cell.split()) <= 3 and ": " not in cell and not cell.endswith(":")


def _is_lost(cells: Sequence[str]) -> bool:
    return any("GPU is lost" in cell or "GPU requires reset" in cell for cell in cells)


def _judge_columns(table: CsvTable, gpus: Sequence[Gpu]) -> Iterator[ConditionId]:
    if "name" not in table.columns:
        yield ConditionId.NO_NAME_COLUMN
    memory = [row["memory.total"] for row in table.list_records() if "memory.total" in row]
    cells = [cell for row in table.rows for cell in row]
    told = any(gpu.memory_mib is not None for gpu in gpus)
    refused = any(cell in _NO_MEMORY for cell in memory)
    if not told and (refused or (not table.units and "[N/A]" in cells)):
        yield ConditionId.MEMORY_NA
    if not told and refused:
        # What GB10 and Jetson answer; a card of its own memory always tells its size.
        yield ConditionId.UNIFIED_MEMORY
    has_units = any(_UNIT.search(cell) for cell in cells) or any("[" in unit for unit in table.units)
    if told and not has_units:
        yield ConditionId.CSV_NOUNITS
