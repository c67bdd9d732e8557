"""Pasted XML of `nvidia-smi -q -x`: what it tells beside the GPUs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from provision.core.parse.nvidia_smi import FIRST_XML_GPU, parse_xml, read_elements
from provision.core.parse.nvidia_text.answers import build_all, judge_form
from provision.core.parse.source_report import SourceReport
from provision.model.facts import ConditionId

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_CUDA_TAGS = ("cuda_version", "cuda_umd_version")
_VIRTUALISATION = {"vgpu": ConditionId.VGPU, "host vgpu": ConditionId.VGPU_HOST}


def is_xml(text: str) -> bool:
    """Whether the root element or a GPU's beginning is there."""
    return "<nvidia_smi_log" in text or ("<product_name>" in text and FIRST_XML_GPU.search(text) is not None)


def parse_xml_text(text: str) -> SourceReport:
    """What `parse_xml` finds, with what is to be said of the machine and of the text."""
    report = parse_xml(text)
    elements = [element for element in read_elements(text) if element.tag == "gpu"]
    windows = any("WDDM" in element.findtext("driver_model/current_dm", "") for element in elements)
    conditions = [
        *([ConditionId.CUDA_VERSION_NA] if _has_no_cuda(text) else []),
        *([ConditionId.WDDM] if windows else []),
        *_judge_modes(elements),
        *judge_form(report.gpus),
        *([ConditionId.HEADER_MISSING] if report.driver is None else []),
        *([ConditionId.HEADER_ONLY] if report.driver and not elements else []),
        *([ConditionId.TRUNCATED] if "</nvidia_smi_log>" not in text else []),
    ]
    return SourceReport(
        gpus=report.gpus,
        driver=report.driver,
        cuda_driver_version=report.cuda_driver_version,
        conditions=build_all(conditions),
        nvidia=True,
        system="Windows" if windows else None,
    )


def _has_no_cuda(text: str) -> bool:
    """Whether the driver found no CUDA library to ask, as on a host of virtual GPUs and in some containers."""
    return any(f"<{tag}>{word}<" in text for tag in _CUDA_TAGS for word in ("N/A", "Not Found"))


def _judge_modes(elements: Sequence[Element]) -> Iterator[ConditionId]:
    for element in elements:
        mode = element.findtext("gpu_virtualization_mode/virtualization_mode", "").strip().lower()
        if mode in _VIRTUALISATION:
            yield _VIRTUALISATION[mode]
        split = element.findtext("mig_mode/current_mig", "").strip() == "Enabled"
        if split and element.find("mig_devices/mig_device") is None:
            yield ConditionId.MIG_NO_INSTANCES
