"""Which source the GPUs are taken from, and what the others add to them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from provision.core.parse.source_report import SourceReport
from provision.model.facts import Gpu, Vendor

# NVIDIA's, most telling first. Other makers' tools follow in the order of their registry, lists of devices last.
_NVIDIA_ORDER = (
    "nvml",
    "nvidia-smi",
    "nvidia-smi-csv",
    "nvidia-smi-xml",
    "nvidia-smi-q",
    "nvidia-smi-table",
    "nvidia-smi-L",
    "cuda-deviceQuery",
    "collect-env",
    "sglang-check-env",
)
# They show a card whether or not a driver serves it.
LISTS_OF_DEVICES = (
    "windows-cim",
    "windows-wmic",
    "windows-pnpdevice",
    "lact-info",
    "lshw",
    "ubuntu-drivers",
    "ghw-pci-json",
    "lspci-vmmnD",
    "lspci",
    "pci",
)
_BUS_ID = re.compile(r"(?:([0-9A-Fa-f]{4,8}):)?([0-9A-Fa-f]{2}):([0-9A-Fa-f]{2})\.([0-9A-Fa-f])")
_UUID = re.compile(r"GPU-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LEAST_DIGITS = 10
_CUT = "..."
_MOST_GPUS = 1024  # more are no machine
_COMPLETED = (
    "uuid",
    "memory_mib",
    "memory_used_mib",
    "compute_capability",
    "arch",
    "mig_enabled",
    "pci_bus_id",
    "pci_id",
    "integrated",
    "marketing_name",
)


class GpuChoice(Struct, frozen=True, kw_only=True):
    """The GPUs, the source that they are from, and the makers whose drivers answered for a card."""

    gpus: tuple[Gpu, ...] = ()
    source: str | None = None
    vendors: frozenset[Vendor] = frozenset()


def choose_gpus(reports: Mapping[str, SourceReport]) -> GpuChoice:
    """The GPUs of the most telling source, completed from the others where they speak of the same ones."""
    named = [name for name in _sort_sources(reports) if reports[name].gpus]
    if not named:
        return GpuChoice()
    base, *others = named
    gpus = _set_vendors(reports[base].gpus)
    for name in others:
        gpus = _complete(gpus, _set_vendors(reports[name].gpus))
    answering = [name for name in named if name not in LISTS_OF_DEVICES]
    cards = (gpu for name in answering for gpu in reports[name].gpus if not gpu.integrated)
    vendors = frozenset(gpu.vendor or Vendor.NVIDIA for gpu in cards)
    return GpuChoice(gpus=gpus, source=base, vendors=vendors)


def judge_vendor(gpus: Sequence[Gpu]) -> Vendor | None:
    """The maker of the GPUs, `mixed` for several, None without any."""
    vendors = {gpu.vendor or Vendor.NVIDIA for gpu in gpus}
    return vendors.pop() if len(vendors) == 1 else Vendor.MIXED if vendors else None


def _sort_sources(reports: Mapping[str, SourceReport]) -> Iterator[str]:
    known = [name for name in _NVIDIA_ORDER if name in reports]
    lists = [name for name in LISTS_OF_DEVICES if name in reports]
    yield from known
    yield from (name for name in reports if name not in known and name not in lists and name != "override")
    yield from lists


def _set_vendors(gpus: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """A GPU without a maker comes from one of NVIDIA's sources. One that stands in the text again counts once."""
    kept: list[Gpu] = []
    for gpu in gpus[:_MOST_GPUS]:
        if gpu not in kept or not _has_uuid(gpu):
            kept.append(gpu)
    return tuple(gpu if gpu.vendor else replace(gpu, vendor=Vendor.NVIDIA) for gpu in kept)


def _has_uuid(gpu: Gpu) -> bool:
    """Whether its UUID is one: people put the same zeros or letters over those of all their GPUs."""
    uuid = gpu.uuid or ""
    return _UUID.fullmatch(uuid) is not None and len(set(uuid)) >= _LEAST_DIGITS


def _complete(gpus: Sequence[Gpu], others: Sequence[Gpu]) -> tuple[Gpu, ...]:
    alike = len(gpus) == len(others)
    return tuple(
        _complete_gpu(gpu, _find_same(gpu, others) or (others[index] if alike else None))
        for index, gpu in enumerate(gpus)
    )


def _find_same(gpu: Gpu, others: Sequence[Gpu]) -> Gpu | None:
    bus_id = _read_bus_id(gpu.pci_bus_id)
    for other in others:
        if gpu.uuid is not None and gpu.uuid == other.uuid and others.count(other) == 1:
            return other
        if bus_id is not None and bus_id == _read_bus_id(other.pci_bus_id):
            return other
    return None


def _complete_gpu(gpu: Gpu, other: Gpu | None) -> Gpu:
    if other is None or gpu.vendor is not other.vendor or _contradict(gpu, other):
        return gpu
    missing = {field: getattr(other, field) for field in _COMPLETED if getattr(gpu, field) is None}
    name = gpu.name
    if name is None or (
        name.endswith(_CUT) and other.name and other.name.startswith(name.removesuffix(_CUT))
    ):
        name = other.name
    return replace(gpu, name=name, **missing)


def _contradict(gpu: Gpu, other: Gpu) -> bool:
    """Whether what both say cannot be of one GPU. A device list's name is the chip's, so its address decides."""
    bus_id, other_bus_id = _read_bus_id(gpu.pci_bus_id), _read_bus_id(other.pci_bus_id)
    if bus_id is not None and other_bus_id is not None:
        return bus_id != other_bus_id
    if gpu.name is None or other.name is None:
        return False
    short, long = sorted(
        (gpu.name.removesuffix(_CUT).strip(), other.name.removesuffix(_CUT).strip()), key=len
    )
    whole = not gpu.name.endswith(_CUT) and not other.name.endswith(_CUT)
    return short != long if whole else not long.startswith(short)


def _read_bus_id(text: str | None) -> tuple[int, ...] | None:
    """Domain, bus, device and function, whichever way they are written."""
    match = _BUS_ID.fullmatch(text or "")
    return None if match is None else tuple(int(part or "0", 16) for part in match.groups())
