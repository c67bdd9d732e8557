"""Which profile fits a machine, and why each other one does not."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec.structs import replace

from provision.core.architecture import choose_architecture
from provision.core.compiled_code import parse_capability
from provision.core.fit_reasons import explain_cpu, explain_fit, has_integrated_only
from provision.core.obstacles import (
    build_mismatch,
    check_driver,
    check_platform,
    check_python,
    check_vendor,
    check_wheel,
    describe_gpu,
    find_vendor,
    list_platforms,
)
from provision.core.platforms import Platform, find_platform
from provision.errors import NoProfileError, UsageError
from provision.model.facts import Facts, Gpu, Vendor
from provision.model.profile import Obstacle, ObstacleKind, Profile, ProfileFit, TorchBuild

AUTO = "auto"
# Which GPU is taken where several profiles fit: a discrete one before one in the processor, then by maker.
_VENDORS = (Vendor.NVIDIA, Vendor.AMD, Vendor.INTEL, Vendor.APPLE)
# The profile is for other devices: what else keeps it away is of no interest.
_FOREIGN = frozenset(
    {
        *(ObstacleKind.NO_GPU, ObstacleKind.VENDOR, ObstacleKind.CAPABILITY),
        *(ObstacleKind.ARCH, ObstacleKind.UNKNOWN_DEVICE),
    }
)


def judge_profiles(
    facts: Facts, profiles: Sequence[Profile], builds: Mapping[str, TorchBuild]
) -> tuple[ProfileFit, ...]:
    """Every profile with whether it fits and the reasons, in the order given."""
    platform = find_platform(facts)
    served = frozenset(
        device for profile in profiles for device in (*profile.match.compute_capability, *profile.match.arch)
    )
    return tuple(
        _judge_profile(facts, profile, builds[profile.torch], platform, served) for profile in profiles
    )


def order_profiles(profiles: Iterable[Profile]) -> tuple[Profile, ...]:
    """By maker, newest devices first; the one without a GPU last."""

    def rank(profile: Profile) -> tuple[int, bool, int, str]:
        vendor = profile.match.vendor
        maker = _VENDORS.index(vendor) if vendor in _VENDORS else len(_VENDORS)
        newest = max((parse_capability(item) for item in profile.match.compute_capability), default=0)
        return (maker, profile.on_request, -newest, profile.name)

    return tuple(sorted(profiles, key=rank))


def choose_profile(
    name: str, fits: Sequence[ProfileFit], profiles: Sequence[Profile], facts: Facts
) -> Profile:
    """The profile called `name`, or for "auto" the one that fits; GPU profiles go before the CPU.

    A usable GPU that no profile serves is an error, never a silent fall to the CPU; graphics of AMD's or
    Intel's that are part of the processor are no such GPU. A profile "on request" is never taken by "auto",
    only named where it would fit. Raises UsageError for an unknown name and NoProfileError, with the reasons,
    when the profile does not fit or none does.
    """
    by_name = {profile.name: profile for profile in profiles}
    verdicts = {fit.name: fit for fit in fits}
    if name != AUTO:
        if name not in by_name:
            raise _unknown_profile(name, list(by_name))
        if not verdicts[name].fits:
            raise NoProfileError(
                f"profile {name} does not fit: {'; '.join(verdicts[name].reasons)}",
                hint=f"provision apply {_suggest(fits, facts)}",
            )
        return by_name[name]
    on_gpu = [fit for fit in fits if fit.fits and fit.gpu is not None and not by_name[fit.name].on_request]
    if on_gpu:
        return by_name[min(on_gpu, key=lambda fit: _rank_gpu(facts, facts.gpus[fit.gpu or 0])).name]
    without = [fit for fit in fits if fit.fits and by_name[fit.name].match.vendor is Vendor.NONE]
    if without and (facts.vendor is Vendor.NONE or has_integrated_only(facts)):
        return by_name[without[0].name]
    asked = [fit.name for fit in fits if fit.fits and by_name[fit.name].on_request]
    instead = f"provision apply {asked[0]}" if asked else "without the GPU: provision apply cpu"
    raise NoProfileError(_explain_no_profile(facts, fits, by_name), hint=f"provision doctor   # or {instead}")


def _judge_profile(
    facts: Facts, profile: Profile, build: TorchBuild, platform: Platform, served: Collection[str]
) -> ProfileFit:
    served_on = list_platforms(profile, build)
    told = platform
    if platform.assumed and served_on and platform.key not in served_on:
        platform = replace(platform, key=served_on[0])
    general = [check_platform(profile, build, platform), check_python(facts, build)]
    if profile.match.vendor is Vendor.NONE:
        return _conclude(profile, general, explain_cpu(facts), None)
    if obstacle := check_vendor(facts, profile):
        return _conclude(profile, [obstacle], [], None)
    own = [index for index, gpu in enumerate(facts.gpus) if find_vendor(facts, gpu) is profile.match.vendor]
    matching = [index for index in own if _matches(facts.gpus[index], profile, served)]
    if not matching:
        gpus = [facts.gpus[index] for index in own]
        return _conclude(profile, [build_mismatch(gpus, profile, build, told, served)], [], None)
    index = min(matching, key=lambda position: _rank_gpu(facts, facts.gpus[position]))
    gpu = facts.gpus[index]
    obstacles = [
        *general,
        check_driver(facts, gpu, profile, build, platform),
        None if general[0] else check_wheel(gpu, build, platform, cure=profile.cure),
    ]
    return _conclude(profile, obstacles, explain_fit(facts, gpu, profile, build, platform), index)


def _conclude(
    profile: Profile, checked: Sequence[Obstacle | None], reasons: Sequence[str], gpu: int | None
) -> ProfileFit:
    obstacles = tuple(obstacle for obstacle in checked if obstacle is not None)
    messages = tuple(obstacle.message for obstacle in obstacles)
    return ProfileFit(
        name=profile.name,
        fits=not obstacles,
        reasons=messages or tuple(reasons),
        obstacles=obstacles,
        gpu=gpu,
    )


def _matches(gpu: Gpu, profile: Profile, served: Collection[str]) -> bool:
    """By capability, or by target for other makers. An architecture alone is enough where it is one profile's."""
    match = profile.match
    if match.arch:
        return gpu.arch in match.arch
    if not match.compute_capability:
        return True
    if gpu.best_compute_capability is not None:
        return gpu.best_compute_capability in match.compute_capability
    family = {device for device in served if gpu.arch and choose_architecture(device) == gpu.arch}
    return bool(family) and family <= set(match.compute_capability)


def _rank_gpu(facts: Facts, gpu: Gpu) -> tuple[bool, int, int, int]:
    """The smaller the better: discrete, then by maker, the newest, the largest."""
    vendor = find_vendor(facts, gpu)
    maker = _VENDORS.index(vendor) if vendor in _VENDORS else len(_VENDORS)
    capability = parse_capability(gpu.best_compute_capability or "")
    return (bool(gpu.integrated), maker, -capability, -(gpu.memory_mib or 0))


def _unknown_profile(name: str, known: list[str]) -> UsageError:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"provision apply {near[0]}" if near else "provision profiles"
    return UsageError(f"there is no profile {name!r}; known are {', '.join([AUTO, *known])}", hint=hint)


def _suggest(fits: Sequence[ProfileFit], facts: Facts) -> str:
    good = [fit.name for fit in fits if fit.fits and (fit.gpu is not None or facts.vendor is Vendor.NONE)]
    return good[0] if good else "cpu"


def _explain_no_profile(facts: Facts, fits: Sequence[ProfileFit], by_name: Mapping[str, Profile]) -> str:
    found = ", ".join(describe_gpu(gpu) for gpu in facts.gpus)
    if not found:
        return _explain_no_gpu(facts, fits)
    near = [fit for fit in fits if fit.obstacles and not any(item.kind in _FOREIGN for item in fit.obstacles)]
    near = near or [fit for fit in fits if any(item.kind is ObstacleKind.ARCH for item in fit.obstacles)]
    usual = [fit for fit in near if not by_name[fit.name].on_request]
    own = [fit for fit in usual if by_name[fit.name].match.vendor is not Vendor.NONE]
    said = dict.fromkeys(
        f"{fit.name}: {'; '.join(fit.reasons)}" if fit.gpu is not None else "; ".join(fit.reasons)
        for fit in own
    )
    why = f". {'. '.join(said)}" if said else "; provision profiles says what each is for"
    return f"no profile fits {found}, and the CPU is not taken silently{why}"


def _explain_no_gpu(facts: Facts, fits: Sequence[ProfileFit]) -> str:
    if facts.vendor is Vendor.NONE:
        reasons = dict.fromkeys(reason for fit in fits for reason in fit.reasons)
        return f"no profile fits this machine: {'; '.join(reasons)}"
    troubles = " ".join(condition.message for condition in facts.conditions)
    gpu = (
        "whether there is a GPU is unknown"
        if facts.vendor is None
        else f"a GPU by {facts.vendor} cannot be used"
    )
    return f"{gpu}, and the CPU is not taken silently. {troubles}".strip()
