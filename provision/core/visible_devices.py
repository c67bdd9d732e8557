"""Which GPUs a value of CUDA_VISIBLE_DEVICES leaves to CUDA programs.

The CUDA runtime reads the list up to the first entry that is no device of its own; a device named twice leaves none.
torch reads it by the same rules: `_parse_visible_devices` and `_device_count_nvml` in torch/cuda/__init__.py of 2.13.0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from provision.model.facts import Gpu

# What people set for "none"; every other word that is no device does the same.
NOTHING_VISIBLE = ("", "-1", "none", "NoDevFiles")
_INDEX = re.compile(r"\s{0,8}\+?(\d{1,4})")


class _Reading(Struct, frozen=True, kw_only=True):
    """The GPUs in the order of the list, and the entry that ended it early."""

    gpus: tuple[Gpu, ...] = ()
    ended_by: str | None = None


def choose_visible(value: str, gpus: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """The GPUs of NVIDIA's among `gpus` that CUDA programs see, in the order of `value`.

    An index counts in the order of `gpus`, which is the runtime's where CUDA_DEVICE_ORDER is PCI_BUS_ID or the GPUs
    are alike. Of MIG instances the GPU is not known: see `names_instances`.
    """
    return _read(value, gpus).gpus


def find_invalid_entry(value: str, gpus: Sequence[Gpu]) -> str | None:
    """The entry that is no device of this machine, or one for the second time, and so ends the list; else None."""
    return _read(value, gpus).ended_by


def names_instances(value: str) -> bool:
    """Whether the list is of MIG instances, by their UUIDs."""
    return value.strip().startswith("MIG-")


def _read(value: str, gpus: Sequence[Gpu]) -> _Reading:
    chosen: list[int] = []
    for entry in value.split(","):
        index = _find_index(entry.strip(), gpus)
        # A list of UUIDs takes no index and a list of indices no UUID.
        if index is None or entry.strip().startswith("GPU-") != value.strip().startswith("GPU-"):
            return _Reading(gpus=tuple(gpus[number] for number in chosen), ended_by=entry.strip())
        if index in chosen:
            return _Reading(ended_by=entry.strip())
        chosen.append(index)
    return _Reading(gpus=tuple(gpus[number] for number in chosen))


def _find_index(entry: str, gpus: Sequence[Gpu]) -> int | None:
    """The GPU of an index, or of a UUID or a beginning of one that fits no other GPU."""
    if entry.startswith("GPU-"):
        fitting = [number for number, gpu in enumerate(gpus) if (gpu.uuid or "").startswith(entry)]
        return fitting[0] if len(fitting) == 1 else None
    match = _INDEX.match(entry)
    return int(match[1]) if match and int(match[1]) < len(gpus) else None
