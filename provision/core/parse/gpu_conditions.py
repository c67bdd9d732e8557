"""What follows from the GPUs and the driver, whichever source told of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from provision.core.architecture import GpuNames, choose_capability_by_name
from provision.core.parse.conditions import (
    build_ambiguous_name,
    build_arch_dropped,
    build_compute_capability_by_name,
    build_compute_capability_unknown,
    build_forward_compat,
    build_mig_enabled,
    build_mixed_gpus,
    build_modified_memory,
    build_old_driver,
    build_unsupported,
)
from provision.core.parse.plain_conditions import build_plain
from provision.model.facts import Condition, ConditionId, Gpu, Vendor

_JETSON = re.compile(r"\b(?:Orin|Thor|Xavier|Jetson|Tegra)\b|\(nvgpu\)|\bTX2\b")
_SPARK = re.compile(r"\bGB10\b")
# Boards with NVIDIA's own processor beside the GPU.
_ON_ARM = re.compile(r"\bG[BH](?:10|[23]00)\b")
_LAPTOP = re.compile(
    r"\bLaptop\b|\bMobile\b|\bMax-Q\b(?! Workstation)|\bGeForce (?:GTX? |RTX )?\d{3,4}M\b|\bGeForce MX\d"
    r"|\bQuadro [A-Z]{0,4} ?\d{3,4}M\b"
)
# A share of a board: `GRID P40-8Q`, `NVIDIA A16-2Q`, and with MIG below it `A100-4-20C`.
_VGPU = re.compile(r"\bGRID [A-Z]+\d+\w*-|[A-Z]\d{1,3}\w{0,6}(?:-\d{1,2})?-\d{1,3}[ABCQ](?:ME)?$")
# Pascal. What is older has at most the last wheels for CUDA 12.6; see `profiles/torch.yaml` for the figures.
_OLDEST_SERVED = (6, 0)
_OLDEST_OF_CUDA_13 = (
    7,
    5,
)  # https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/#deprecated-architectures
# The first branch of CUDA 12: 525.60.13 on Linux, 528.33 on Windows.
# https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
_OLDEST_BRANCH = 525
# CUDA that a driver of a branch serves by itself, from the release notes of each CUDA toolkit.
_BRANCH_CUDA = {
    410: (10, 0),
    418: (10, 1),
    440: (10, 2),
    450: (11, 0),
    455: (11, 1),
    460: (11, 2),
    465: (11, 3),
    470: (11, 4),
    495: (11, 5),
    510: (11, 6),
    515: (11, 7),
    520: (11, 8),
    525: (12, 0),
    530: (12, 1),
    535: (12, 2),
    545: (12, 3),
    550: (12, 4),
    555: (12, 5),
    560: (12, 6),
    565: (12, 7),
    570: (12, 8),
    575: (12, 9),
    580: (13, 0),
}
# GiB that products whose memory is known to be exchanged were sold with at most.
_SOLD_GIB = {
    "GeForce RTX 2080 Ti": 11,
    "GeForce RTX 3070": 8,
    "GeForce RTX 3080": 12,
    "GeForce RTX 4080": 16,
    "GeForce RTX 4080 SUPER": 16,
    "GeForce RTX 4090": 24,
    "GeForce RTX 4090 D": 24,
    "GeForce RTX 5090": 32,
}


def judge_gpus(gpus: Sequence[Gpu], cuda: str | None, names: GpuNames | None) -> Iterator[Condition]:
    """What is to be said of the GPUs. `cuda` is the newest that the driver serves, `names` what inferred the rest."""
    nvidia = [gpu for gpu in gpus if gpu.vendor in {None, Vendor.NVIDIA}]
    yield from _judge_number(gpus)
    for index, gpu in enumerate(gpus):
        if gpu.mig_enabled:
            yield build_mig_enabled(index, gpu)
    yield from _judge_kinds(gpus)
    yield from _judge_age(nvidia, cuda)
    for gpu in nvidia:
        if _is_modified(gpu):
            yield build_modified_memory(gpu)
    yield from _judge_capabilities(nvidia, names)


def judge_driver(driver: str | None, cuda: str | None, gpus: Sequence[Gpu]) -> Iterator[Condition]:
    """Whether NVIDIA's driver is too old, or serves a CUDA that is not its own. A Jetson's has its own numbers."""
    number = re.match(r"(\d{2,4})\.", driver or "")
    if driver is None or number is None or any(_matches(_JETSON, gpu) for gpu in gpus):
        return
    major = int(number[1])
    if major < _OLDEST_BRANCH:
        yield build_old_driver(driver)
    branch = max((branch for branch in _BRANCH_CUDA if branch <= major), default=None)
    served = read_pair(cuda)
    # Numbers between the branches are Windows', and newer branches than the last here are not known.
    if branch is not None and served is not None and major < max(_BRANCH_CUDA) + 10:
        own = _BRANCH_CUDA[branch]
        if served > own:
            yield build_forward_compat(driver, ".".join(map(str, own)))


def is_splittable(gpus: Sequence[Gpu]) -> bool:
    """Whether a GPU says that it is not split. A virtual one and a Jetson say so without being able to."""
    whole = (gpu for gpu in gpus if gpu.mig_enabled is False)
    return any(not _matches(_VGPU, gpu) and not _matches(_JETSON, gpu) for gpu in whole)


def is_on_arm(gpus: Sequence[Gpu]) -> bool:
    """Whether a GPU is of a board whose processor is 64-bit ARM."""
    return any(_matches(_ON_ARM, gpu) or _matches(_JETSON, gpu) for gpu in gpus)


def read_pair(version: str | None) -> tuple[int, int] | None:
    """(12, 8) of "12.8"; None for what is not two numbers."""
    match = re.fullmatch(r"(\d{1,3})\.(\d{1,3})(?:\.\d{1,3})?", version or "")
    return None if match is None else (int(match[1]), int(match[2]))


def _matches(pattern: re.Pattern[str], gpu: Gpu) -> bool:
    names = (gpu.name, gpu.marketing_name)
    return any(pattern.search(name) for name in names if name)


def _judge_number(gpus: Sequence[Gpu]) -> Iterator[Condition]:
    """More than one, of how many makers and models. An integrated one beside a card is no second model."""
    if len(gpus) > 1:
        yield build_plain(ConditionId.MULTI_GPU)
    if len({gpu.vendor for gpu in gpus}) > 1:
        yield build_plain(ConditionId.MIXED_VENDORS)
    cards = [gpu for gpu in gpus if not gpu.integrated and gpu.name is not None]
    kinds = {(gpu.name, gpu.best_compute_capability) for gpu in cards}
    if len(kinds) > 1 and len({gpu.vendor for gpu in cards}) == 1:
        yield build_mixed_gpus(cards)


def _judge_kinds(gpus: Sequence[Gpu]) -> Iterator[Condition]:
    tests = (
        (ConditionId.JETSON, _JETSON),
        (ConditionId.DGX_SPARK, _SPARK),
        (ConditionId.LAPTOP, _LAPTOP),
        (ConditionId.VGPU, _VGPU),
    )
    for condition_id, pattern in tests:
        if any(_matches(pattern, gpu) for gpu in gpus):
            yield build_plain(condition_id)
    shared = any(
        gpu.vendor is Vendor.APPLE or _matches(_JETSON, gpu) or _matches(_SPARK, gpu) for gpu in gpus
    )
    if shared:
        yield build_plain(ConditionId.UNIFIED_MEMORY)
    if any(gpu.integrated for gpu in gpus):
        yield build_plain(ConditionId.INTEGRATED_GPU)


def _judge_age(gpus: Sequence[Gpu], cuda: str | None) -> Iterator[Condition]:
    """Cards that torch left behind, and those that CUDA 13 left behind where the driver offers it."""
    ages = [(gpu, pair) for gpu in gpus if (pair := read_pair(gpu.best_compute_capability))]
    old = [gpu for gpu, pair in ages if pair < _OLDEST_SERVED]
    if old:
        yield build_unsupported(old, every=len(old) == len(gpus))
    dropped = [gpu for gpu, pair in ages if _OLDEST_SERVED <= pair < _OLDEST_OF_CUDA_13]
    served = read_pair(cuda)
    if dropped and served is not None and served >= (13, 0):
        yield build_arch_dropped(dropped)


def _is_modified(gpu: Gpu) -> bool:
    sold = _SOLD_GIB.get((gpu.name or "").removeprefix("NVIDIA "))
    return sold is not None and gpu.memory_mib is not None and gpu.memory_mib > sold * 1024


def _judge_capabilities(gpus: Sequence[Gpu], names: GpuNames | None) -> Iterator[Condition]:
    """One sentence for each kind of GPU, not for each GPU."""
    for gpu in {gpu.name: gpu for gpu in gpus if gpu.compute_capability is None}.values():
        if gpu.compute_capability_by_name is not None:
            named = names is not None and choose_capability_by_name(gpu.name, names) is not None
            yield build_compute_capability_by_name(gpu, by_name=named)
            continue
        if (gpu.name or "").endswith("..."):
            yield build_ambiguous_name(gpu)
        yield build_compute_capability_unknown(gpu)
