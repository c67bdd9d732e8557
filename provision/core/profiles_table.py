"""Profiles, torch builds and drivers as Markdown tables: the generated part of docs/profiles.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from provision.model.profile import (
    Architectures,
    CudaDrivers,
    DriverFigure,
    EvidenceStatus,
    Profile,
    TorchBuild,
)

BEGIN = "<!-- generated from profiles/*.yaml: begin -->"
END = "<!-- generated from profiles/*.yaml: end -->"


def render_profiles_table(profiles: Sequence[Profile], builds: Mapping[str, TorchBuild]) -> str:
    """All figures of the data with status, source and date, between the two marks, in the order given."""
    used = dict.fromkeys(profile.torch for profile in profiles)
    wheels = [builds[name] for name in used]
    drivers = {build.drivers.cuda: build.drivers for build in wheels if build.drivers}
    parts = [
        BEGIN,
        "## Profiles",
        _render_table(_PROFILE_HEAD, (_list_profile(profile) for profile in profiles)),
        "## Torch builds",
        _render_table(_BUILD_HEAD, (_list_build(build) for build in wheels)),
        "## What the wheels carry",
        _render_table(_CODE_HEAD, (row for build in wheels for row in _list_code(build))),
        "## NVIDIA drivers",
        _render_table(_DRIVER_HEAD, (row for key in sorted(drivers) for row in _list_drivers(drivers[key]))),
        "## Evidence",
        _render_table(_EVIDENCE_HEAD, _list_evidence([*profiles, *wheels])),
        END,
    ]
    return "\n\n".join(parts) + "\n"


_PROFILE_HEAD = ("profile", "for", "devices", "platforms", "torch build", "dtype", "flash-attn", "notes")
_BUILD_HEAD = ("build", "torch", "torchvision", "index", "on the default index", "Python")
_CODE_HEAD = ("build", "platform", "SASS or targets", "PTX", "status", "source", "date")
_DRIVER_HEAD = ("CUDA", "figure", "system", "driver", "status", "source", "date")
_EVIDENCE_HEAD = ("of", "claim", "status", "source", "date")


def list_code(carried: Architectures) -> tuple[str, str]:
    """Machine code and PTX of one wheel, in words: `sm_75 sm_80`, `none`; `unknown` where nothing is known."""
    empty = "unknown" if carried.status is EvidenceStatus.UNKNOWN else "none"
    native = " ".join([*(f"sm_{sm}" for sm in carried.sass), *carried.targets]) or empty
    compiled = " ".join(f"compute_{number}" for number in carried.ptx)
    return native, compiled or ("none" if carried.sass else "does not apply")


def _list_profile(profile: Profile) -> tuple[str, ...]:
    match = profile.match
    devices = [f"{item}" for item in match.compute_capability] or list(match.arch)
    notes = profile.notes if profile.cure is None else f"{profile.notes} Instead: {profile.cure}."
    return (
        f"`{profile.name}`",
        profile.title,
        " ".join(devices) or "any",
        " ".join(match.platforms) or "all of the build",
        profile.torch,
        profile.dtype,
        f"{profile.flash_attn.choice}: {profile.flash_attn.reason}",
        notes,
    )


def _list_build(build: TorchBuild) -> tuple[str, ...]:
    default = ", ".join(f"{platform} {item.tag}" for platform, item in build.default_index.items())
    python = " to ".join(build.python) if build.python else "unknown"
    return (f"`{build.name}`", build.torch, build.torchvision, build.index, default, python)


def _list_code(build: TorchBuild) -> Iterable[tuple[str, ...]]:
    for platform, carried in build.architectures.items():
        native, compiled = list_code(carried)
        yield (
            f"`{build.name}`",
            platform,
            native,
            compiled,
            str(carried.status),
            carried.source,
            carried.date,
        )


def _list_drivers(drivers: CudaDrivers) -> Iterable[tuple[str, ...]]:
    for figure, pair in (("minimum", drivers.minimum), ("came with it", drivers.recommended)):
        for system, driver in (("Linux", pair.linux), ("Windows and WSL", pair.windows)):
            yield (drivers.cuda, figure, system, *_list_driver(driver))


def _list_driver(driver: DriverFigure) -> tuple[str, ...]:
    return (driver.version or "unknown", str(driver.status), driver.source, driver.date)


def _list_evidence(holders: Iterable[Profile | TorchBuild]) -> Iterable[tuple[str, ...]]:
    for holder in holders:
        last = holder.last_driver if isinstance(holder, Profile) else None
        if last is not None:
            claim = f"driver branch {last.branch} is the last that knows these devices"
            yield (f"`{holder.name}`", claim, str(last.status), last.source, last.date)
        for item in holder.evidence:
            yield (f"`{holder.name}`", item.claim, str(item.status), item.source, item.date)


def _render_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
