"""Whether a profile fits, and where not, whether the driver or the wheel is in the way."""

from __future__ import annotations

from provision.core.checks.check import Check, Checkup
from provision.core.checks.conditions import find_messages, has_condition, names_no_gpu
from provision.core.checks.driver import choose_install
from provision.core.checks.results import Result, failed, join_sentences, passed, skipped, warned
from provision.core.cures import choose_cure
from provision.model.facts import ConditionId, Vendor
from provision.model.profile import Obstacle, ObstacleKind, ProfileFit

# With one of these a profile is for other machines: what else keeps it away is of no interest.
_FOREIGN = frozenset(
    {
        ObstacleKind.NO_GPU,
        ObstacleKind.VENDOR,
        ObstacleKind.CAPABILITY,
        ObstacleKind.ARCH,
        ObstacleKind.UNKNOWN_DEVICE,
        ObstacleKind.PLATFORM,
    }
)
_WHEEL_CONDITIONS = (
    ConditionId.UNSUPPORTED_GPU,
    ConditionId.UNSUPPORTED_GPU_PRESENT,
    ConditionId.ARCH_NEWER_THAN_TORCH_BUILD,
)


def check_profile(checkup: Checkup) -> Result:
    """The profile that `provision apply auto` would take."""
    if checkup.profile:
        return passed(f"profile {checkup.profile} fits")
    if checkup.scope.elsewhere and names_no_gpu(checkup.facts):
        return skipped("the text shows no GPU that a profile could be held against")
    return failed(checkup.obstacle or "no profile fits", "provision profiles")


def check_driver_age(checkup: Checkup) -> Result:
    """A driver older than the CUDA of the profile for this very GPU needs."""
    facts = checkup.facts
    if facts.vendor not in (Vendor.NVIDIA, Vendor.MIXED):
        return skipped("no NVIDIA GPU here")
    if facts.driver is None:
        return skipped("the driver's version is not known")
    obstacles = _find_obstacles(checkup.fits, ObstacleKind.DRIVER_TOO_OLD)
    ancient = join_sentences(find_messages(facts, ConditionId.OLD_DRIVER))
    evidence = _say(obstacles) or ancient
    if evidence:
        if not _is_served(checkup):
            return warned(f"{evidence}; a newer one would not help: profile.wheel-architecture")
        cure = _choose_update(checkup)
        other = None if ancient else _find_fit_on_gpu(checkup)
        return failed(evidence, cure) if other is None else warned(f"{evidence}; profile {other} fits", cure)
    if not facts.gpus:
        return skipped(f"driver {facts.driver}; no GPU answers that a profile could be held against")
    return passed(f"driver {facts.driver} is new enough for every profile of this GPU")


def check_wheel(checkup: Checkup) -> Result:
    """A card that the wheel was not compiled for, being older or newer."""
    facts = checkup.facts
    if not facts.gpus:
        return skipped("no GPU answers")
    other = _find_fit_on_gpu(checkup)
    obstacles = _find_obstacles(checkup.fits, ObstacleKind.WHEEL_LACKS_ARCHITECTURE)
    messages = find_messages(facts, *_WHEEL_CONDITIONS)
    if other is None and (obstacles or messages):
        cure = next((item.cure_hint for item in obstacles if item.cure_hint), "provision profiles")
        return failed(_say(obstacles) or join_sentences(messages), cure)
    if messages:
        return warned(join_sentences(messages))
    if other is None:
        return skipped("no profile for a GPU fits: profile.fits")
    return passed(f"the wheels of profile {other} carry code for this GPU")


def _find_obstacles(fits: tuple[ProfileFit, ...], kind: ObstacleKind) -> list[Obstacle]:
    """The obstacles of `kind` of the profiles that are for this machine."""
    return [
        obstacle
        for fit in fits
        if not any(item.kind in _FOREIGN for item in fit.obstacles)
        for obstacle in fit.obstacles
        if obstacle.kind is kind
    ]


def _choose_update(checkup: Checkup) -> str | None:
    """Where the driver comes with something else, it is that which is updated."""
    if has_condition(checkup.facts, ConditionId.VGPU):
        return "ask whoever runs the hypervisor: the driver of a vGPU is the one that its host's goes with"
    if has_condition(checkup.facts, ConditionId.JETSON):
        return "update JetPack, which brings the driver: https://developer.nvidia.com/embedded/jetpack"
    return choose_cure(choose_install(checkup.facts), checkup.place)


def _is_served(checkup: Checkup) -> bool:
    """Whether the wheels of a profile for this machine have code for its GPU, whatever its driver is."""
    mine = [
        fit
        for fit in checkup.fits
        if (fit.obstacles or fit.gpu is not None) and not any(item.kind in _FOREIGN for item in fit.obstacles)
    ]
    lacking = [
        fit
        for fit in mine
        if any(item.kind is ObstacleKind.WHEEL_LACKS_ARCHITECTURE for item in fit.obstacles)
    ]
    return not mine or len(lacking) < len(mine)


def _find_fit_on_gpu(checkup: Checkup) -> str | None:
    """The first profile that fits and uses the GPU."""
    return next((fit.name for fit in checkup.fits if fit.fits and fit.gpu is not None), None)


def _say(obstacles: list[Obstacle]) -> str:
    return "; ".join(dict.fromkeys(obstacle.message for obstacle in obstacles))


CHECKS = (
    Check(
        id="driver.cuda-too-old",
        question="Is the driver new enough for the CUDA of this GPU's profile?",
        run=check_driver_age,
    ),
    Check(id="profile.fits", question="Does a profile fit this machine?", run=check_profile),
    Check(
        id="profile.wheel-architecture",
        question="Do the profile's wheels carry code for this GPU?",
        run=check_wheel,
    ),
)
