"""`rocm-smi`: its tables of four generations, its lists of `GPU[0] : key: value`, its JSON, its errors."""

from __future__ import annotations

import re
from collections.abc import Iterator

from provision.core.parse.amd_smi import AMD_DEVICE_ID
from provision.core.parse.json_excerpt import get_mapping, parse_json_excerpts
from provision.core.parse.plain_conditions import build_plain
from provision.core.parse.source_report import SourceReport, TextSource, parse_version
from provision.model.facts import Condition, ConditionId, Gpu, Vendor

_TITLE = re.compile(r"^[ \t]{0,16}=+ ?ROCm System Management Interface ?=+", re.MULTILINE)
_END = "End of ROCm SMI Log"
_NO_GPUS = "No AMD GPUs specified"
_GPU_KEY = re.compile(
    r"^[ \t]{0,16}GPU\[(\d{1,3})\][ \t]{0,16}: ([^:\n]{1,60}):[ \t]{0,16}(.{0,200})$", re.MULTILINE
)
_DRIVER = re.compile(r"^[ \t]{0,16}Driver version: {1,4}(\S{1,40})", re.MULTILINE)
# A row of ROCm 6, with the PCI device id; of ROCm 5.7, with the name on the row below; and of ROCm 5 and before.
_ID_ROW = re.compile(r"^[ \t]{0,16}\d{1,3} {2,}\d{1,3} {2,}0x([0-9a-f]{4}), +\d{1,9} ", re.MULTILINE)
_TWO_ROWS = re.compile(
    r"^[ \t]{0,16}\d{1,3} {2,}\[0x[0-9a-f]{1,4} : 0x[0-9a-f]{1,4}\].*\r?\n[ \t]{1,32}(\S.*)$", re.MULTILINE
)
_OLD_ROW = re.compile(
    r"^[ \t]{0,16}\d{1,3} {2,}(?:-?\d{1,3}\.\d|N/A)c? {2,}(?:\d{1,4}\.\d{1,3}W|N/A) {2,}", re.MULTILINE
)
_WARNING = re.compile(r"^[ \t]{0,16}WARNING: ", re.MULTILINE)
_TARGET = re.compile(r"gfx[0-9][0-9a-f]{2,4}")
_ROW_LIMIT = 4000
_CARD = re.compile(r"card\d{1,3}")
_CARD_KEYS = {
    "VBIOS version",
    "PCI Bus",
    "Device ID",
    "Device Name",
    "GPU ID",
    "GUID",
    "Unique ID",
    "GFX Version",
} | {f"Card {word}" for word in ("Series", "series", "Model", "model", "SKU", "Vendor", "vendor")}
# ROCm 6.0 and 6.1 print the stepping in decimal: `gfx9010` is gfx90a.
# https://github.com/ROCm/rocm_smi_lib/issues/159 shows one.
_DECIMAL_STEPPING = {"gfx9010": "gfx90a", "gfx9012": "gfx90c"}
_CSV_HEADER = re.compile(r"^[ \t]{0,16}device,[^\n]{0,2000}$", re.MULTILINE)
_ERRORS = re.compile(
    r"^[ \t]{0,16}(?:ERROR:root:|ERROR: ?)?(?:Driver not initialized \(amdgpu not found in modules\)"
    r"|rsmi_init\(\) failed|.{0,40}\bRSMI_STATUS_[A-Z_]{1,40})",
    re.MULTILINE,
)


def parse_rocm_smi(text: str) -> SourceReport:
    """A table, `--showproductname` and its like, or `--json`; of several in one text, all of them together."""
    cards = next(_list_documents(text), None)
    if cards is not None:
        return _parse_json(cards, warned=_WARNING.search(text) is not None)
    lists = _read_lists(text) or _read_csv(text)
    if not lists and _TITLE.search(text) is None and _ERRORS.search(text):
        return parse_rocm_smi_error(text)
    rows = list(_read_rows(text))
    gpus = tuple(_build_gpu(keys) for keys in lists.values()) if lists else tuple(rows)
    driver = _DRIVER.search(text)
    return SourceReport(
        gpus=gpus,
        driver=parse_version(driver[1]) if driver else None,
        conditions=tuple(_judge(text, gpus, lists)),
    )


def parse_rocm_smi_error(text: str) -> SourceReport:
    """What it says instead of an answer."""
    conditions = [build_plain(ConditionId.ERROR)]
    if "amdgpu not found in modules" in text:
        message = "AMD's software is installed, but its kernel driver amdgpu is not loaded."
        conditions.insert(0, Condition(id=ConditionId.DRIVER_NOT_LOADED, message=message))
    return SourceReport(conditions=tuple(conditions), vendor=Vendor.AMD)


def _parse_json(cards: dict[str, object], *, warned: bool) -> SourceReport:
    system = {str(key): str(value) for key, value in get_mapping(cards.get("system")).items()}
    found = [
        {str(key): str(value).strip() for key, value in get_mapping(card).items()}
        for name, card in cards.items()
        if _CARD.fullmatch(name)
    ]
    conditions = (
        [] if any("GFX Version" in keys for keys in found) else [build_plain(ConditionId.NO_GFX_FIELD)]
    )
    if warned:
        conditions.append(build_plain(ConditionId.WARNING_LINE))
    return SourceReport(
        gpus=tuple(_build_gpu(keys) for keys in found),
        driver=parse_version(system.get("Driver version")),
        conditions=tuple(conditions),
    )


def _list_documents(text: str) -> Iterator[dict[str, object]]:
    """The JSON objects whose `card0` and its like have keys that a card of this program has."""
    for document in map(get_mapping, parse_json_excerpts(text) if '"card' in text else ()):
        cards = (get_mapping(card) for name, card in document.items() if _CARD.fullmatch(name))
        if any(not _CARD_KEYS.isdisjoint(card) for card in cards):
            yield document


def _read_lists(text: str) -> dict[str, dict[str, str]]:
    lists: dict[str, dict[str, str]] = {}
    for match in _GPU_KEY.finditer(text):
        lists.setdefault(match[1], {}).setdefault(match[2].strip(), match[3].strip())
    return lists


def _read_csv(text: str) -> dict[str, dict[str, str]]:
    """`--csv`: a header, then a line for each card; what is of the whole machine is `system` or `cardsystem`."""
    header = _CSV_HEADER.search(text)
    if header is None:
        return {}
    names = [name.strip() for name in header[0].split(",")]
    found: dict[str, dict[str, str]] = {}
    for line in text[header.end() + 1 :].split("\n"):
        cells = [cell.strip() for cell in line[:_ROW_LIMIT].split(",")]
        if not _CARD.fullmatch(cells[0]):
            break
        found[cells[0]] = dict(zip(names, cells, strict=False))
    return found


def _read_rows(text: str) -> Iterator[Gpu]:
    """The rows of the first form that is there."""
    for match in _ID_ROW.finditer(text):
        yield Gpu(name=None, vendor=Vendor.AMD, pci_id=f"1002:{match[1]}")
    for match in _TWO_ROWS.finditer(text):
        name = match[1].strip()
        device = AMD_DEVICE_ID.fullmatch(name)
        yield Gpu(name=name, vendor=Vendor.AMD, pci_id=f"1002:{device[1].lower()}" if device else None)
    for _ in _OLD_ROW.finditer(text):
        yield Gpu(name=None, vendor=Vendor.AMD)


def _build_gpu(keys: dict[str, str]) -> Gpu:
    """ROCm 6 writes `Card Model` for the device id; before, `Card model` was the board's."""
    series = keys.get("Card Series") or keys.get("Card series") or keys.get("Device Name")
    ids = (keys.get(key, "") for key in ("Device ID", "GPU ID", "Card Model", "Card series", "Card Series"))
    device = next((match for match in map(AMD_DEVICE_ID.fullmatch, ids) if match), None)
    target = _TARGET.match(keys.get("GFX Version", ""))
    memory = keys.get("VRAM Total Memory (B)", "")
    return Gpu(
        name=None if series == "N/A" else series,
        memory_mib=int(memory) // 2**20 if re.fullmatch(r"\d{1,15}", memory) else None,
        arch=None if target is None else _DECIMAL_STEPPING.get(target[0], target[0]),
        vendor=Vendor.AMD,
        pci_id=None if device is None else f"1002:{device[1].lower()}",
    )


def _judge(text: str, gpus: tuple[Gpu, ...], lists: dict[str, dict[str, str]]) -> Iterator[Condition]:
    if gpus and all(gpu.name is None or AMD_DEVICE_ID.fullmatch(gpu.name) for gpu in gpus):
        yield build_plain(ConditionId.NO_PRODUCT_NAME)
    if _NO_GPUS in text and not gpus:
        yield Condition(id=ConditionId.NO_DEVICE, message="rocm-smi shows no GPU to this process.")
    if _TITLE.search(text) and _END not in text:
        yield build_plain(ConditionId.TRUNCATED)
    if _WARNING.search(text):
        yield build_plain(ConditionId.WARNING_LINE)
    if not lists and _TWO_ROWS.search(text):
        yield build_plain(ConditionId.TWO_LINE_ROWS)
    if any("Card series" in keys for keys in lists.values()) or (not lists and _OLD_ROW.search(text)):
        yield build_plain(ConditionId.OLD_FORMAT)


def _recognise_rocm_smi(text: str) -> bool:
    if _TITLE.search(text) or (_END in text and any(True for _ in _read_rows(text))):
        return True
    if _CARD_KEYS & {key for keys in _read_csv(text).values() for key in keys}:
        return True
    if any(match[2].strip() in _CARD_KEYS for match in _GPU_KEY.finditer(text)):
        return True
    return next(_list_documents(text), None) is not None


def _recognise_error(text: str) -> bool:
    return _ERRORS.search(text) is not None


SOURCES = (
    TextSource(kind="rocm-smi", recognise=_recognise_rocm_smi, parse=parse_rocm_smi),
    TextSource(kind="rocm-smi-error", recognise=_recognise_error, parse=parse_rocm_smi_error),
)
