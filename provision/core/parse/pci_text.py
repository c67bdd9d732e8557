"""`lspci` in its forms: a line for each device, with or without ids, and the records of `-vmm`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec.structs import replace

from provision.core.parse.pci_devices import PciEntry, build_pci_report, split_vendor
from provision.core.parse.source_report import SourceReport, TextSource

_CLASSES = (
    "VGA compatible controller|3D controller|Display controller|XGA compatible controller|Host bridge|PCI bridge"
    "|ISA bridge|Audio device|USB controller|Ethernet controller|Network controller|SATA controller|SMBus"
    "|Non-Volatile memory controller|Processing accelerators|Signal processing controller|Communication controller"
    "|RAID bus controller|System peripheral|Bridge|Co-processor|Multimedia audio controller|Serial bus controller"
    "|Encryption controller|IOMMU|RAM memory|Unclassified device|Non-Essential Instrumentation|IDE interface"
)
_SLOT = r"(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]"
# `01:00.0 VGA compatible controller [0300]: NVIDIA Corporation GA102 [...] [10de:2204] (rev a1)`, and with `-n`
# `01:00.0 0300: 10de:2204 (rev a1)`. A class that is not in the list above counts with its number only.
_DEVICE = re.compile(
    rf"^[ \t>#]{{0,16}}({_SLOT}) (?:\"?)(?:({_CLASSES})(?: \[([0-9a-f]{{4}})\])?"
    r"|[A-Z][^:\[\n]{1,60} \[([0-9a-f]{4})\]|([0-9a-f]{4})): (.{1,400})$",
    re.MULTILINE,
)
# `-m` and `-mm`: every word in quotes, the ids of `-nn` within them.
_QUOTED = re.compile(
    rf'^[ \t]{{0,16}}({_SLOT}) "([^"\n]{{1,80}})" "([^"\n]{{1,120}})" "([^"\n]{{1,200}})"', re.MULTILINE
)
_DRIVER = re.compile(r"Kernel (driver in use|modules): ?(.{0,200})")
_REVISION = re.compile(r" \((?:rev [0-9a-f]{2}|prog-if [0-9a-f]{2}[^()]{0,60})\)")
_IDS = re.compile(r" ?\[([0-9a-f]{4}):([0-9a-f]{4})\]$")
_BARE_IDS = re.compile(r"([0-9a-f]{4}):([0-9a-f]{4})")
_UNNAMED = re.compile(r"Device \[?([0-9a-f]{4})\]?")

_RECORD = re.compile(
    rf"^[ \t]{{0,16}}Slot:[ \t]{{1,8}}{_SLOT}[ \t]{{0,8}}\r?\n[ \t]{{0,16}}Class:[ \t]", re.MULTILINE
)
_RECORD_KEYS = {"Slot", "Class", "Vendor", "Device", "Driver", "Module"}
_NAME_AND_ID = re.compile(r"(.*?) ?\[([0-9a-f]{4})\]")


def parse_lspci(text: str) -> SourceReport:
    """The lines of `lspci`, with the kernel's driver where `-k` or `-v` gives it."""
    quoted = [_build_quoted(match) for match in _QUOTED.finditer(text)]
    return build_pci_report([*_read_lines(text), *(entry for entry in quoted if entry is not None)])


def parse_lspci_records(text: str) -> SourceReport:
    """The records of `lspci -vmm`, numeric (`-n`), with names, or with both (`-nn`)."""
    entries = [_build_record(record) for record in _read_records(text)]
    return build_pci_report([entry for entry in entries if entry is not None])


def _read_lines(text: str) -> Iterator[PciEntry]:
    entry: PciEntry | None = None
    for line in text.splitlines():
        match = _DEVICE.match(line)
        if match is not None:
            if entry is not None:
                yield entry
            entry = _build_entry(match)
            continue
        told = None if entry is None else _DRIVER.search(line)
        if entry is not None and told is not None:
            driver = told[2].strip() or None if told[1] == "driver in use" else entry.driver
            entry = replace(entry, driver=driver, driver_told=True)
    if entry is not None:
        yield entry


def _build_entry(match: re.Match[str]) -> PciEntry:
    slot, class_name, class_id, other_id, bare_id, rest = match.groups()
    class_id = class_id or other_id or bare_id or ""
    text = _REVISION.sub("", rest).strip()
    bare = _BARE_IDS.fullmatch(text)
    if bare is not None:
        return PciEntry(slot=slot, class_id=class_id, vendor_id=bare[1], device_id=bare[2])
    ids = _IDS.search(text)
    vendor_id, name = split_vendor(text if ids is None else text[: ids.start()])
    device_id = "" if ids is None else ids[2]
    unnamed = _UNNAMED.fullmatch(name)
    return PciEntry(
        slot=slot,
        class_id=class_id,
        class_name=class_name or "",
        vendor_id=vendor_id if ids is None else ids[1],
        device_id=device_id or ("" if unnamed is None else unnamed[1]),
        name=name or None,
    )


def _build_quoted(match: re.Match[str]) -> PciEntry | None:
    slot, class_text, vendor, device = match.groups()
    return _build_record({"Slot": slot, "Class": class_text, "Vendor": vendor, "Device": device})


def _read_records(text: str) -> Iterator[dict[str, str]]:
    record: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.strip().partition(":")
        if not colon or key not in _RECORD_KEYS:
            continue
        if key == "Slot":
            yield record
            record = {}
        record.setdefault(key, value.strip())
    yield record


def _build_record(record: dict[str, str]) -> PciEntry | None:
    if not re.fullmatch(_SLOT, record.get("Slot", "")):
        return None
    class_name, class_id = _split_id(record.get("Class", ""))
    vendor_name, vendor_id = _split_id(record.get("Vendor", ""))
    name, device_id = _split_id(record.get("Device", ""))
    return PciEntry(
        slot=record["Slot"],
        class_id=class_id,
        class_name=class_name,
        vendor_id=vendor_id or split_vendor(vendor_name)[0],
        device_id=device_id,
        name=name or None,
        driver=record.get("Driver"),
        driver_told="Driver" in record or "Module" in record,
    )


def _split_id(value: str) -> tuple[str, str]:
    """(name, id) of "GA102 [GeForce RTX 3090] [2204]", of the name alone, and of the id alone."""
    if re.fullmatch(r"[0-9a-f]{4}", value):
        return "", value
    match = _NAME_AND_ID.fullmatch(value)
    return (value, "") if match is None else (match[1], match[2])


def _recognise_lspci(text: str) -> bool:
    return _DEVICE.search(text) is not None or _QUOTED.search(text) is not None


def _recognise_records(text: str) -> bool:
    return _RECORD.search(text) is not None


SOURCES = (
    TextSource(kind="lspci", recognise=_recognise_lspci, parse=parse_lspci),
    TextSource(kind="lspci-vmmnD", recognise=_recognise_records, parse=parse_lspci_records),
)
