"""What NVML says of how a GPU is run and who uses it: the details in the JSON of `nvml_reader.py`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from msgspec import Struct

from provision.core.parse.json_text import parse_json
from provision.core.parse.plain_conditions import build_plain
from provision.model.facts import Condition, ConditionId

_MIB = 2**20
# Less than this is a desktop's share, or the driver's own: it does not decide whether a model fits.
_NOTABLE_SHARE = 0.1
_NOTABLE_BYTES = 2 * 2**30
_SHOWN = 3
_PROFILE = re.compile(r"\bMIG (\d+[cg]\.[\w.+]{1,40})")


class MigInstance(Struct, frozen=True, kw_only=True):
    """One MIG device; its name ends in the profile, `MIG 1g.18gb`."""

    uuid: str | None = None
    name: str | None = None
    memory_total_bytes: int | None = None


class GpuProcess(Struct, frozen=True, kw_only=True):
    """A process that holds memory of a GPU. The name is None in containers; Windows tells no size."""

    pid: int
    name: str | None = None
    memory_bytes: int | None = None


class GpuDetails(Struct, frozen=True, kw_only=True):
    """The details of one GPU; None where NVML does not say.

    `virtualization` is none, passthrough, vgpu, host-vgpu or host-vsga; `driver_model` wddm, tcc or mcdm,
    on Windows alone. `ecc_default` is told only where ECC is off.
    """

    index: int
    name: str | None = None
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    mig_enabled: bool | None = None
    mig_instances: tuple[MigInstance, ...] | None = None
    virtualization: str | None = None
    driver_model: str | None = None
    ecc_enabled: bool | None = None
    ecc_default: bool | None = None
    processes: tuple[GpuProcess, ...] | None = None


class DetailsDocument(Struct, frozen=True, kw_only=True):
    """The JSON of the source `nvml`, as far as it is read here."""

    gpus: tuple[GpuDetails, ...] = ()


def parse_nvml_details(text: str) -> tuple[Condition, ...]:
    """Conditions of all GPUs, those that hold for the machine once. Nothing for text that cannot be read."""
    document = parse_json(text, DetailsDocument) or DetailsDocument()
    return (
        *(condition for gpu in document.gpus for condition in _judge_mig(gpu)),
        *_judge_modes(document.gpus),
        *(condition for gpu in document.gpus for condition in _judge_memory(gpu)),
    )


def _judge_mig(gpu: GpuDetails) -> Iterator[Condition]:
    if not gpu.mig_enabled:
        return
    which = f"GPU {gpu.index} ({gpu.name})"
    if gpu.mig_instances is None:
        message = f"{which} is in MIG mode: a process gets an instance of it at most, never all of it."
    elif not gpu.mig_instances:
        plain = f"{which} is in MIG mode and has no instance: CUDA programs cannot use it."
        yield Condition(id=ConditionId.MIG_NO_INSTANCES, message=plain)
        return
    else:
        kinds = Counter(_describe_instance(instance) for instance in gpu.mig_instances)
        listed = ", ".join(f"{count} x {kind}" for kind, count in kinds.items())
        message = f"{which} is in MIG mode: a process gets one of its instances ({listed}), not all of it."
    yield Condition(id=ConditionId.MIG, message=message)


def _describe_instance(instance: MigInstance) -> str:
    match = _PROFILE.search(instance.name or "")
    profile = match[1] if match else instance.name or "of an unknown profile"
    size = instance.memory_total_bytes
    return profile if size is None else f"{profile} with {size // _MIB} MiB"


def _judge_modes(gpus: Sequence[GpuDetails]) -> Iterator[Condition]:
    virtualization = {gpu.virtualization for gpu in gpus}
    if "vgpu" in virtualization:
        yield build_plain(ConditionId.VGPU)
    if virtualization & {"host-vgpu", "host-vsga"}:
        yield build_plain(ConditionId.VGPU_HOST)
    if any(gpu.driver_model == "wddm" for gpu in gpus):
        yield build_plain(ConditionId.WDDM)
    off = [gpu for gpu in gpus if gpu.ecc_enabled is False and gpu.ecc_default]
    if off:
        which = ", ".join(f"GPU {gpu.index} ({gpu.name})" for gpu in off)
        message = f"Error correction of the memory, on by default, is switched off: {which}."
        yield Condition(id=ConditionId.ECC_OFF, message=message)


def _judge_memory(gpu: GpuDetails) -> Iterator[Condition]:
    """Memory that others hold: enough of it to decide whether a model fits, and who, where NVML says."""
    processes = gpu.processes or ()
    held = sum(process.memory_bytes or 0 for process in processes)
    used = max(held, gpu.memory_used_bytes or 0)
    total = gpu.memory_total_bytes
    least = _NOTABLE_BYTES if total is None else min(_NOTABLE_BYTES, round(total * _NOTABLE_SHARE))
    if used < least:
        return
    size = f"{used // _MIB} MiB" if total is None else f"{used // _MIB} of {total // _MIB} MiB"
    message = f"{size} of GPU {gpu.index} ({gpu.name}) are in use{_name_holders(processes)}."
    yield Condition(id=ConditionId.GPU_MEMORY_IN_USE, message=message)


def _name_holders(processes: Sequence[GpuProcess]) -> str:
    if not processes:
        return ", by whom the driver does not tell"
    shown = ", ".join(_describe_process(process) for process in processes[:_SHOWN])
    more = len(processes) - _SHOWN
    return f": {shown}{f' and {more} more' if more > 0 else ''}"


def _describe_process(process: GpuProcess) -> str:
    """`python3 (process 4711) 14200 MiB`; names are other people's text, so only what is printable."""
    name = "".join(c for c in process.name or "" if c.isprintable())[:40]
    who = f"{name} (process {process.pid})" if name else f"process {process.pid}"
    return who if process.memory_bytes is None else f"{who} {process.memory_bytes // _MIB} MiB"
