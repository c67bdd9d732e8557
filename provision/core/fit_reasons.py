"""Why a profile fits, in the words of a reader who has to trust it."""

from __future__ import annotations

from provision.core.compiled_code import (
    Runs,
    choose_cubin,
    judge_code,
    parse_capability,
    render_capability,
)
from provision.core.drivers import is_older, parse_driver_version
from provision.core.obstacles import describe_gpu, find_vendor
from provision.core.platforms import Platform
from provision.model.facts import ConditionId, Facts, Gpu, Vendor
from provision.model.profile import Profile, TorchBuild


def explain_cpu(facts: Facts) -> list[str]:
    """Why the profile without a GPU fits."""
    if facts.vendor is Vendor.NONE:
        return ["no GPU was found"]
    if has_integrated_only(facts):
        return [f"runs, but leaves {describe_gpu(facts.gpus[0])}, which is part of the processor, unused"]
    return ["runs, but leaves the GPU unused"]


def explain_fit(facts: Facts, gpu: Gpu, profile: Profile, build: TorchBuild, platform: Platform) -> list[str]:
    """That it fits, and what a reader must know of how."""
    reasons = [f"{describe_gpu(gpu)} matches"]
    capability, carried = gpu.best_compute_capability, build.architectures.get(platform.key)
    if gpu.compute_capability is None and capability is not None:
        source = "PCI id" if gpu.name == gpu.pci_id else "name"
        reasons.append(f"its compute capability is inferred from its {source}")
    elif capability is None and profile.match.compute_capability:
        reasons.append(f"its compute capability is unknown, its architecture {gpu.arch} is not")
    if capability is not None and carried is not None:
        sm = choose_cubin(capability, carried)
        if sm is not None and sm != parse_capability(capability):
            reasons.append(f"runs the wheel's code for {render_capability(sm)}")
        if judge_code(capability, carried) is Runs.COMPILED:
            reasons.append("the wheel has PTX only: the driver compiles it, so the first start is slow")
    if platform.assumed:
        reasons.append(f"{platform.key} is assumed, since nothing tells the system")
    reasons += _explain_driver(facts, gpu, build, platform)
    if len(facts.gpus) > 1:
        reasons.append(f"judged by this one of {len(facts.gpus)} GPUs")
    hidden = (item for item in facts.conditions if item.id is ConditionId.CUDA_VISIBLE_DEVICES)
    return [*reasons, *(item.message.rstrip(".") for item in hidden)]


def _explain_driver(facts: Facts, gpu: Gpu, build: TorchBuild, platform: Platform) -> list[str]:
    if build.drivers is None:
        return []
    driver = parse_driver_version(facts.driver)
    if driver is None:
        return ["the driver's version is unknown"]
    pair = build.drivers.recommended
    own = (pair.windows if platform.windows_driver else pair.linux).version
    older = own is not None and is_older(driver, own, gpu)
    return [f"driver {facts.driver} does; {own} is what came with CUDA {build.cuda}"] if older else []


def has_integrated_only(facts: Facts) -> bool:
    """Are there no GPUs but graphics of AMD's or Intel's in the processor?"""
    small = (Vendor.AMD, Vendor.INTEL)
    return bool(facts.gpus) and all(gpu.integrated and find_vendor(facts, gpu) in small for gpu in facts.gpus)
