"""What `nvidia-smi` prints: the CSV of a query and the XML of `-q -x`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from provision.core.architecture import parse_architecture
from provision.core.parse.nvidia_smi_failures import judge_answers
from provision.core.parse.source_report import SourceReport, parse_version
from provision.model.facts import ConditionId, Gpu, Outcome, Reading

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# Any program can hang or print nonsense: these two do not prove that it is NVIDIA's.
_SAYS_NOTHING = (ConditionId.NVIDIA_SMI_TIMEOUT, ConditionId.NVIDIA_SMI_BROKEN)
_ROW_LIMIT = 4000
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,60}(?:\.[a-z0-9_]{1,60}){0,5}")
_ALIASES = {"gpu_name": "name", "gpu_uuid": "uuid", "gpu_bus_id": "pci.bus_id"}
_KNOWN_FIELDS = {"compute_cap", "driver_version", "gpu_name", "gpu_uuid", "gpu_bus_id", "kmd_version"}
_KNOWN_PREFIXES = (
    "memory.total",
    "memory.used",
    "memory.free",
    "pci.",
    "utilization.",
    "mig.mode.",
    "power.draw",
)
_OF_PROCESSES = "pid"  # a query for processes names its GPU too
_MEMORY = re.compile(r"(\d{1,9})(?: MiB)?")
_CAPABILITY = re.compile(r"\d+\.\d+")
NVIDIA_BUS_ID = re.compile(r"[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]")
_DEVICE_ID = re.compile(r"(?:0x)?([0-9A-Fa-f]{4})10DE", re.IGNORECASE)
FIRST_XML_GPU = re.compile(r'<gpu id="[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.')
_VERSION_TAGS = {"driver_version", "kmd_version", "cuda_version", "cuda_umd_version"}
# What stands where a driver has no answer, with or without brackets.
_NO_ANSWER = re.compile(
    r"\[?(N/A|Not Supported|Unknown Error|Insufficient Permissions|GPU is lost|GPU requires reset|ERR!?"
    r"|Requested functionality has been deprecated)\]?|",
    re.IGNORECASE,
)


def parse_nvidia_smi(csv: Reading | None, xml: Reading | None) -> SourceReport:
    """What the two forms of `nvidia-smi` say together. Never raises for bad text.

    GPUs are the CSV's, which has the compute capability, else the XML's; the CUDA version is only in the XML.
    """
    answers = [
        (reading, parse(reading.text))
        for reading, parse in ((csv, parse_csv), (xml, parse_xml))
        if reading is not None and reading.outcome is not Outcome.ABSENT
    ]
    if not answers:
        return SourceReport(found=False)
    conditions = judge_answers(answers)
    reports = [report for _, report in answers]
    gpus = next((report.gpus for report in reports if report.gpus), ())
    return SourceReport(
        gpus=gpus,
        driver=next((report.driver for report in reports if report.driver), None),
        cuda_driver_version=next((r.cuda_driver_version for r in reports if r.cuda_driver_version), None),
        conditions=conditions,
        nvidia=bool(gpus) or any(condition.id not in _SAYS_NOTHING for condition in conditions),
    )


class CsvTable(Struct, frozen=True, kw_only=True):
    """Rows of a query in CSV. `columns` are the fields' names, "" for one that is not known; `units` as printed."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    units: tuple[str, ...]

    def list_records(self) -> list[dict[str, str]]:
        """Each row by the names of its columns."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def parse_csv(text: str) -> SourceReport:
    """The table of `--query-gpu=... --format=csv`, with its header row; units may stand behind the values."""
    table = read_csv_table(text)
    records = [] if table is None else table.list_records()
    drivers = (parse_version(row.get("driver_version")) for row in records)
    return SourceReport(
        gpus=tuple(build_csv_gpu(row) for row in records),
        driver=next((driver for driver in drivers if driver), None),
    )


def read_csv_table(text: str) -> CsvTable | None:
    """The first table with a header row in the text, with the lines under it that have as many cells."""
    columns: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = []
    for line in text.split("\n"):
        cells = split_row(line[:_ROW_LIMIT].strip())
        if _is_header(cells):
            if columns:
                break
            fields = [cell.partition(" [") for cell in cells]
            columns = tuple(_ALIASES.get(name, name) for name, _, _ in fields)
            units = tuple(bracket + unit for _, bracket, unit in fields)
        elif columns and len(cells) == len(columns) and any(cells):
            rows.append(cells)
    return CsvTable(columns=columns, rows=tuple(rows), units=units) if columns and rows else None


def split_row(line: str) -> tuple[str, ...]:
    """The cells of a row, by the separator that cuts it into most: spreadsheets change the comma."""
    separator = max((",", ";", "\t"), key=line.count)
    return tuple(cell.strip().strip('"') for cell in line.split(separator))


def build_csv_gpu(row: Mapping[str, str]) -> Gpu:
    """A GPU from a row by the names of its columns; what is not there or has no answer is None."""
    return _build_gpu(
        name=row.get("name"),
        uuid=row.get("uuid"),
        memory=row.get("memory.total"),
        memory_used=row.get("memory.used"),
        compute_capability=row.get("compute_cap"),
        mig=row.get("mig.mode.current"),
        bus_id=row.get("pci.bus_id"),
        device_id=row.get("pci.device_id"),
    )


def _is_header(cells: Sequence[str]) -> bool:
    """Names of fields in every cell, one of them a field that no other program has."""
    names = [cell.partition(" [")[0] for cell in cells]
    if not all(_FIELD.fullmatch(name) for name in names) or _OF_PROCESSES in names:
        return False
    return any(name in _KNOWN_FIELDS or name.startswith(_KNOWN_PREFIXES) for name in names)


def parse_xml(text: str) -> SourceReport:
    """The document of `-q -x`: every GPU that is complete, also when the text is cut off behind it."""
    elements = list(read_elements(text))
    versions: dict[str, str | None] = {}
    for element in elements:
        if element.tag in _VERSION_TAGS:
            versions.setdefault(element.tag, (element.text or "").partition(" [")[0])
    return SourceReport(
        gpus=tuple(_build_xml_gpu(element) for element in elements if element.tag == "gpu"),
        driver=parse_version(versions.get("kmd_version") or versions.get("driver_version")),
        cuda_driver_version=parse_version(versions.get("cuda_umd_version") or versions.get("cuda_version")),
    )


def read_elements(text: str) -> Iterator[Element]:
    """The elements as they are closed, until the text ends or is no XML any more; last a GPU that was cut off.

    It is read from the root element on, so that a document type cannot declare entities; where the root was
    cut off, from the first GPU on.
    """
    start, root = text.find("<nvidia_smi_log"), ""
    if start < 0:
        first = FIRST_XML_GPU.search(text)
        start, root = -1 if first is None else first.start(), "<nvidia_smi_log>"
    if start < 0:
        return
    from xml.etree.ElementTree import Element, ParseError, XMLPullParser

    parser: XMLPullParser[Element] = XMLPullParser(["start", "end"])
    cut: Element | None = None
    try:
        parser.feed(root + text[start:])
        for event in parser.read_events():
            element = event[-1]
            if not isinstance(element, Element):
                continue
            if element.tag == "gpu":
                cut = element if event[0] == "start" else None
            if event[0] == "end":
                yield element
    except (ParseError, ValueError):
        pass  # what was read until then counts
    if cut is not None and cut.findtext("product_name"):
        yield cut


def _build_xml_gpu(element: Element) -> Gpu:
    find = element.findtext
    return _build_gpu(
        name=find("product_name"),
        uuid=find("uuid"),
        memory=find("fb_memory_usage/total"),
        memory_used=find("fb_memory_usage/used"),
        compute_capability=None,
        mig=find("mig_mode/current_mig"),
        bus_id=element.get("id"),
        device_id=find("pci/pci_device_id"),
        arch=parse_architecture(find("product_architecture")),
    )


def _build_gpu(
    *,
    name: str | None,
    uuid: str | None,
    memory: str | None,
    memory_used: str | None,
    compute_capability: str | None,
    mig: str | None,
    bus_id: str | None,
    device_id: str | None,
    arch: str | None = None,
) -> Gpu:
    return Gpu(
        name=_parse_answer(name),
        uuid=_parse_answer(uuid),
        memory_mib=_parse_mib(memory),
        memory_used_mib=_parse_mib(memory_used),
        compute_capability=_parse_matching(_CAPABILITY, compute_capability),
        arch=arch,
        mig_enabled={"Enabled": True, "Disabled": False}.get(_parse_answer(mig) or ""),
        pci_bus_id=_parse_matching(NVIDIA_BUS_ID, bus_id),
        pci_id=parse_device_id(device_id),
    )


def _parse_answer(text: str | None) -> str | None:
    stripped = (text or "").strip()
    return None if _NO_ANSWER.fullmatch(stripped) else stripped


def _parse_matching(pattern: re.Pattern[str], text: str | None) -> str | None:
    stripped = (text or "").strip()
    return stripped if pattern.fullmatch(stripped) else None


def _parse_mib(text: str | None) -> int | None:
    match = _MEMORY.fullmatch((text or "").strip())
    return None if match is None else int(match[1])


def parse_device_id(text: str | None) -> str | None:
    """`10de:2c05` from `0x2C0510DE`, which is device and vendor."""
    match = _DEVICE_ID.fullmatch((text or "").strip())
    return None if match is None else f"10de:{match[1].lower()}"
