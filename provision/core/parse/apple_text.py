"""macOS: `system_profiler`, as text and as JSON, and `sysctl`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from provision.core.parse.json_excerpt import get_mapping, get_mappings, get_text, parse_json_excerpts
from provision.core.parse.plain_conditions import build_plain
from provision.core.parse.source_report import SourceReport, TextSource
from provision.model.facts import ConditionId, Gpu, Vendor

_CHIPSET = re.compile(r"^[ \t]{0,32}Chipset Model: \S", re.MULTILINE)
_HARDWARE = re.compile(r"^[ \t]{0,32}Hardware Overview:[ \t]*$", re.MULTILINE)
_SIZE = re.compile(r"(\d{1,6}) ?(MB|GB)")
_VENDOR_ID = re.compile(r"0x([0-9a-f]{4})")
_VENDORS = {"106b": Vendor.APPLE, "1002": Vendor.AMD, "8086": Vendor.INTEL, "10de": Vendor.NVIDIA}
_WORDS = (("Apple", Vendor.APPLE), ("AMD", Vendor.AMD), ("Intel", Vendor.INTEL), ("NVIDIA", Vendor.NVIDIA))
_SYSCTL = re.compile(
    r"^[ \t]{0,16}(?:machdep\.cpu\.\w{1,40}|hw\.(?:memsize|cpufamily|targettype|optional\.arm\w{1,60}))(?:: | = |=)",
    re.MULTILINE,
)
_BRAND = re.compile(r"^[ \t]{0,16}machdep\.cpu\.brand_string(?:: | = |=)(\S.{0,120})$", re.MULTILINE)
# `sysctl -n machdep.cpu.brand_string` prints the value alone.
_BRAND_ALONE = re.compile(
    r"\s{0,40}(?:[^\n]{0,60}brand_string\s{1,8})?(Apple M\d{1,2}(?: Pro| Max| Ultra)?)\s{0,40}"
)
_MEMORY = re.compile(r"^[ \t]{0,16}hw\.memsize(?:: | = |=)(\d{1,15})[ \t]*$", re.MULTILINE)
_ARM64 = re.compile(r"^[ \t]{0,16}hw\.optional\.arm64(?:: | = |=)1[ \t]*$", re.MULTILINE)


def parse_system_profiler(text: str) -> SourceReport:
    """`SPDisplaysDataType`, and the chip of `SPHardwareDataType`. Apple's GPUs have no memory of their own."""
    found = list(_read_text(text)) or list(_read_json(text))
    gpus = tuple(_build_gpu(keys) for keys in found)
    hardware = _read_hardware(text) if _HARDWARE.search(text) else {}
    chip = hardware.get("Chip") or hardware.get("Processor Name")
    apple = any(gpu.vendor is Vendor.APPLE for gpu in gpus) or (chip or "").startswith("Apple ")
    return SourceReport(
        gpus=gpus,
        conditions=(build_plain(ConditionId.UNIFIED_MEMORY),) if apple else (),
        vendor=Vendor.APPLE if apple else None,
        system="Darwin",
        machine="arm64" if apple else "x86_64",
        memory_bytes=_read_size(hardware.get("Memory", "")),
        cpu_model=chip or next((gpu.name for gpu in gpus if gpu.vendor is Vendor.APPLE), None),
    )


def parse_sysctl(text: str) -> SourceReport:
    """`sysctl hw machdep`: the processor, which on Apple's own chips is the GPU as well."""
    brand = _BRAND.search(text) or _BRAND_ALONE.fullmatch(text[:200])
    model = None if brand is None else brand[1].strip()
    apple = _ARM64.search(text) is not None or (model or "").startswith("Apple ")
    memory = _MEMORY.search(text)
    return SourceReport(
        conditions=(build_plain(ConditionId.MACOS),),
        vendor=Vendor.APPLE if apple else None,
        system="Darwin",
        machine="arm64" if apple else None if model is None else "x86_64",
        cpu_model=model,
        memory_bytes=None if memory is None else int(memory[1]),
    )


def _read_text(text: str) -> Iterator[dict[str, str]]:
    keys: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = (part.strip() for part in line.partition(":"))
        if colon and key == "Chipset Model":
            if keys:
                yield keys
            keys = {key: value}
        elif colon and value and keys:
            keys.setdefault(key, value)
    if keys:
        yield keys


def _read_hardware(text: str) -> dict[str, str]:
    keys: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = (part.strip() for part in line.partition(":"))
        if colon and value:
            keys.setdefault(key, value)
    return keys


def _read_json(text: str) -> Iterator[dict[str, str]]:
    """`-json`: keys in Apple's own words, which differ between releases."""
    for value in parse_json_excerpts(text):
        for item in get_mappings(get_mapping(value).get("SPDisplaysDataType")):
            keys = {
                "Chipset Model": get_text(item.get("sppci_model")) or get_text(item.get("_name")),
                "Vendor": get_text(item.get("spdisplays_vendor"))
                or get_text(item.get("spdisplays_vendor-id")),
                "Device ID": get_text(item.get("spdisplays_device-id")),
                "VRAM (Total)": get_text(item.get("spdisplays_vram"))
                or get_text(item.get("_spdisplays_vram")),
            }
            yield {key: told for key, told in keys.items() if told is not None}


def _build_gpu(keys: dict[str, str]) -> Gpu:
    name = keys.get("Chipset Model")
    vendor = _choose_vendor(keys.get("Vendor", ""), name or "")
    device = _VENDOR_ID.search(keys.get("Device ID", ""))
    maker = next((number for number, known in _VENDORS.items() if known is vendor), None)
    memory = _SIZE.search(keys.get("VRAM (Total)") or keys.get("VRAM (Max)") or "")
    return Gpu(
        name=name,
        memory_mib=None if memory is None else int(memory[1]) * (1024 if memory[2] == "GB" else 1),
        vendor=vendor,
        pci_id=f"{maker}:{device[1]}" if device and maker and vendor is not Vendor.APPLE else None,
    )


def _read_size(text: str) -> int | None:
    """The bytes of "16 GB", which are of 1024 to the power of three."""
    match = _SIZE.fullmatch(text)
    return None if match is None else int(match[1]) * (2**30 if match[2] == "GB" else 2**20)


def _choose_vendor(text: str, name: str) -> Vendor | None:
    match = _VENDOR_ID.search(text)
    if match is not None and match[1] in _VENDORS:
        return _VENDORS[match[1]]
    return next((vendor for word, vendor in _WORDS if word in text or name.startswith(word)), None)


def _recognise_system_profiler(text: str) -> bool:
    if _CHIPSET.search(text):
        return True
    if '"SPDisplaysDataType"' in text:
        return any(True for _ in _read_json(text))
    return _HARDWARE.search(text) is not None and "Model Identifier:" in text


def _recognise_sysctl(text: str) -> bool:
    return _SYSCTL.search(text) is not None or _BRAND_ALONE.fullmatch(text[:200]) is not None


SOURCES = (
    TextSource(kind="system_profiler", recognise=_recognise_system_profiler, parse=parse_system_profiler),
    TextSource(kind="sysctl", recognise=_recognise_sysctl, parse=parse_sysctl),
)
