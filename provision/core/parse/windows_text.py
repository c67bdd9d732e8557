"""Windows' lists of display adapters: `Get-CimInstance Win32_VideoController`, `wmic`, `Get-PnpDevice`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from provision.core.parse.json_excerpt import get_mapping, get_mappings, parse_json_excerpts
from provision.core.parse.pci_devices import GPU_VENDORS
from provision.core.parse.plain_conditions import build_plain
from provision.core.parse.source_report import SourceReport, TextSource
from provision.core.parse.windows_layout import (
    is_table,
    read_assignments,
    read_blocks,
    read_columns,
    read_csv_rows,
    split_lines,
)
from provision.model.facts import Condition, ConditionId, Gpu, Vendor

# AdapterRAM is a 32-bit number: from here on, and below zero, it says "4 GiB or more" and nothing else.
_CAPPED_BYTES = 2**32 - 2**20
PNP_ID = re.compile(r"PCI\\VEN_([0-9A-F]{4})&DEV_([0-9A-F]{4})", re.IGNORECASE)
_WORDS = (("NVIDIA", Vendor.NVIDIA), ("AMD", Vendor.AMD), ("Radeon", Vendor.AMD), ("Intel", Vendor.INTEL))
_NVIDIA_WORDS = re.compile(r"\b(?:GeForce|Quadro|Tesla|TITAN)\b")
# NVIDIA's 580.88 is Windows' 32.0.15.8088: the last five digits, as every dump with both shows.
_NVIDIA_VERSION = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,2}(\d)\.(\d{4})")
_FALLBACK_DRIVER = re.compile(
    r"Microsoft Basic Display|Standard VGA|3D Video Controller|^Video Controller", re.IGNORECASE
)
_NAME_KEYS = ("Name", "FriendlyName", "Caption", "Description")
_CIM_KEYS = {
    "AdapterRAM",
    "AdapterCompatibility",
    "AdapterDACType",
    "VideoProcessor",
    "InstalledDisplayDrivers",
}
_CIM_LINE = re.compile(
    r"^[ \t]{0,16}(?:AdapterRAM|AdapterCompatibility|AdapterDACType|VideoProcessor) {0,40}: ?", re.MULTILINE
)
_CIM_CLASS = re.compile(r"^[ \t]{0,16}CreationClassName {0,40}: Win32_VideoController", re.MULTILINE)
_WMIC_LIST = re.compile(r"^[ \t]{0,16}(?:AdapterRAM|AdapterCompatibility|VideoProcessor)=", re.MULTILINE)
_PNP_LINE = re.compile(
    r"^[ \t]{0,16}(?:(?:OK|Error|Unknown|Degraded) {1,20})?(?:Display {1,20})?"
    r"(\S[^\\\n]{2,80}?) {1,80}(PCI\\VEN_\S{4,200})",
    re.MULTILINE,
)
_PNP_LIST = re.compile(r"^[ \t]{0,16}InstanceId {0,40}: PCI\\VEN_", re.MULTILINE)
_PNP_HEADER = re.compile(
    r"^[ \t]{0,16}(?:Status {1,20}Class {1,20})?FriendlyName {2,80}InstanceId", re.MULTILINE
)


def parse_cim(text: str) -> SourceReport:
    """The list form, `Key : Value`, one block for each adapter; also as JSON of `ConvertTo-Json`."""
    blocks = [keys for keys in read_blocks(text) if "InstanceId" not in keys]
    return _build_report(blocks or list(_read_json(text)))


def parse_wmic(text: str) -> SourceReport:
    """`wmic path win32_VideoController get ...`: a table in columns, or `Key=Value` of `/format:list`."""
    readers = (read_columns, read_csv_rows, read_assignments)
    return _build_report(next((rows for read in readers if (rows := list(read(text)))), []))


def parse_pnp_devices(text: str) -> SourceReport:
    """`Get-PnpDevice -Class Display`: a name and an instance id in each row, or in each block of `Format-List`."""
    rows: list[dict[str, str]] = []
    header = _PNP_HEADER.search(text)
    for line in split_lines(text[header.end() :]) if header else ():
        if rows and not line.strip():
            break
        match = _PNP_LINE.match(line)
        if match is not None:
            rows.append({"Name": match[1].strip(), "PNPDeviceID": match[2]})
    return _build_report(rows or [keys for keys in read_blocks(text) if "InstanceId" in keys])


def parse_windows_driver(version: str | None, vendor: Vendor | None) -> str | None:
    """NVIDIA's own version, 580.88, from Windows' 32.0.15.8088; other makers' as it stands."""
    match = _NVIDIA_VERSION.fullmatch((version or "").strip())
    if vendor is not Vendor.NVIDIA:
        return (version or "").strip() or None
    return None if match is None else f"{match[1]}{match[2][:2]}.{match[2][2:]}"


def _build_report(found: Sequence[dict[str, str]]) -> SourceReport:
    adapters = [(keys, gpu) for keys in found if (gpu := _build_gpu(keys)) is not None]
    conditions = [build_plain(ConditionId.WINDOWS)]
    if any(_is_capped(keys) for keys, _ in adapters):
        conditions.append(build_plain(ConditionId.ADAPTERRAM_CAPPED_4GB))
    drivers = [
        (gpu.vendor, keys.get("DriverVersion")) for keys, gpu in adapters if not _has_fallback_driver(keys)
    ]
    # NVIDIA's card is the one that computes where a laptop has two.
    drivers.sort(key=lambda item: item[0] is not Vendor.NVIDIA)
    vendor, version = drivers[0] if drivers else (None, None)
    driver = parse_windows_driver(version, vendor)
    if driver is not None and vendor is Vendor.NVIDIA:
        conditions.append(build_plain(ConditionId.WDDM_DRIVER_VERSION))
    conditions.extend(_build_failed(gpu, code) for keys, gpu in adapters if (code := _find_error(keys)))
    if any(_has_fallback_driver(keys) and gpu.vendor is Vendor.NVIDIA for keys, gpu in adapters):
        conditions.append(build_plain(ConditionId.NO_DRIVER_INSTALLED))
    return SourceReport(
        gpus=tuple(gpu for _, gpu in adapters),
        driver=driver,
        conditions=tuple(conditions),
        vendor=None if adapters else Vendor.NONE,
        system="Windows",
    )


def _build_gpu(keys: dict[str, str]) -> Gpu | None:
    """None for adapters that are software: of remote sessions, of hypervisors, of screens that are none."""
    ids = PNP_ID.search(keys.get("PNPDeviceID") or keys.get("InstanceId", ""))
    name = next((keys[key] for key in _NAME_KEYS if keys.get(key)), "")
    vendor = (
        GPU_VENDORS.get(ids[1].lower()) if ids else _choose_vendor(keys.get("AdapterCompatibility", ""), name)
    )
    if vendor is None:
        return None
    pci_id = f"{ids[1]}:{ids[2]}".lower() if ids else None
    ram = keys.get("AdapterRAM", "")
    size = int(ram) if re.fullmatch(r"\d{1,15}", ram) else 0
    known = not _is_capped(keys) and size > 2**20
    return Gpu(
        name=pci_id if _has_fallback_driver(keys) else name or pci_id,
        memory_mib=size // 2**20 if known else None,
        vendor=vendor,
        pci_id=pci_id,
    )


def _find_error(keys: dict[str, str]) -> str | None:
    """The code of the device manager, such as 43 for a device that Windows stopped."""
    code = keys.get("ConfigManagerErrorCode", "")
    return code if re.fullmatch(r"[1-9]\d{0,3}", code) else None


def _build_failed(gpu: Gpu, code: str) -> Condition:
    message = f"Windows reports code {code} for {gpu.name}: the device does not work as it is."
    return Condition(id=ConditionId.GPU_NOT_ANSWERING, message=message)


def _is_capped(keys: dict[str, str]) -> bool:
    ram = keys.get("AdapterRAM", "")
    return re.fullmatch(r"-?\d{1,15}", ram) is not None and (int(ram) < 0 or int(ram) >= _CAPPED_BYTES)


def _has_fallback_driver(keys: dict[str, str]) -> bool:
    return any(_FALLBACK_DRIVER.search(keys.get(key, "")) for key in _NAME_KEYS)


def _choose_vendor(maker: str, name: str) -> Vendor | None:
    if _NVIDIA_WORDS.search(name):
        return Vendor.NVIDIA
    return next((vendor for word, vendor in _WORDS if word in name or word in maker), None)


def _read_json(text: str) -> Iterator[dict[str, str]]:
    for value in parse_json_excerpts(text):
        for item in get_mappings(value) or [get_mapping(value)]:
            if not _CIM_KEYS.isdisjoint(item) and not item.keys().isdisjoint(_NAME_KEYS):
                yield {key: str(told) for key, told in item.items() if told is not None}


def _recognise_cim(text: str) -> bool:
    if _CIM_LINE.search(text) or _CIM_CLASS.search(text):
        return True
    return '"AdapterRAM"' in text and any(True for _ in _read_json(text))


def _recognise_wmic(text: str) -> bool:
    if _WMIC_LIST.search(text):
        return True
    return is_table(text)


def _recognise_pnp(text: str) -> bool:
    if _PNP_LIST.search(text):
        return True
    return _PNP_HEADER.search(text) is not None and _PNP_LINE.search(text) is not None


SOURCES = (
    TextSource(kind="windows-cim", recognise=_recognise_cim, parse=parse_cim),
    TextSource(kind="windows-wmic", recognise=_recognise_wmic, parse=parse_wmic),
    TextSource(kind="windows-pnpdevice", recognise=_recognise_pnp, parse=parse_pnp_devices),
)
