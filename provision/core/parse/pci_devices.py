"""Devices of a PCI list, whatever program printed it: which are GPUs, and what the others tell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from provision.core.parse.conditions import build_wsl
from provision.core.parse.plain_conditions import build_plain
from provision.core.parse.source_report import SourceReport
from provision.model.facts import Condition, ConditionId, Gpu, Vendor

GPU_VENDORS = {"10de": Vendor.NVIDIA, "1002": Vendor.AMD, "8086": Vendor.INTEL}
# Where a list has no ids: how pci.ids writes the makers, and what follows is the device.
_VENDOR_WORDS = (
    ("10de", "NVIDIA Corporation"),
    ("1002", "Advanced Micro Devices, Inc. [AMD/ATI]"),
    ("1022", "Advanced Micro Devices, Inc. [AMD]"),
    ("8086", "Intel Corporation"),
    ("1a03", "ASPEED Technology, Inc."),
    ("102b", "Matrox Electronics Systems Ltd."),
    ("19e5", "Huawei Technologies Co., Ltd."),
    ("1af4", "Red Hat, Inc. Virtio"),
    ("1b36", "Red Hat, Inc."),
    ("15ad", "VMware"),
    ("1414", "Microsoft Corporation"),
    ("1013", "Cirrus Logic"),
    ("80ee", "InnoTek Systemberatung GmbH"),
    ("14e4", "Broadcom Inc. and subsidiaries"),
)
_BMC_VENDORS = {"1a03", "102b", "19e5"}
_VIRTUAL_VENDORS = {"1af4", "1b36", "15ad", "1414", "1234", "1013", "80ee"}
# What WSL 2 shows of the GPU of Windows: an adapter of Microsoft's, whoever made the card.
_WSL_ADAPTER = "1414:008e"
_DISPLAY_CLASSES = {
    "VGA compatible controller",
    "3D controller",
    "Display controller",
    "XGA compatible controller",
}
_ACCELERATOR_CLASS = "Processing accelerators"
_UNRESOLVED = re.compile(r"(unknown|Device)( (device )?\[?[0-9a-f]{4}\]?)?", re.IGNORECASE)
_NPU_NAME = re.compile(r"\bNPU\b|\bIPU\b|\bNeural\b")
# The bridges of Raspberry Pi 4 and 5, which are on no other machine.
_ARM_BRIDGES = {"14e4:2711", "14e4:2712"}
# A list of at least so many devices that begins at the host bridge is not filtered for displays.
_WHOLE_LIST = 10


class PciEntry(Struct, frozen=True, kw_only=True):
    """One function of a PCI device. Ids are four hexadecimal digits in lower case, "" where not told.

    `class_name` is in pci.ids' words. `driver` is the kernel's; `driver_told` whether the list would have
    named one.
    """

    slot: str
    class_id: str = ""
    class_name: str = ""
    vendor_id: str = ""
    device_id: str = ""
    name: str | None = None
    driver: str | None = None
    driver_told: bool = False


def split_vendor(text: str) -> tuple[str, str]:
    """(vendor id, device) of "NVIDIA Corporation GA102 [...]"; the id is "" for a maker that is not known."""
    for vendor_id, words in _VENDOR_WORDS:
        if text.startswith(words):
            return vendor_id, text[len(words) :].strip() or text
    return "", text


def build_pci_report(entries: Sequence[PciEntry]) -> SourceReport:
    """The GPUs among the devices, and what is to be said about the rest."""
    gpu_entries = [entry for entry in entries if _is_gpu(entry)]
    gpus = tuple(_build_gpu(entry) for entry in gpu_entries)
    on_arm = any(f"{entry.vendor_id}:{entry.device_id}" in _ARM_BRIDGES for entry in entries)
    displays = [entry for entry in entries if _is_display(entry)]
    whole = len(entries) >= _WHOLE_LIST and entries[0].slot.endswith("00:00.0")
    nothing = not gpus and not on_arm and not _is_wsl(entries) and (bool(displays) or whole)
    return SourceReport(
        gpus=gpus,
        conditions=(*_judge_others(entries, on_arm), *_judge_gpus(gpu_entries)),
        vendor=Vendor.NONE if nothing else None,
        machine="aarch64" if on_arm else None,
    )


def _is_display(entry: PciEntry) -> bool:
    return entry.class_id.startswith("03") or entry.class_name in _DISPLAY_CLASSES


def _is_accelerator(entry: PciEntry) -> bool:
    return entry.class_id.startswith("12") or entry.class_name == _ACCELERATOR_CLASS


def _is_gpu(entry: PciEntry) -> bool:
    """AMD's Instinct cards are processing accelerators; Intel's devices of that class are NPUs."""
    if entry.vendor_id not in GPU_VENDORS:
        return False
    return _is_display(entry) or (_is_accelerator(entry) and entry.vendor_id != "8086")


def _build_gpu(entry: PciEntry) -> Gpu:
    pci_id = f"{entry.vendor_id}:{entry.device_id}" if entry.device_id else None
    # Intel has put the processor's GPU at this address in every generation.
    integrated = True if entry.vendor_id == "8086" and entry.slot.endswith("00:02.0") else None
    return Gpu(
        name=entry.name or pci_id,
        vendor=GPU_VENDORS[entry.vendor_id],
        pci_id=pci_id,
        pci_bus_id=_render_bus_id(entry.slot),
        integrated=integrated,
    )


def _judge_others(entries: Sequence[PciEntry], on_arm: bool) -> Iterator[Condition]:
    displays = [entry for entry in entries if _is_display(entry)]
    if on_arm:
        yield build_plain(ConditionId.AARCH64)
    if _is_wsl(entries):
        yield build_wsl(2)
    elif not any(_is_gpu(entry) for entry in entries):
        yield Condition(id=ConditionId.NO_DEVICE, message="The list of PCI devices shows no GPU.")
    if any(_is_npu(entry) for entry in entries):
        yield build_plain(ConditionId.NPU_PRESENT)
    if any(entry.vendor_id in _BMC_VENDORS for entry in displays):
        yield build_plain(ConditionId.BMC_VGA_PRESENT)
    if not _is_wsl(entries) and any(entry.vendor_id in _VIRTUAL_VENDORS for entry in displays):
        yield build_plain(ConditionId.VM)


def _is_wsl(entries: Sequence[PciEntry]) -> bool:
    return any(f"{entry.vendor_id}:{entry.device_id}" == _WSL_ADAPTER for entry in entries)


def _is_npu(entry: PciEntry) -> bool:
    if entry.vendor_id == "8086" and _is_accelerator(entry):
        return True
    return entry.vendor_id in {"8086", "1022"} and _NPU_NAME.search(entry.name or "") is not None


def _judge_gpus(gpus: Sequence[PciEntry]) -> Iterator[Condition]:
    if any(not entry.device_id for entry in gpus):
        yield build_plain(ConditionId.NO_NUMERIC_IDS)
    if any(_UNRESOLVED.fullmatch(entry.name or "") for entry in gpus):
        yield build_plain(ConditionId.PCI_NAME_UNRESOLVED)
    if any(entry.driver == "vfio-pci" for entry in gpus):
        yield build_plain(ConditionId.VFIO_PASSTHROUGH)
    if any(entry.driver == "nouveau" for entry in gpus):
        yield build_plain(ConditionId.NOUVEAU)
    idle = [entry for entry in gpus if entry.driver_told and entry.driver is None]
    if idle:
        names = ", ".join(dict.fromkeys(entry.name or entry.device_id for entry in idle))
        message = f"No kernel driver holds {names}."
        yield Condition(id=ConditionId.DRIVER_NOT_LOADED, message=message)


def _render_bus_id(slot: str) -> str | None:
    """As NVIDIA writes it, `00000000:01:00.0`."""
    match = re.fullmatch(r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f])", slot.lower())
    return None if match is None else f"{(match[1] or '0').upper():0>8}:{match[2].upper()}"
