"""What `nvidia-smi` prints: the CSV of a query and the XML of `-q -x`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from provision.core.architecture import parse_architecture
from provision.core.parse.nvidia_smi_failures import judge_answers
from provision.core.parse.source_report import SourceReport, parse_version
from provision.model.facts import ConditionId, Gpu, Outcome, Reading

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# Any program can hang or print nonsense: these two do not prove that it is NVIDIA's.
_SAYS_NOTHING = (ConditionId.NVIDIA_SMI_TIMEOUT, ConditionId.NVIDIA_SMI_BROKEN)
_MEMORY = re.compile(r"(\d{1,9})(?: MiB)?")
_CAPABILITY = re.compile(r"\d+\.\d+")
_BUS_ID = re.compile(r"[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]")
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


def parse_csv(text: str) -> SourceReport:
    """The table of `--query-gpu=... --format=csv`, with its header row; units may stand behind the values."""
    lines = [line for line in text.splitlines() if line.strip()]
    header = [cell.split(" [")[0] for cell in _split_row(lines[0])] if lines else []
    if "name" not in header:
        return SourceReport()
    rows = [
        dict(zip(header, cells, strict=True))
        for line in lines[1:]
        if len(cells := _split_row(line)) == len(header)
    ]
    gpus = tuple(
        _build_gpu(
            name=row["name"],
            uuid=row.get("uuid"),
            memory=row.get("memory.total"),
            memory_used=row.get("memory.used"),
            compute_capability=row.get("compute_cap"),
            mig=row.get("mig.mode.current"),
            bus_id=row.get("pci.bus_id"),
        )
        for row in rows
    )
    drivers = (parse_version(row.get("driver_version")) for row in rows)
    return SourceReport(gpus=gpus, driver=next((driver for driver in drivers if driver), None))


def parse_xml(text: str) -> SourceReport:
    """The document of `-q -x`: every GPU that is complete, also when the text is cut off behind it."""
    elements = list(_read_elements(text))
    versions: dict[str, str | None] = {}
    for element in elements:
        if element.tag in {"driver_version", "cuda_version"}:
            versions.setdefault(element.tag, element.text)
    return SourceReport(
        gpus=tuple(_build_xml_gpu(element) for element in elements if element.tag == "gpu"),
        driver=parse_version(versions.get("driver_version")),
        cuda_driver_version=parse_version(versions.get("cuda_version")),
    )


def _read_elements(text: str) -> Iterator[Element]:
    """The elements as they are closed, until the text ends or is no XML any more.

    It is read from the root element on, so that a document type cannot declare entities.
    """
    start = text.find("<nvidia_smi_log")
    if start < 0:
        return
    from xml.etree.ElementTree import Element, ParseError, XMLPullParser

    parser: XMLPullParser[Element] = XMLPullParser(["end"])
    try:
        parser.feed(text[start:])
        for event in parser.read_events():
            if isinstance(event[-1], Element):
                yield event[-1]
    except (ParseError, ValueError):
        return


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
        pci_bus_id=_parse_matching(_BUS_ID, bus_id),
    )


def _split_row(line: str) -> list[str]:
    return [cell.strip() for cell in line.split(",")]


def _parse_answer(text: str | None) -> str | None:
    stripped = (text or "").strip()
    return None if _NO_ANSWER.fullmatch(stripped) else stripped


def _parse_matching(pattern: re.Pattern[str], text: str | None) -> str | None:
    stripped = (text or "").strip()
    return stripped if pattern.fullmatch(stripped) else None


def _parse_mib(text: str | None) -> int | None:
    match = _MEMORY.fullmatch((text or "").strip())
    return None if match is None else int(match[1])
