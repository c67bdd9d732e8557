"""`clinfo`: the list of `-l`, the long text (also of AMD's own program of that name) and `--json`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from provision.core.parse.device_listing import Listed, count_once
from provision.core.parse.json_excerpt import (
    get_mapping,
    get_mappings,
    get_number,
    get_text,
    parse_json_excerpts,
)
from provision.core.parse.plain_conditions import build_plain
from provision.core.parse.source_report import SourceReport, TextSource
from provision.core.parse.sycl_text import parse_hex_id
from provision.model.facts import Condition, ConditionId, Gpu, Vendor

_LIST_PLATFORM = re.compile(r"^[ \t]{0,16}Platform #(\d{1,3}): (.{1,160})$")
_LIST_DEVICE = re.compile(r"^[ \t]{0,16}[`+|]-{1,2} Device #\d{1,3}: (.{1,160})$")
_LIST = re.compile(
    r"^[ \t]{0,16}Platform #\d{1,3}: .{1,160}\r?\n[ \t]{0,16}[`+|]-{1,2} Device #\d{1,3}: ", re.MULTILINE
)
_LONG = re.compile(r"^[ \t]{0,16}Number of platforms:?[ \t]{1,80}\d{1,3}[ \t]*$", re.MULTILINE)
# AMD's program has a colon and tabs between key and value, the usual one nothing but blanks.
_LONG_KEY = re.compile(r"^[ \t]{0,16}([A-Z][A-Za-z ()]{1,50}?)(:\t[ \t]{0,80}| {2,80})([^\s:].{0,300})$")
# Of a selection of its lines: one that no other program has, and one that names a device.
_SELECTED = re.compile(
    r"^[ \t]{0,16}(?:Device Board Name \(AMD\)|Device OpenCL C Version|Device Vendor ID|Device Version {3,80}OpenCL"
    r"|Max compute units|Platform Version {3,80}OpenCL) {1,80}\S",
    re.MULTILINE,
)
_NAMED = re.compile(r"^[ \t]{0,16}Device (?:Board Name \(AMD\)|Name) {3,80}\S", re.MULTILINE)
# Behind it the program asks again for what it has already told.
_LONG_END = "NULL platform behavior"
_PROCESSOR = re.compile(r"\bCPU\b|Core\(TM\)|Xeon|Ryzen \d|EPYC|^cpu-|\bpthread\b|llvmpipe|FPGA")
_VENDORS = (
    (Vendor.NVIDIA, ("NVIDIA",)),
    (Vendor.AMD, ("AMD", "Advanced Micro Devices", "gfx", "Radeon")),
    (Vendor.INTEL, ("Intel",)),
    (Vendor.APPLE, ("Apple",)),
)
_TARGET = re.compile(r"gfx[0-9][0-9a-f]{2,4}")
_RELEASE = re.compile(r"\d{2,4}(?:\.\d{1,6}){1,3}")


def parse_clinfo(text: str) -> SourceReport:
    """Either text form. `driver` is NVIDIA's or Intel's; AMD's OpenCL prints no version of amdgpu."""
    long = _LONG.search(text) or not _LIST.search(text)
    devices = list(_read_long(text) if long else _read_list(text))
    return _build_report(devices)


def parse_clinfo_json(text: str) -> SourceReport:
    """`clinfo --json`: `devices[]` in the order of `platforms[]`, those that answer under `online`."""
    devices: list[tuple[str, dict[str, str]]] = []
    for value in parse_json_excerpts(text):
        top = get_mapping(value)
        platforms = [
            get_text(item.get("CL_PLATFORM_NAME")) or "" for item in get_mappings(top.get("platforms"))
        ]
        for index, group in enumerate(get_mappings(top.get("devices"))):
            through = platforms[index] if index < len(platforms) else str(index)
            devices.extend((through, _build_keys(device)) for device in get_mappings(group.get("online")))
    return _build_report(devices)


def _build_report(devices: list[tuple[str, dict[str, str]]]) -> SourceReport:
    gpus_only = [(through, keys) for through, keys in devices if _is_gpu(keys)]
    gpus = count_once(Listed(through=through, gpu=_build_gpu(through, keys)) for through, keys in gpus_only)
    drivers = [
        driver[0]
        for through, keys in gpus_only
        if _choose_vendor(through, keys) in {Vendor.NVIDIA, Vendor.INTEL}
        if (driver := _RELEASE.fullmatch(keys.get("Driver Version", "")))
    ]
    conditions = []
    if any(parse_hex_id(gpu.name) for gpu in gpus):
        conditions.append(build_plain(ConditionId.HEX_DEVICE_NAME))
    if not gpus:
        conditions.append(Condition(id=ConditionId.NO_DEVICE, message="clinfo lists no GPU."))
    if not gpus and devices:
        conditions.append(build_plain(ConditionId.CPU_ONLY))
    return SourceReport(gpus=gpus, driver=drivers[0] if drivers else None, conditions=tuple(conditions))


def _is_gpu(keys: dict[str, str]) -> bool:
    """By the type where it is told, else by a name that is no processor's."""
    kind = keys.get("Device Type")
    if kind is not None:
        return "GPU" in kind
    return not _PROCESSOR.search(keys.get("Device Name", ""))


def _choose_vendor(through: str, keys: dict[str, str]) -> Vendor | None:
    for text in (keys.get("Device Name", ""), keys.get("Device Vendor", ""), through):
        for vendor, words in _VENDORS:
            if any(word in text for word in words):
                return vendor
    return None


def _build_gpu(through: str, keys: dict[str, str]) -> Gpu:
    vendor = _choose_vendor(through, keys)
    name = keys.get("Device Name", "").strip()
    target = _TARGET.match(name)
    if target is not None or not name:
        name = keys.get("Device Board Name (AMD)", "").strip()
    memory = re.match(r"\d{1,15}", keys.get("Global memory size", ""))
    device = get_number(keys.get("Device ID"))
    pci_id = (
        f"8086:{device:04x}" if vendor is Vendor.INTEL and device is not None and device <= 0xFFFF else None
    )
    capability = re.fullmatch(r"\d{1,2}\.\d", keys.get("Compute Capability (NV)", ""))
    return Gpu(
        name=name or None,
        memory_mib=None if memory is None else int(memory[0]) // 2**20 or None,
        compute_capability=capability[0] if capability and vendor is Vendor.NVIDIA else None,
        arch=None if target is None else target[0],
        vendor=vendor,
        pci_id=pci_id or (parse_hex_id(name) if vendor is Vendor.INTEL else None),
    )


def _build_keys(device: dict[str, object]) -> dict[str, str]:
    """The JSON's names as the text writes them."""
    names = {
        "Device Name": get_text(device.get("CL_DEVICE_NAME")),
        "Device Vendor": get_text(device.get("CL_DEVICE_VENDOR")),
        "Driver Version": get_text(device.get("CL_DRIVER_VERSION")),
        "Device Board Name (AMD)": get_text(device.get("CL_DEVICE_BOARD_NAME_AMD")),
    }
    kinds = get_mapping(device.get("CL_DEVICE_TYPE")).get("type")
    numbers = {
        "Global memory size": get_number(device.get("CL_DEVICE_GLOBAL_MEM_SIZE")),
        "Device ID": get_number(device.get("CL_DEVICE_ID_INTEL")),
    }
    major = get_number(device.get("CL_DEVICE_COMPUTE_CAPABILITY_MAJOR_NV"))
    minor = get_number(device.get("CL_DEVICE_COMPUTE_CAPABILITY_MINOR_NV"))
    keys = {key: value for key, value in names.items() if value is not None}
    keys |= {key: str(number) for key, number in numbers.items() if number is not None}
    if isinstance(kinds, list):
        keys["Device Type"] = " ".join(str(kind) for kind in kinds)
    if major is not None and minor is not None:
        keys["Compute Capability (NV)"] = f"{major}.{minor}"
    return keys


def _read_list(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    through = ""
    for line in text.splitlines():
        platform, device = _LIST_PLATFORM.match(line), _LIST_DEVICE.match(line)
        if platform is not None:
            through = f"{platform[1]} {platform[2]}"
        elif device is not None:
            yield through, {"Device Name": device[1].strip()}


def _read_long(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The keys of each device; a name begins one, or in AMD's program the type."""
    through = ""
    keys: dict[str, str] = {}
    start = _LONG.search(text)
    for line in text[start.start() if start else 0 :].partition(_LONG_END)[0].splitlines():
        match = _LONG_KEY.match(line)
        if match is None:
            continue
        key, value = match[1].strip(), match[3].strip()
        if match[2].startswith(":"):
            key = _LONG_NAMES.get(key, key)
        if key == "Platform Name":
            through = value
        if key in _BEGINNINGS and key in keys and not _NAMES.isdisjoint(keys):
            yield through, keys
            keys = {}
        keys.setdefault(key, value)
    if not _NAMES.isdisjoint(keys):
        yield through, keys


_NAMES = {"Device Name", "Device Board Name (AMD)"}
_BEGINNINGS = {"Platform Name", "Device Name", "Device Type", "Device Vendor", "Device Board Name (AMD)"}
# AMD's program leaves the word "Device" out.
_LONG_NAMES = {
    "Name": "Device Name",
    "Vendor": "Device Vendor",
    "Board name": "Device Board Name (AMD)",
    "Driver version": "Driver Version",
}


def _recognise_clinfo(text: str) -> bool:
    if _LONG.search(text) or _LIST.search(text):
        return True
    return _SELECTED.search(text) is not None and _NAMED.search(text) is not None


def _recognise_json(text: str) -> bool:
    return '"CL_DEVICE_NAME"' in text and '"devices"' in text


SOURCES = (
    TextSource(kind="clinfo", recognise=_recognise_clinfo, parse=parse_clinfo),
    TextSource(kind="clinfo-json", recognise=_recognise_json, parse=parse_clinfo_json),
)
