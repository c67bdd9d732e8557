"""Whether this machine has a GPU, and whose, where its drivers do not settle it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from provision.core.architecture import GpuNames, build_identity
from provision.core.parse.conditions import (
    build_gpu_not_answering,
    build_gpu_unknown,
    build_gpu_unserved,
    build_listed_card,
    build_no_gpu,
)
from provision.core.parse.gpu_merge import LISTS_OF_DEVICES, judge_vendor
from provision.core.parse.pci import PciReport
from provision.core.parse.source_report import SourceReport
from provision.model.facts import Condition, ConditionId, Gpu, Vendor

# The kernel module does not load without a GPU, so these contradict a bus that shows none.
_DRIVER_IS_LOADED = (ConditionId.DRIVER_MISMATCH, ConditionId.GPU_LOST, ConditionId.NO_DEVICE)
_ASKED_OF_NVIDIA = ("nvml", "nvidia-smi")
_NO_PROGRAMS = (*_ASKED_OF_NVIDIA, "override", "machine-state", "pci")

Verdict = tuple[Vendor | None, tuple[Condition, ...]]


def leave_out_idle_cards(
    reports: Mapping[str, SourceReport], names: GpuNames | None
) -> dict[str, SourceReport]:
    """Of this machine, a list of devices shows what no driver answers for, and GPUs of the processor.

    NVIDIA's cards there only add to what the driver said, and where it said nothing they are no GPUs yet. Beside
    a card the processor's GPU is not what the user means; alone it counts.
    """
    if _has_answered(reports):
        return dict(reports)
    left = dict(reports)
    for name in LISTS_OF_DEVICES:
        if name in reports:
            gpus = [build_identity(gpu, names) for gpu in reports[name].gpus]
            cards = [gpu for gpu in gpus if not gpu.integrated]
            kept = tuple(gpu for gpu in cards or gpus if gpu.vendor not in {None, Vendor.NVIDIA})
            left[name] = replace(reports[name], gpus=kept)
    return left


def judge_presence(
    gpus: Sequence[Gpu], reports: Mapping[str, SourceReport], pci: PciReport, module: str | None
) -> Verdict:
    """Whose GPU it is, and what is to be said when none was read: none, not answering, or not known.

    `reports` are all of them, `module` is the version of NVIDIA's kernel module.
    """
    idle_cards = _list_idle_cards(reports)
    said = {condition.id for report in reports.values() for condition in report.conditions}
    override = reports.get("override")
    settled = override.vendor if override is not None and override.vendor else judge_vendor(gpus)
    idle = () if ConditionId.NO_DEVICE in said else _judge_idle(pci, idle_cards)
    if settled is not None:
        return settled, idle if idle_cards else ()
    if pci.nvidia or idle_cards:
        return Vendor.NVIDIA, idle
    if module is not None or not said.isdisjoint(_DRIVER_IS_LOADED):
        return Vendor.NVIDIA, () if ConditionId.NO_DEVICE in said else (build_gpu_unknown(),)
    return _judge_without_nvidia(reports, pci)


def _has_answered(reports: Mapping[str, SourceReport]) -> bool:
    return any(report.gpus for name, report in reports.items() if name not in LISTS_OF_DEVICES)


def _list_idle_cards(reports: Mapping[str, SourceReport]) -> tuple[Gpu, ...]:
    """NVIDIA's cards that a list of this machine's devices shows while no driver of any maker answers."""
    listed = [report.gpus for name, report in reports.items() if name in LISTS_OF_DEVICES and report.gpus]
    cards = [gpu for gpus in listed[:1] for gpu in gpus if gpu.vendor in {None, Vendor.NVIDIA}]
    return () if _has_answered(reports) else tuple(cards)


def _judge_idle(pci: PciReport, idle_cards: Sequence[Gpu]) -> tuple[Condition, ...]:
    if pci.nvidia:
        return (build_gpu_not_answering(pci.nvidia),)
    return (build_listed_card(idle_cards),) if idle_cards else ()


def _judge_without_nvidia(reports: Mapping[str, SourceReport], pci: PciReport) -> Verdict:
    """No card of NVIDIA's is in sight and no driver of its own is loaded."""
    told = next((r.vendor for r in reports.values() if r.vendor not in {None, Vendor.NONE}), None)
    if told is not None:
        return told, ()
    if pci.unserved:
        return pci.unserved_vendor, (build_gpu_unserved(pci.unserved),)
    if pci.conclusive:
        return Vendor.NONE, (build_no_gpu("the PCI bus shows none"),)
    if any(report.nvidia for report in reports.values()):
        return Vendor.NVIDIA, (build_gpu_unknown(),)
    if any(report.found for name, report in reports.items() if name in _ASKED_OF_NVIDIA):
        return None, (build_gpu_unknown(),)
    return Vendor.NONE, (build_no_gpu(_describe_asked(reports)),)


def _describe_asked(reports: Mapping[str, SourceReport]) -> str:
    """What was asked in vain, where the bus proves nothing."""
    programs = [name for name, report in reports.items() if report.found and name not in _NO_PROGRAMS]
    missing = "neither NVIDIA's driver library nor nvidia-smi is on this machine"
    return f"{missing}, and {' and '.join(programs)} told of none" if programs else missing
