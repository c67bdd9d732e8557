"""What the columns of a CSV without a header are, by the shape of their values."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from provision.core.architecture import choose_architecture
from provision.core.parse.nvidia_smi import NVIDIA_BUS_ID
from provision.core.parse.nvidia_text.answers import is_product

_UUID = re.compile(r"GPU-[0-9A-Za-z-]{0,60}")
_DEVICE_ID = re.compile(r"0x[0-9A-Fa-f]{4}10DE", re.IGNORECASE)
_CAPABILITY = re.compile(r"\d{1,2}\.\d")
_LONG_VERSION = re.compile(r"[3-9]\d{2}\.\d{1,3}\.\d{1,2}")
_SHORT_VERSION = re.compile(r"[3-9]\d{2}\.\d{2,3}")
_POWER = re.compile(r"\d{1,4}\.\d{2}")
_MEMORY = re.compile(r"(\d{1,7}) MiB")
_NUMBER = re.compile(r"\d{3,7}")
# GiB of memory that boards are sold with. A driver keeps some back, up to 7 % with error correction.
_SOLD_GIB = (
    2,
    3,
    4,
    5,
    6,
    8,
    10,
    11,
    12,
    16,
    20,
    22,
    24,
    32,
    40,
    48,
    64,
    72,
    80,
    94,
    96,
    141,
    180,
    192,
    268,
    288,
)
_SHARE_TOLD = 0.93


def name_columns(rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """A column of `--query-gpu` for each cell; "" for a column whose values do not tell.

    `rows` are of one length. A column counts as something when its value in every row does.
    """
    columns = list(zip(*rows, strict=True))
    names = [_name_column(column) for column in columns]
    if "driver_version" not in names:
        _settle_driver(columns, names)
    if "memory.total" not in names:
        _settle_memory(columns, names)
    return tuple("" if name in names[:index] else name for index, name in enumerate(names))


def _name_column(values: Sequence[str]) -> str:
    tests: tuple[tuple[str, Callable[[str], bool]], ...] = (
        ("name", is_product),
        ("uuid", lambda value: _UUID.fullmatch(value) is not None),
        ("pci.bus_id", lambda value: NVIDIA_BUS_ID.fullmatch(value) is not None),
        ("pci.device_id", lambda value: _DEVICE_ID.fullmatch(value) is not None),
        ("driver_version", lambda value: _LONG_VERSION.fullmatch(value) is not None),
        ("compute_cap", _is_capability),
    )
    return next((name for name, test in tests if all(test(value) for value in values)), "")


def _is_capability(value: str) -> bool:
    return _CAPABILITY.fullmatch(value) is not None and choose_architecture(value) is not None


def _settle_driver(columns: Sequence[Sequence[str]], names: list[str]) -> None:
    """`440.64` beside a power of `292.00` W: a version is alike in all rows and stands among other words."""
    powers = [all(_POWER.fullmatch(value) for value in column) for column in columns]
    candidates = []
    for index, column in enumerate(columns):
        alike = len(set(column)) == 1 and _SHORT_VERSION.fullmatch(column[0]) is not None
        beside = any(powers[near] for near in (index - 1, index + 1) if 0 <= near < len(columns))
        if alike and not column[0].endswith(".00") and not beside:
            candidates.append(index)
    if len(candidates) == 1:
        names[candidates[0]] = "driver_version"


def _settle_memory(columns: Sequence[Sequence[str]], names: list[str]) -> None:
    """The largest of the sizes in MiB; without units the largest number that a board can be sold with."""
    for pattern, plausible in ((_MEMORY, False), (_NUMBER, True)):
        sizes: list[tuple[int, int]] = []
        for index, column in enumerate(columns):
            matches = [pattern.fullmatch(value) for value in column]
            found = [int(re.sub(r"\D", "", match[0])) for match in matches if match]
            if len(found) == len(column) and (not plausible or all(_is_sold(size) for size in found)):
                sizes.append((max(found), index))
        if sizes:
            names[max(sizes)[1]] = "memory.total"
            return


def _is_sold(size_mib: int) -> bool:
    return any(_SHARE_TOLD * 1024 * gib <= size_mib <= 1024 * gib for gib in _SOLD_GIB)
