"""The text that Windows' `dxdiag` saves: its display devices, with the memory that AdapterRAM cannot tell."""

from __future__ import annotations

import re

from provision.core.parse.pci_devices import GPU_VENDORS
from provision.core.parse.plain_conditions import build_plain
from provision.core.parse.source_report import SourceReport, TextSource
from provision.core.parse.text_blocks import read_blocks
from provision.core.parse.windows_text import PNP_ID, parse_windows_driver
from provision.model.facts import ConditionId, Gpu, Vendor

_CARD = re.compile(r"^[ \t]{0,40}Card name: (\S.{0,120})$", re.MULTILINE)
_KEY = re.compile(
    r"^[ \t]{0,40}(Manufacturer|Dedicated Memory|Driver Version|Device Key): (\S.{0,200})$", re.MULTILINE
)
_MEMORY = re.compile(r"(\d{1,7}) MB")


def parse_dxdiag(text: str) -> SourceReport:
    """The cards with a PCI id of a maker of GPUs. A card is listed once for each screen, and counted once."""
    found: dict[str, tuple[Gpu, str | None]] = {}
    for match, block in read_blocks(_CARD, text):
        keys: dict[str, str] = {}
        for key in _KEY.finditer(block):
            keys.setdefault(key[1], key[2].strip())
        ids = PNP_ID.search(keys.get("Device Key", ""))
        vendor = None if ids is None else GPU_VENDORS.get(ids[1].lower())
        if ids is None or vendor is None:
            continue
        memory = _MEMORY.match(keys.get("Dedicated Memory", ""))
        gpu = Gpu(
            name=match[1].strip(),
            memory_mib=None if memory is None else int(memory[1]) or None,
            vendor=vendor,
            pci_id=f"{ids[1]}:{ids[2]}".lower(),
        )
        found.setdefault(keys["Device Key"], (gpu, parse_windows_driver(keys.get("Driver Version"), vendor)))
    drivers = sorted(found.values(), key=lambda item: item[0].vendor is not Vendor.NVIDIA)
    driver = drivers[0][1] if drivers else None
    conditions = [build_plain(ConditionId.WINDOWS)] if found else []
    if driver is not None and drivers[0][0].vendor is Vendor.NVIDIA:
        conditions.append(build_plain(ConditionId.WDDM_DRIVER_VERSION))
    return SourceReport(
        gpus=tuple(gpu for gpu, _ in found.values()),
        driver=driver,
        conditions=tuple(conditions),
        system="Windows" if found else None,
    )


def _recognise(text: str) -> bool:
    return _CARD.search(text) is not None and _KEY.search(text) is not None


SOURCES = (TextSource(kind="dxdiag", recognise=_recognise, parse=parse_dxdiag),)
