"""Intel's `xpu-smi`: `discovery` as a table or as JSON, and the table that version 2 prints."""

from __future__ import annotations

import re
from collections.abc import Iterator

from provision.core.parse.json_excerpt import (
    get_mapping,
    get_mappings,
    get_number,
    get_text,
    parse_json_excerpts,
)
from provision.core.parse.plain_conditions import build_plain
from provision.core.parse.source_report import SourceReport, TextSource
from provision.model.facts import ConditionId, Gpu, Vendor

_DISCOVERY = re.compile(r"^[ \t]{0,16}\| Device ID {1,8}\| Device Information\b", re.MULTILINE)
_DISCOVERY_ROW = re.compile(
    r"^[ \t]{0,16}\| {0,4}(\d{0,3}) {0,16}\| ([A-Z][A-Za-z0-9 /()-]{1,60}): (.{1,160}?) {0,160}\|$"
)
_TABLE = re.compile(r"^[ \t]{0,16}\| {1,40}Intel XPU-SMI v\S{1,20} {1,8}Driver: (\S{1,60})", re.MULTILINE)
_TABLE_NAME = re.compile(
    r"^[ \t]{0,16}\| {1,4}\d{1,3} {1,4}(\S.{0,60}?) {2,40}\S{1,12} {0,16}"
    r"\| ([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]) "
)
_TABLE_MEMORY = re.compile(r"\| {1,8}(\d{1,9})MiB / (\d{1,9})MiB {1,40}\|")
_DEVICE_IN_UUID = re.compile(r"([0-9a-f]{4})8086$")
_MIB = re.compile(r"(\d{1,9})(?:\.\d{1,4})? MiB")
_BUS_ID = re.compile(r"([0-9a-f]{4}):([0-9a-f]{2}:[0-9a-f]{2}\.[0-7])")
# The source version of the kernel module in the example of the program's README, which many quote:
# https://github.com/intel/xpumanager/blob/34c32c6e80b2/README.md (read 2026-11-21)
_README_DRIVER = "9FF4708BCC22C0EE6FD801A"


def parse_xpu_smi(text: str) -> SourceReport:
    """Every form that is in the text; the first that names a GPU counts."""
    table = _TABLE.search(text)
    found = list(_read_discovery(text)) or list(_read_json(text))
    gpus = tuple(_build_gpu(keys) for keys in found) or tuple(_read_table(text))
    told = next((keys["Driver Version"] for keys in found if keys.get("Driver Version")), None)
    driver = told or (table[1] if table else None)
    return SourceReport(
        gpus=gpus,
        driver=driver if driver not in {"N/A", "Unknown", ""} else None,
        conditions=(build_plain(ConditionId.DOCUMENTATION_SAMPLE),) if driver == _README_DRIVER else (),
        vendor=Vendor.INTEL if gpus else None,
    )


def _read_discovery(text: str) -> Iterator[dict[str, str]]:
    keys: dict[str, str] = {}
    for line in text.splitlines():
        row = _DISCOVERY_ROW.match(line.rstrip())
        if row is None:
            continue
        if (row[1] or row[2] == "Device Name") and "Device Name" in keys:
            yield keys
            keys = {}
        keys.setdefault(row[2].strip(), row[3])
    if "Device Name" in keys:
        yield keys


def _read_json(text: str) -> Iterator[dict[str, str]]:
    """`discovery -j` lists devices; `discovery -d 0 -j` is one. Names are turned into those of the table."""
    for value in parse_json_excerpts(text):
        top = get_mapping(value)
        for device in get_mappings(top.get("device_list")) or [top]:
            name = get_text(device.get("device_name"))
            if name is None:
                continue
            size = get_number(device.get("memory_physical_size_byte"))
            keys = {
                "Device Name": name,
                "UUID": get_text(device.get("uuid")) or "",
                "PCI Device ID": get_text(device.get("pci_device_id")) or "",
                "PCI BDF Address": get_text(device.get("pci_bdf_address")) or "",
                "Driver Version": get_text(device.get("driver_version")) or "",
                "Memory Physical Size": "" if size is None else f"{size // 2**20} MiB",
            }
            yield {key: told for key, told in keys.items() if told}


def _build_gpu(keys: dict[str, str]) -> Gpu:
    uuid = (keys.get("SOC UUID") or keys.get("UUID") or "").lower()
    encoded = _DEVICE_IN_UUID.search(uuid)
    device = re.fullmatch(r"0x([0-9a-f]{4})", keys.get("PCI Device ID", "").lower()) or encoded
    memory = _MIB.match(keys.get("Memory Physical Size", ""))
    bus = _BUS_ID.fullmatch(keys.get("PCI BDF Address", "").lower())
    return Gpu(
        name=keys["Device Name"].strip(),
        uuid=uuid or None,
        memory_mib=None if memory is None else int(memory[1]) or None,
        vendor=Vendor.INTEL,
        pci_id=None if device is None else f"8086:{device[1]}",
        pci_bus_id=None if bus is None else f"0000{bus[0].upper()}",
    )


def _read_table(text: str) -> Iterator[Gpu]:
    """A row with name and address, then one with the memory."""
    named: re.Match[str] | None = None
    for line in text.splitlines():
        row = _TABLE_NAME.match(line)
        if row is not None:
            if named is not None:
                yield _build_row(named, None)
            named = row
            continue
        memory = _TABLE_MEMORY.search(line)
        if memory is not None and named is not None:
            yield _build_row(named, memory)
            named = None
    if named is not None:
        yield _build_row(named, None)


def _build_row(named: re.Match[str], memory: re.Match[str] | None) -> Gpu:
    return Gpu(
        name=named[1],
        memory_mib=None if memory is None else int(memory[2]),
        memory_used_mib=None if memory is None else int(memory[1]),
        vendor=Vendor.INTEL,
        pci_bus_id=f"0000{named[2].upper()}",
    )


def _recognise(text: str) -> bool:
    if _TABLE.search(text) or _DISCOVERY.search(text):
        return True
    return '"device_name"' in text and '"pci_bdf_address"' in text and any(True for _ in _read_json(text))


SOURCES = (TextSource(kind="xpu-smi", recognise=_recognise, parse=parse_xpu_smi),)
