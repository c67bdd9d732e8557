"""The one sentence for each condition of a machine, apart from the parsers that find it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from provision.core.visible_devices import (
    NOTHING_VISIBLE,
    choose_visible,
    find_invalid_entry,
    names_instances,
)
from provision.model.facts import Condition, ConditionId, Gpu, Reading, Vendor

_EXCERPT_LIMIT = 120


def build_excerpt(text: str) -> str:
    """The first line that says something, printable and short, in quotes; for another program's words."""
    lines = ("".join(c if c.isprintable() else " " for c in line) for line in text[:4096].splitlines())
    line = next((" ".join(line.split()) for line in lines if line.strip()), "")
    return f"'{line[:_EXCERPT_LIMIT]}…'" if len(line) > _EXCERPT_LIMIT else f"'{line}'"


def build_no_gpu(asked: str) -> Condition:
    """There is surely none, or nothing hints at one."""
    return Condition(id=ConditionId.NO_GPU, message=f"No GPU was found: {asked}.")


def build_gpu_unknown() -> Condition:
    """Something hints at a GPU or at a driver, and no source could be read."""
    message = "Whether this machine has an NVIDIA GPU, and which, is unknown: no source could be read."
    return Condition(id=ConditionId.GPU_UNKNOWN, message=message)


def build_gpu_not_answering(devices: Sequence[str]) -> Condition:
    """On the bus, but no driver speaks for it."""
    message = f"The PCI bus shows {', '.join(devices)}, but no NVIDIA driver answered."
    return Condition(id=ConditionId.GPU_NOT_ANSWERING, message=message)


def build_listed_card(cards: Sequence[Gpu]) -> Condition:
    """A list of devices, such as Windows', shows NVIDIA's cards and nothing of NVIDIA's answers."""
    names = ", ".join(dict.fromkeys(gpu.name or gpu.pci_id or "a card without a name" for gpu in cards))
    message = f"The list of devices shows {names}, but no NVIDIA driver answered."
    return Condition(id=ConditionId.GPU_NOT_ANSWERING, message=message)


def build_gpu_unserved(devices: Sequence[str]) -> Condition:
    """Cards of AMD or Intel on the bus that no kernel driver of theirs holds."""
    message = f"The PCI bus shows {', '.join(devices)}: no driver serves it."
    return Condition(id=ConditionId.GPU_NOT_ANSWERING, message=message)


def build_no_devices(source: str) -> Condition:
    """The driver works and shows none: a container without devices, a job without its share, a lost card."""
    message = f"The NVIDIA driver works, but {source} shows no GPU to this process."
    return Condition(id=ConditionId.NO_DEVICE, message=message)


def build_gpu_lost(which: str) -> Condition:
    """A GPU that was there at boot and no longer answers."""
    message = f"The driver knows {which} but gets no answer from it any more."
    return Condition(id=ConditionId.GPU_LOST, message=message)


def build_driver_library_mismatch(library: str | None) -> Condition:
    """`library` is the version of NVML where it is told."""
    which = "" if library is None else f" (the library is {library})"
    message = (
        f"The loaded NVIDIA kernel module and the driver's libraries are of different versions{which}, "
        "as after an update of the driver without a restart."
    )
    return Condition(id=ConditionId.DRIVER_MISMATCH, message=message)


def build_driver_not_loaded() -> Condition:
    """NVIDIA's software is installed and reaches no kernel driver."""
    message = "NVIDIA's software is installed, but its kernel driver is not loaded."
    return Condition(id=ConditionId.DRIVER_NOT_LOADED, message=message)


def build_nvml_library_missing() -> Condition:
    """`nvidia-smi` without the library that it stands on, as in a container that got the program alone."""
    message = "nvidia-smi is here, but not the driver library that it needs (libnvidia-ml)."
    return Condition(id=ConditionId.NVML_LIBRARY_MISSING, message=message)


def build_nvml_error(what: str) -> Condition:
    """`what` is NVML's own name or words, with the call where it is known."""
    return Condition(id=ConditionId.NVML_ERROR, message=f"NVML, the driver's library, failed: {what}.")


def build_nvml_timeout(reading: Reading) -> Condition:
    """NVML was ended after its time limit."""
    message = f"NVML, the driver's library, gave no answer within {_render_limit(reading)} and was ended."
    return Condition(id=ConditionId.NVML_TIMEOUT, message=message)


def build_nvidia_smi_timeout(reading: Reading) -> Condition:
    """`nvidia-smi` was ended after its time limit."""
    message = f"{reading.origin} gave no answer within {_render_limit(reading)} and was ended."
    return Condition(id=ConditionId.NVIDIA_SMI_TIMEOUT, message=message)


def build_nvidia_smi_broken(what: str) -> Condition:
    """It cannot be started, fails for no known reason, or prints what it never prints."""
    return Condition(id=ConditionId.NVIDIA_SMI_BROKEN, message=f"nvidia-smi is of no use here: {what}.")


def build_compute_capability_unknown(gpu: Gpu) -> Condition:
    """Neither the driver nor the name tells it."""
    message = (
        f"The compute capability of {gpu.name or 'a GPU without a name'} is unknown: the driver does not say."
    )
    return Condition(id=ConditionId.COMPUTE_CAPABILITY_UNKNOWN, message=message)


def build_compute_capability_by_name(gpu: Gpu, *, by_name: bool) -> Condition:
    """The driver does not tell; the name does, or where that says nothing the PCI id."""
    what = "its name" if by_name else f"its PCI id {gpu.pci_id}"
    message = (
        f"The compute capability of {gpu.name or 'a GPU without a name'}, {gpu.compute_capability_by_name}, "
        f"was inferred from {what}, since the driver does not say."
    )
    return Condition(id=ConditionId.COMPUTE_CAPABILITY_BY_NAME, message=message)


def build_mixed_gpus(gpus: Sequence[Gpu]) -> Condition:
    """More than one kind of GPU."""
    counts = Counter(gpu.name or "a GPU without a name" for gpu in gpus)
    kinds = ", ".join(f"{count} x {name}" for name, count in counts.items())
    return Condition(id=ConditionId.MIXED_MODELS, message=f"The GPUs are not all alike: {kinds}.")


def build_unsupported(gpus: Sequence[Gpu], *, every: bool) -> Condition:
    """`gpus` are older than what torch's default wheels carry code for; `every`: there is no other GPU."""
    condition_id = ConditionId.UNSUPPORTED_GPU if every else ConditionId.UNSUPPORTED_GPU_PRESENT
    message = f"The usual wheels of torch have no code for a GPU as old as this: {_name_kinds(gpus)}."
    return Condition(id=condition_id, message=message)


def build_arch_dropped(gpus: Sequence[Gpu]) -> Condition:
    """The driver offers CUDA 13, which has no code for `gpus` any more."""
    message = (
        f"The driver serves CUDA 13, which is no longer made for {_name_kinds(gpus)}: "
        "wheels for CUDA 12 are needed."
    )
    return Condition(id=ConditionId.ARCH_DROPPED_BY_CUDA13, message=message)


def build_old_driver(driver: str) -> Condition:
    """Before the first branch of CUDA 12."""
    message = f"Driver {driver} is of a branch before 525, too old for wheels of CUDA 12 or 13."
    return Condition(id=ConditionId.OLD_DRIVER, message=message)


def build_forward_compat(driver: str, cuda: str) -> Condition:
    """`cuda` is what the driver serves by itself."""
    message = f"Driver {driver} serves CUDA {cuda} by itself; the newer CUDA here comes from compatibility libraries."
    return Condition(id=ConditionId.CUDA_FORWARD_COMPAT, message=message)


def build_modified_memory(gpu: Gpu) -> Condition:
    """More memory than any such board left its maker with."""
    message = f"{gpu.name} was never sold with {gpu.memory_mib} MiB: its memory was exchanged."
    return Condition(id=ConditionId.MODIFIED_MEMORY, message=message)


def build_ambiguous_name(gpu: Gpu) -> Condition:
    """A name cut so short that products of several generations share what is left."""
    message = (
        f"Products of several generations share what is left of the name {build_excerpt(gpu.name or '')}."
    )
    return Condition(id=ConditionId.AMBIGUOUS_NAME, message=message)


def build_mig_enabled(index: int, gpu: Gpu) -> Condition:
    """A process sees one instance of such a GPU, with a share of its memory."""
    message = (
        f"GPU {index} ({gpu.name}) is in MIG mode: a process gets an instance of it at most, never all of it."
    )
    return Condition(id=ConditionId.MIG, message=message)


def build_cuda_visible_devices(value: str, gpus: Sequence[Gpu]) -> Condition:
    """The GPUs reported are all that the driver has; CUDA programs see the selection."""
    nvidia = [gpu for gpu in gpus if gpu.vendor in {None, Vendor.NVIDIA}]
    visible = choose_visible(value, nvidia)
    said = f"CUDA_VISIBLE_DEVICES is {build_excerpt(value)}: CUDA programs see"
    if names_instances(value):
        seen = "the MIG instances that it names"
    elif value.strip() in NOTHING_VISIBLE:
        seen = "no GPU"
    elif not nvidia:
        seen = "that selection"
    elif (entry := find_invalid_entry(value, nvidia)) is not None:
        seen = f"{_count_visible(visible, nvidia)}, since the list ends at {build_excerpt(entry)}"
    else:
        seen = _count_visible(visible, nvidia)
    return Condition(id=ConditionId.CUDA_VISIBLE_DEVICES, message=f"{said} {seen}.")


def _count_visible(visible: Sequence[Gpu], gpus: Sequence[Gpu]) -> str:
    if not visible:
        return "no GPU"
    return "the one GPU" if len(gpus) == 1 else f"{len(visible)} of {len(gpus)} GPUs"


def build_wsl(version: int) -> Condition:
    """Windows' Linux subsystem."""
    message = f"This is Linux in WSL {version}: the GPU driver is the one of Windows."
    if version == 1:
        message = "This is Linux in WSL 1, which gives no access to a GPU."
    return Condition(id=ConditionId.WSL, message=message)


def build_container(kind: str) -> Condition:
    """A container sees the devices that it was given."""
    where = "a container" if kind == "container" else f"a container ({kind})"
    return Condition(
        id=ConditionId.CONTAINER, message=f"This runs in {where}, which sees only what it was given."
    )


def _name_kinds(gpus: Sequence[Gpu]) -> str:
    """`Tesla K80 (3.7), Tesla M60 (5.2)`"""
    kinds = {f"{gpu.name or 'a GPU without a name'} ({gpu.best_compute_capability})" for gpu in gpus}
    return ", ".join(sorted(kinds))


def _render_limit(reading: Reading) -> str:
    return "its time" if reading.limit_s is None else f"{reading.limit_s:g} s"
