"""Which profile fits a machine, and why each other one does not."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from packaging.version import InvalidVersion, Version

from provision.errors import NoProfileError, UsageError
from provision.model.facts import Facts, Gpu, Vendor
from provision.model.profile import Profile, ProfileFit, TorchBuild

AUTO = "auto"


def judge_profiles(
    facts: Facts, profiles: Sequence[Profile], builds: Mapping[str, TorchBuild]
) -> tuple[ProfileFit, ...]:
    """Every profile with whether it fits and the reasons, in the order given."""
    return tuple(_judge_profile(facts, profile, builds[profile.torch]) for profile in profiles)


def choose_profile(
    name: str, fits: Sequence[ProfileFit], profiles: Sequence[Profile], facts: Facts
) -> Profile:
    """The profile called `name`, or for "auto" the one that fits; GPU profiles go before the CPU.

    A usable GPU that no profile serves is an error, never a silent fall to the CPU. Raises UsageError for an
    unknown name and NoProfileError, with the reasons, when the profile does not fit or none does.
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
    fitting = [by_name[fit.name] for fit in fits if fit.fits]
    on_gpu = [profile for profile in fitting if profile.match.vendor is not Vendor.NONE]
    if on_gpu:
        return on_gpu[0]
    if facts.vendor is Vendor.NONE and fitting:
        return fitting[0]
    raise NoProfileError(
        _explain_no_profile(facts, fits, by_name),
        hint="provision doctor   # or, without the GPU: provision apply cpu",
    )


def _judge_profile(facts: Facts, profile: Profile, build: TorchBuild) -> ProfileFit:
    wanted = profile.match
    if wanted.vendor is Vendor.NONE:
        reason = "no GPU was found" if facts.vendor is Vendor.NONE else "runs, but leaves the GPU unused"
        return ProfileFit(name=profile.name, fits=True, reasons=(reason,))
    if facts.vendor is not wanted.vendor:
        found = "no GPU was found" if facts.vendor is Vendor.NONE else f"the GPU is made by {facts.vendor}"
        if facts.vendor is None:
            found = "whether there is one is unknown"
        return ProfileFit(
            name=profile.name, fits=False, reasons=(f"needs a GPU by {wanted.vendor}; {found}",)
        )
    anything = not wanted.compute_capability
    matching = [
        gpu for gpu in facts.gpus if anything or gpu.best_compute_capability in wanted.compute_capability
    ]
    if not matching:
        found = ", ".join(_describe_gpu(gpu) for gpu in facts.gpus) or "none that can be used"
        needs = " or ".join(wanted.compute_capability)
        return ProfileFit(
            name=profile.name, fits=False, reasons=(f"needs compute capability {needs}; found {found}",)
        )
    obstacles = [*_check_driver(facts, build), *_check_wheel(matching[0], build)]
    if obstacles:
        return ProfileFit(name=profile.name, fits=False, reasons=tuple(obstacles))
    return ProfileFit(name=profile.name, fits=True, reasons=(f"{_describe_gpu(matching[0])} matches",))


def _check_driver(facts: Facts, build: TorchBuild) -> list[str]:
    """The driver must be of the branch that the build's CUDA version needs; unknown is not refused."""
    minimum = build.driver_windows if facts.host.system == "Windows" or facts.host.wsl else build.driver_linux
    if minimum is None or facts.driver is None:
        return []
    try:
        # WSL shows the Windows driver's number, so it is held against the Windows minimum.
        old = Version(facts.driver) < Version(minimum)
    except InvalidVersion:
        return []
    return [f"driver {facts.driver} is older than {minimum}, which CUDA {build.cuda} needs"] if old else []


def _check_wheel(gpu: Gpu, build: TorchBuild) -> list[str]:
    """A cubin for sm_XY runs on devices of major X with a minor of at least Y."""
    capability = gpu.best_compute_capability
    if capability is None or not build.sass:
        return []
    major, minor = (int(part) for part in capability.split("."))
    if any(sm // 10 == major and sm % 10 <= minor for sm in build.sass):
        return []
    return [f"torch {build.torch} for {build.tag} carries no code for compute capability {capability}"]


def _describe_gpu(gpu: Gpu) -> str:
    capability = gpu.best_compute_capability or "compute capability unknown"
    return f"{gpu.name or 'a GPU without a name'} ({capability})"


def _unknown_profile(name: str, known: list[str]) -> UsageError:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"provision apply {near[0]}" if near else "provision profiles"
    return UsageError(f"there is no profile {name!r}; known are {', '.join([AUTO, *known])}", hint=hint)


def _suggest(fits: Sequence[ProfileFit], facts: Facts) -> str:
    good = [fit.name for fit in fits if fit.fits and (fit.name != "cpu" or facts.vendor is Vendor.NONE)]
    return good[0] if good else "cpu"


def _explain_no_profile(facts: Facts, fits: Sequence[ProfileFit], by_name: Mapping[str, Profile]) -> str:
    same_vendor = [
        f"{fit.name}: {'; '.join(fit.reasons)}"
        for fit in fits
        if not fit.fits and by_name[fit.name].match.vendor is facts.vendor
    ]
    found = ", ".join(_describe_gpu(gpu) for gpu in facts.gpus)
    if not found:
        troubles = " ".join(condition.message for condition in facts.conditions)
        gpu = (
            "whether there is a GPU is unknown"
            if facts.vendor is None
            else f"a GPU by {facts.vendor} cannot be used"
        )
        return f"{gpu}, and the CPU is not taken silently. {troubles}".strip()
    if not same_vendor:
        return f"no profile is for a GPU by {facts.vendor} ({found}), and the CPU is not taken silently"
    return f"no profile fits {found}, and the CPU is not taken silently. {'. '.join(same_vendor)}"
