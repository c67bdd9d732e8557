"""`amd-smi` (its table, `static`, `list`, `version`) and the report of LACT, a control program for Radeons."""

from __future__ import annotations

import re
from collections.abc import Iterator

from provision.core.parse.json_excerpt import get_mapping, get_mappings, get_text, parse_json_excerpts
from provision.core.parse.pci_devices import GPU_VENDORS
from provision.core.parse.plain_conditions import build_plain
from provision.core.parse.source_report import SourceReport, TextSource, parse_version
from provision.core.parse.text_blocks import read_blocks
from provision.model.facts import Condition, ConditionId, Gpu, Vendor

_HEADER = re.compile(r"^[ \t]{0,16}\| AMD-SMI (\S{1,60})", re.MULTILINE)
_VERSION_LINE = re.compile(r"^[ \t]{0,16}AMDSMI Tool: \S", re.MULTILINE)
_AMDGPU = re.compile(r"amdgpu version: (\S{1,40})")
_ROCM = re.compile(r"ROCm version: (\S{1,40})")
_NAME_ROW = re.compile(
    r"[ \t]{0,16}\| ([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]) {1,40}(\S[^|]{0,60}?) {0,60}\|"
)
_MEMORY_CELL = re.compile(r"(\d{1,9})/(\d{1,9}) MB *\|")
_NOT_LOADED = re.compile(
    r"AMDSMI_STATUS_DRIVER_NOT_LOADED|driver not initialized \(amdgpu not found in modules\)"
)
# The first eight digits of its UUIDs end in the device id.
_UUID = re.compile(r"[0-9a-f]{2}ff([0-9a-f]{4})-0000-1000-[0-9a-f]{4}-[0-9a-f]{12}")
_BORDER = re.compile(r"\+-{10,}")

_STATIC_GPU = re.compile(r"^[ \t]{0,16}GPU: {1,4}(\d{1,3})[ \t]{0,16}$", re.MULTILINE)
_STATIC_KEY = re.compile(
    r"^[ \t]{0,32}(?:MARKET_NAME|TARGET_GRAPHICS_VERSION|VENDOR_ID: 0x1002|BDF: [0-9a-f]{4}:[0-9a-f]{2}:)",
    re.MULTILINE,
)
_TARGET = re.compile(r"gfx[0-9][0-9a-f]{2,4}")
AMD_DEVICE_ID = re.compile(r"0x([0-9a-f]{4})", re.IGNORECASE)
_SIZE = re.compile(r"(\d{1,9}) MB")

_LACT_MODEL = re.compile(
    r"^[ \t]{0,16}GPU Model: (.{1,120}?) \(0x([0-9A-Fa-f]{4}):0x([0-9A-Fa-f]{4})(?::0x[0-9A-Fa-f]{1,2})?\)[ \t]*$",
    re.MULTILINE,
)


def parse_amd_smi(text: str) -> SourceReport:
    """What `amd-smi` prints by itself: a table, where MB is MiB; for `version`, a line; and for `static`, keys.

    The error of its library says that amdgpu is not loaded.
    """
    if _NOT_LOADED.search(text):
        message = "AMD's software is installed, but its kernel driver amdgpu is not loaded."
        absent = Condition(id=ConditionId.DRIVER_NOT_LOADED, message=message)
        return SourceReport(conditions=(absent, build_plain(ConditionId.ERROR)), vendor=Vendor.AMD)
    if _HEADER.search(text) or _VERSION_LINE.search(text):
        return _parse_table(text)
    return parse_amd_smi_static(text)


def _parse_table(text: str) -> SourceReport:
    gpus: list[Gpu] = []
    closed = True
    for line in text.splitlines():
        row = _NAME_ROW.match(line)
        memory = _MEMORY_CELL.search(line)
        if row is not None:
            bus_id = f"0000{row[1].upper()}"
            gpus.append(Gpu(name=row[2].strip(), vendor=Vendor.AMD, pci_bus_id=bus_id))
            closed = False
        elif memory is not None and gpus and gpus[-1].memory_mib is None:
            last = gpus.pop()
            gpus.append(_with_memory(last, used=int(memory[1]), total=int(memory[2])))
        elif _BORDER.search(line):
            closed = True
    driver, rocm = _AMDGPU.search(text), _ROCM.search(text)
    rocm_version = parse_version(rocm[1]) if rocm else None
    return SourceReport(
        gpus=tuple(gpus),
        driver=parse_version(driver[1]) if driver else None,
        conditions=() if closed else (build_plain(ConditionId.TRUNCATED),),
        vendor=Vendor.AMD if gpus or driver else None,
        versions={"rocm": rocm_version} if rocm_version else {},
    )


def parse_amd_smi_static(text: str) -> SourceReport:
    """`amd-smi static` and `amd-smi list`, as indented keys or as JSON."""
    found = list(_read_static(text)) or list(_read_static_json(text))
    versions = (parse_version(keys.get("DRIVER.VERSION")) for keys in found)
    return SourceReport(
        gpus=tuple(_build_static(keys) for keys in found),
        driver=next((version for version in versions if version), None),
        vendor=Vendor.AMD if found else None,
    )


def parse_lact(text: str) -> SourceReport:
    """`lact cli info`: the keys of each GPU, of any maker that it drives."""
    gpus = tuple(_build_lact(match, block) for match, block in read_blocks(_LACT_MODEL, text))
    return SourceReport(gpus=gpus, system="Linux" if gpus else None)


def _with_memory(gpu: Gpu, *, used: int, total: int) -> Gpu:
    return Gpu(
        name=gpu.name,
        vendor=gpu.vendor,
        pci_bus_id=gpu.pci_bus_id,
        memory_mib=total or None,
        memory_used_mib=used if total else None,
    )


def _read_static(text: str) -> Iterator[dict[str, str]]:
    """The keys of each GPU as `SECTION.KEY`; a section is a line with a key alone."""
    for _, block in read_blocks(_STATIC_GPU, text):
        keys: dict[str, str] = {}
        section = ""
        for line in block.splitlines():
            key, colon, value = (part.strip() for part in line.partition(":"))
            if colon and not value:
                section = f"{key}."
            elif colon:
                keys.setdefault(f"{section}{key}", value)
        yield keys


def _read_static_json(text: str) -> Iterator[dict[str, str]]:
    for value in parse_json_excerpts(text):
        rows = value if isinstance(value, list) else get_mapping(value).get("gpu_data")
        for row in get_mappings(rows):
            if "gpu" not in row:
                continue
            keys: dict[str, str] = {}
            for section, inner in row.items():
                for key, item in get_mapping(inner).items() or [("", inner)]:
                    told = get_text(item) or _render_quantity(item)
                    if told is not None:
                        keys[f"{section}.{key}".strip(".").upper()] = told
            yield keys


def _render_quantity(item: object) -> str | None:
    """`{"value": 16368, "unit": "MB"}` as "16368 MB"."""
    quantity = get_mapping(item)
    return f"{quantity.get('value')} {quantity.get('unit')}" if "value" in quantity else None


def _build_static(keys: dict[str, str]) -> Gpu:
    device = AMD_DEVICE_ID.fullmatch(keys.get("ASIC.DEVICE_ID", "")) or _UUID.fullmatch(keys.get("UUID", ""))
    target = _TARGET.match(keys.get("ASIC.TARGET_GRAPHICS_VERSION", ""))
    size = _SIZE.fullmatch(keys.get("VRAM.SIZE", ""))
    bus = keys.get("BUS.BDF") or keys.get("BDF", "")
    name = keys.get("ASIC.MARKET_NAME")
    return Gpu(
        name=None if name == "N/A" else name,
        uuid=keys.get("UUID"),
        memory_mib=None if size is None else int(size[1]),
        arch=None if target is None else target[0],
        vendor=Vendor.AMD,
        pci_bus_id=f"0000{bus.upper()}"
        if re.fullmatch(r"[0-9a-f]{4}(:[0-9a-f]{2}){2}\.[0-7]", bus)
        else None,
        pci_id=None if device is None else f"1002:{device[1].lower()}",
    )


def _build_lact(match: re.Match[str], block: str) -> Gpu:
    vendor_id, device_id = match[2].lower(), match[3].lower()
    memory = re.search(r"^[ \t]{0,16}VRAM Size: (\d{1,9}) MiB", block, re.MULTILINE)
    target = re.search(r"^[ \t]{0,16}ASIC Name: GFX([0-9][0-9A-F]{2,4})\b", block, re.MULTILINE)
    return Gpu(
        name=match[1],
        memory_mib=None if memory is None else int(memory[1]),
        arch=None if target is None else f"gfx{target[1].lower()}",
        vendor=GPU_VENDORS.get(vendor_id),
        pci_id=f"{vendor_id}:{device_id}",
    )


def _recognise_amd_smi(text: str) -> bool:
    if _HEADER.search(text) or _VERSION_LINE.search(text):
        return True
    return "AMDSMI" in text and _NOT_LOADED.search(text) is not None


def _recognise_static(text: str) -> bool:
    if _STATIC_GPU.search(text) and _STATIC_KEY.search(text):
        return True
    return '"asic"' in text and any(True for keys in _read_static_json(text) if "ASIC.MARKET_NAME" in keys)


def _recognise_lact(text: str) -> bool:
    return _LACT_MODEL.search(text) is not None


SOURCES = (
    TextSource(kind="amd-smi", recognise=_recognise_amd_smi, parse=parse_amd_smi),
    TextSource(kind="amd-smi-static", recognise=_recognise_static, parse=parse_amd_smi_static),
    TextSource(kind="lact-info", recognise=_recognise_lact, parse=parse_lact),
)
