"""What keeps a profile from a machine: one function per kind, each None or the obstacle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from packaging.version import InvalidVersion, Version

from provision.core.compiled_code import Runs, judge_code, parse_capability, render_capability
from provision.core.drivers import is_older, parse_driver_version
from provision.core.platforms import Platform
from provision.model.facts import Facts, Gpu, Vendor
from provision.model.profile import DriverFigure, Obstacle, ObstacleKind, Profile, TorchBuild

_PYTORCH_INSTALL = "https://pytorch.org/get-started/previous-versions/"
_NVIDIA_DRIVERS = "https://www.nvidia.com/en-us/drivers/"


def describe_gpu(gpu: Gpu) -> str:
    """The name with what a profile goes by: `NVIDIA H200 (9.0)`, `Radeon RX 7900 XTX (gfx1100)`."""
    unknown = "compute capability unknown" if gpu.vendor in (None, Vendor.NVIDIA) else "architecture unknown"
    return f"{gpu.name or 'a GPU without a name'} ({gpu.best_compute_capability or gpu.arch or unknown})"


def find_vendor(facts: Facts, gpu: Gpu) -> Vendor | None:
    """Who made `gpu`: its own word, else that of the whole machine."""
    return gpu.vendor or facts.vendor


def check_vendor(facts: Facts, profile: Profile) -> Obstacle | None:
    """Is there a GPU of the maker that the profile is for, whether or not it can be told apart?"""
    wanted = profile.match.vendor
    makers = sorted({str(find_vendor(facts, gpu)) for gpu in facts.gpus} - {"None"})
    if facts.vendor is wanted or wanted in makers:
        return None
    kind = ObstacleKind.VENDOR
    if facts.vendor is Vendor.NONE:
        kind, found = ObstacleKind.NO_GPU, "no GPU was found"
    elif facts.vendor is None and not makers:
        kind, found = ObstacleKind.NO_GPU, "whether there is one is unknown"
    elif len(makers) > 1:
        found = f"the GPUs are made by {' and '.join(makers)}"
    else:
        found = f"the GPU is made by {makers[0] if makers else facts.vendor}"
    return Obstacle(
        kind=kind,
        message=f"needs a GPU by {wanted}; {found}",
        needed=str(wanted),
        found=" and ".join(makers) or None,
    )


def build_mismatch(
    gpus: Sequence[Gpu], profile: Profile, build: TorchBuild, platform: Platform, served: Collection[str]
) -> Obstacle:
    """No GPU of the right maker is one of the profile's. `served` are the devices of all profiles.

    A device that no profile serves is told about the wheel, since that is what would have to change.
    """
    match = profile.match
    wanted = match.compute_capability or match.arch
    what = "compute capability" if match.compute_capability else "architecture"
    counts = Counter(describe_gpu(gpu) for gpu in gpus)
    found = ", ".join(f"{count} x {gpu}" if count > 1 else gpu for gpu, count in counts.items())
    found = found or "none that can be used"
    devices = [gpu.best_compute_capability or gpu.arch for gpu in gpus]
    known = [device for device in devices if device]
    if (
        known
        and not any(device in served for device in known)
        and not check_platform(profile, build, platform)
    ):
        gpu = gpus[devices.index(known[0])]
        lacking = check_wheel(gpu, build, platform, cure=None)
        if lacking is not None:
            return lacking
    kind = ObstacleKind.CAPABILITY if match.compute_capability else ObstacleKind.ARCH
    return Obstacle(
        kind=kind if known or not gpus else ObstacleKind.UNKNOWN_DEVICE,
        message=f"needs {what} {' or '.join(wanted)}; found {found}",
        needed=" or ".join(wanted),
        found=", ".join(known) or None,
        gpu=gpus[0].name if gpus else None,
    )


def list_platforms(profile: Profile, build: TorchBuild) -> tuple[str, ...]:
    """Where the build has wheels, of those that the profile is for."""
    wanted = profile.match.platforms
    return tuple(key for key in build.platforms if not wanted or key in wanted)


def check_platform(profile: Profile, build: TorchBuild, platform: Platform) -> Obstacle | None:
    """Is there a wheel for this system and processor, and is the profile for it?"""
    served = list_platforms(profile, build)
    if platform.key in served:
        return None
    return Obstacle(
        kind=ObstacleKind.PLATFORM,
        message=f"torch {_describe_build(build)} serves these devices on {' and '.join(served) or 'no platform'}; "
        f"this is {platform.key}",
        needed=" or ".join(served),
        found=platform.key,
    )


def check_python(facts: Facts, build: TorchBuild) -> Obstacle | None:
    """Are there wheels for this Python? Unknown is not refused."""
    if build.python is None or not facts.host.python_version:
        return None
    oldest, newest = build.python
    try:
        release = Version(facts.host.python_version).release[:2]
        outside = not Version(oldest).release <= release <= Version(newest).release
    except InvalidVersion:
        return None
    if not outside:
        return None
    found = ".".join(str(part) for part in release)
    return Obstacle(
        kind=ObstacleKind.PYTHON,
        message=f"torch {build.torch} has wheels for Python {oldest} to {newest}; this is {found}",
        needed=f"{oldest} to {newest}",
        found=found,
        cure_hint=f"uv python install {newest}",
    )


def find_minimum(build: TorchBuild, platform: Platform) -> DriverFigure | None:
    """The oldest driver that starts the build's CUDA here; None where none is needed or known."""
    if build.drivers is None:
        return None
    pair = build.drivers.minimum
    return pair.windows if platform.windows_driver else pair.linux


def check_driver(
    facts: Facts, gpu: Gpu, profile: Profile, build: TorchBuild, platform: Platform
) -> Obstacle | None:
    """The driver must be of the branch that the build's CUDA needs, and still know the device.

    Only NVIDIA's has minimums here; an unknown driver, or one in another form, is not refused.
    """
    minimum = find_minimum(build, platform)
    driver = parse_driver_version(facts.driver)
    if minimum is None or minimum.version is None or driver is None:
        return None
    if is_older(driver, minimum.version, gpu):
        return Obstacle(
            kind=ObstacleKind.DRIVER_TOO_OLD,
            message=f"driver {facts.driver} is older than {minimum.version}, which CUDA {build.cuda} needs",
            needed=minimum.version,
            found=facts.driver,
            gpu=gpu.name,
            cure_hint=f"install driver {minimum.version} or newer ({_NVIDIA_DRIVERS})",
        )
    last = profile.last_driver
    if last is not None and driver.major > last.branch:
        return Obstacle(
            kind=ObstacleKind.DRIVER_TOO_NEW,
            message=f"driver {facts.driver} no longer knows this GPU; branch {last.branch} is the last that does",
            needed=str(last.branch),
            found=facts.driver,
            gpu=gpu.name,
            cure_hint=f"install a driver of branch {last.branch} ({_NVIDIA_DRIVERS})",
        )
    return None


def check_wheel(gpu: Gpu, build: TorchBuild, platform: Platform, *, cure: str | None) -> Obstacle | None:
    """Does the wheel of this platform carry code that the device runs? Unknown is not refused."""
    carried = build.architectures.get(platform.key)
    if carried is None:
        return None
    capability = gpu.best_compute_capability
    if carried.sass and capability is not None:
        if judge_code(capability, carried) is not Runs.NOT:
            return None
        what, device = "compute capability", capability
        listed = [render_capability(sm) for sm in carried.sass]
        why = _explain_lack(capability, carried.sass)
    elif carried.targets and gpu.arch is not None and gpu.arch.startswith("gfx"):
        if gpu.arch in carried.targets:
            return None
        what, device, listed, why = "target", gpu.arch, list(carried.targets), ""
    else:
        return None
    return Obstacle(
        kind=ObstacleKind.WHEEL_LACKS_ARCHITECTURE,
        message=f"torch {_describe_build(build)} carries no code for {what} {device} on {platform.key}{why}",
        needed=" or ".join(listed),
        found=device,
        gpu=gpu.name,
        cure_hint=cure or f"look for an older torch or build one: {_PYTORCH_INSTALL}",
    )


def _explain_lack(capability: str, carried: Sequence[int]) -> str:
    device = parse_capability(capability)
    if device < min(carried):
        return f": the device is older than the oldest it has, {render_capability(min(carried))}"
    if device > max(carried):
        return f": the device is newer than the newest it has, {render_capability(max(carried))}"
    return f": it has {', '.join(render_capability(sm) for sm in carried)}"


def _describe_build(build: TorchBuild) -> str:
    return f"{build.torch} for {'the CPU' if build.tag == 'cpu' else build.tag}"
