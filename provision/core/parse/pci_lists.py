"""Programs that list display devices in a form of their own: ghw, `ubuntu-drivers`, `lshw`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from provision.core.parse.json_excerpt import get_mapping, get_mappings, get_text, parse_json_excerpts
from provision.core.parse.pci_devices import PciEntry, build_pci_report, split_vendor
from provision.core.parse.source_report import SourceReport, TextSource
from provision.model.facts import Condition, ConditionId

_DEVICE_LINE = re.compile(r"^[ \t]{0,16}vendor {0,8}: ", re.MULTILINE)
_PACKAGE_LINE = re.compile(
    r"^[ \t]{0,16}driver {0,8}: [\w.+-]{1,80} - (?:distro|third-party)\b", re.MULTILINE
)
_MODALIAS = re.compile(r"pci:v0000([0-9A-F]{4})d0000([0-9A-F]{4})sv")
_DRIVERS_HEADING = re.compile(r"[ \t]{0,16}== /sys/devices/")
_DRIVERS_KEY = re.compile(r"[ \t]{0,16}(modalias|vendor|model) {1,8}: (.{0,400})")
_NOT_INSTALLED = Condition(
    id=ConditionId.NO_DRIVER_INSTALLED,
    message="The text lists drivers that could be installed, and none that is.",
)

_LSHW_HEADER = re.compile(
    r"^[ \t]{0,16}\*-(display|graphics)(?::\d{1,3})?(?: (UNCLAIMED|DISABLED))?[ \t]*$", re.MULTILINE
)
_LSHW_NODE = re.compile(r"^[ \t]{0,80}\*-")
_LSHW_IDS = re.compile(r" ?\[([0-9A-Fa-f]{1,4}):([0-9A-Fa-f]{1,4})\]$")
_LSHW_DRIVER = re.compile(r"\bdriver=([\w-]{1,40})")


def parse_ghw(text: str) -> SourceReport:
    """The JSON of ghw's graphics cards, `{"cards": [{"pci": {...}}]}`, as inventory tools print it."""
    cards = [card for value in parse_json_excerpts(text) for card in _get_cards(value)]
    entries = [entry for entry in map(_build_card, cards) if entry is not None]
    return build_pci_report(entries)


def parse_ubuntu_drivers(text: str) -> SourceReport:
    """`ubuntu-drivers devices`: blocks of `key : value`, the packages that would drive the device last."""
    entries = [_build_model(keys) for keys in _read_drivers_blocks(text) if len(keys) > 1]
    report = build_pci_report(entries)
    conditions = [c for c in report.conditions if c.id is not ConditionId.NO_NUMERIC_IDS]
    if report.gpus and not re.search(r"^[ \t]{0,16}manual_install *: *True", text, re.MULTILINE):
        conditions.append(_NOT_INSTALLED)
    return SourceReport(gpus=report.gpus, conditions=tuple(conditions), system="Linux", vendor=report.vendor)


def _read_drivers_blocks(text: str) -> Iterator[dict[str, str]]:
    """The keys of each device. A heading begins one, and where it is lost a key that comes again."""
    keys: dict[str, str] = {}
    for line in text.splitlines():
        match = _DRIVERS_KEY.match(line)
        if _DRIVERS_HEADING.match(line) or (match and match[1] in keys):
            yield keys
            keys = {}
        if match:
            keys[match[1]] = match[2].strip()
    yield keys


def parse_lshw(text: str) -> SourceReport:
    """`lshw -C display`, with ids where `-numeric` was given."""
    return build_pci_report([_build_node(node) for node in _read_nodes(text)])


def _get_cards(value: object) -> list[dict[str, object]]:
    top = get_mapping(value)
    return get_mappings(get_mapping(top.get("gpu", top)).get("cards"))


def _build_card(card: dict[str, object]) -> PciEntry | None:
    pci = get_mapping(card.get("pci"))
    vendor, product = get_mapping(pci.get("vendor")), get_mapping(pci.get("product"))
    address = get_text(pci.get("address")) or get_text(card.get("address"))
    if address is None:
        return None
    base = get_text(get_mapping(pci.get("class")).get("id")) or ""
    return PciEntry(
        slot=address,
        class_id=base + (get_text(get_mapping(pci.get("subclass")).get("id")) or ""),
        vendor_id=(get_text(vendor.get("id")) or "").lower(),
        device_id=(get_text(product.get("id")) or "").lower(),
        name=get_text(product.get("name")),
        driver=get_text(pci.get("driver")),
    )


def _build_model(keys: dict[str, str]) -> PciEntry:
    """Its devices need a driver from outside the kernel; those of display makers are displays.

    A device that is newer than the machine's list of PCI ids has no model.
    """
    ids = _MODALIAS.match(keys.get("modalias", ""))
    vendor_id = split_vendor(keys.get("vendor", ""))[0] if ids is None else ids[1].lower()
    return PciEntry(
        slot="",
        class_id="0300" if vendor_id in {"10de", "1002"} else "",
        vendor_id=vendor_id,
        device_id="" if ids is None else ids[2].lower(),
        name=keys.get("model") or None,
    )


def _read_nodes(text: str) -> Iterator[dict[str, str]]:
    node: dict[str, str] | None = None
    for line in text.splitlines():
        header = _LSHW_HEADER.match(line)
        if header is not None or _LSHW_NODE.match(line):
            if node is not None:
                yield node
            node = None if header is None else {"claimed": header[2] or ""}
        elif node is not None:
            key, _, value = (part.strip() for part in line.partition(":"))
            node.setdefault(key, value)
    if node is not None:
        yield node


def _build_node(node: dict[str, str]) -> PciEntry:
    product = node.get("product", "")
    ids = _LSHW_IDS.search(product)
    vendor = _LSHW_IDS.sub("", node.get("vendor", ""))
    driver = _LSHW_DRIVER.search(node.get("configuration", ""))
    return PciEntry(
        slot=node.get("bus info", "").removeprefix("pci@"),
        class_id="0300",
        vendor_id=split_vendor(vendor)[0] if ids is None else f"{ids[1].lower():0>4}",
        device_id="" if ids is None else f"{ids[2].lower():0>4}",
        name=_LSHW_IDS.sub("", product) or None,
        driver=None if driver is None else driver[1],
        driver_told=node["claimed"] == "UNCLAIMED" or driver is not None,
    )


def _recognise_ghw(text: str) -> bool:
    return (
        '"cards"' in text
        and '"pci"' in text
        and any(_get_cards(value) for value in parse_json_excerpts(text))
    )


def _recognise_ubuntu_drivers(text: str) -> bool:
    return _PACKAGE_LINE.search(text) is not None and _DEVICE_LINE.search(text) is not None


def _recognise_lshw(text: str) -> bool:
    return _LSHW_HEADER.search(text) is not None


SOURCES = (
    TextSource(kind="ghw-pci-json", recognise=_recognise_ghw, parse=parse_ghw),
    TextSource(kind="ubuntu-drivers", recognise=_recognise_ubuntu_drivers, parse=parse_ubuntu_drivers),
    TextSource(kind="lshw", recognise=_recognise_lshw, parse=parse_lshw),
)
