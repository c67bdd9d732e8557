"""`provision profiles`"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provision.cli.options import build_context, machine_options, output_option, read_probe, root_options
from provision.cli.output import Envelope, print_envelope
from provision.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.actions.detect import Detection
    from provision.model.profile import Profile, ProfileFit, TorchBuild

_LABEL_WIDTH = 12


@click.command("profiles")
@click.argument("name", required=False)
@machine_options
@output_option
@root_options
def profiles_command(
    name: str | None,
    paste: str | None,
    probe_path: Path | None,
    output: str,
    root: Path,
    profiles_dir: Path | None,
) -> None:
    """List the profiles with whether each fits this machine, or show the one called NAME with every figure.

    \b
    provision profiles
    provision profiles pascal
    nvidia-smi | provision profiles --paste -
    """
    from provision.actions.detect import detect

    ctx = build_context(root=root, profiles_dir=profiles_dir, output=output)
    detection = detect(ctx, read_probe(paste, probe_path, ctx))
    known = {profile.name: profile for profile in detection.knowledge.profiles}
    if name is not None and name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"provision profiles {near[0]}" if near else "provision profiles"
        raise UsageError(f"there is no profile {name!r}; known are {', '.join(known)}", hint=hint)
    if output == "json":
        rows = [
            {
                "name": fit.name,
                "fits": fit.fits,
                "reasons": fit.reasons,
                "obstacles": fit.obstacles,
                "profile": known[fit.name],
                "build": detection.knowledge.builds[known[fit.name].torch],
            }
            for fit in detection.fits
            if name in (None, fit.name)
        ]
        print_envelope(Envelope(command="profiles", status="ok", data={"profiles": rows}))
    elif name is None:
        _print_list(detection, known)
    else:
        _print_profile(detection, name, elsewhere=bool(paste or probe_path))


def _print_list(detection: Detection, known: dict[str, Profile]) -> None:
    width = max(map(len, known))
    for fit in detection.fits:
        chosen = "*" if fit.name == detection.profile else " "
        click.echo(f"{chosen} {fit.name:<{width}} {known[fit.name].title}")
        click.echo(f"  {'':<{width}} {_say(fit)}")


def _say(fit: ProfileFit) -> str:
    return f"{'fits' if fit.fits else 'does not fit'}: {'; '.join(fit.reasons)}"


def _print_profile(detection: Detection, name: str, *, elsewhere: bool) -> None:
    profile = detection.knowledge.get_profile(name)
    build = detection.knowledge.builds[profile.torch]
    fit = next(fit for fit in detection.fits if fit.name == name)
    for label, value in (
        ("there" if elsewhere else "here", _say(fit)),
        *_list_choices(profile, build),
        *_list_figures(profile, build),
    ):
        click.echo(f"{label:<{_LABEL_WIDTH}} {value}")


def _list_choices(profile: Profile, build: TorchBuild) -> Iterator[tuple[str, str]]:
    match = profile.match
    yield "for", profile.title
    yield "device", profile.device
    yield "devices", " ".join(match.compute_capability or match.arch) or "any"
    yield "platforms", " ".join(match.platforms or build.platforms)
    yield "torch", f"{build.torch} with torchvision {build.torchvision}, {build.tag}, from {build.index}"
    default = ", ".join(f"{platform} {item.tag}" for platform, item in build.default_index.items())
    yield "", f"the default index has it as {default or 'nothing'}"
    if build.companions:
        yield "", f"with {', '.join(build.companions)}, which only that index has"
    if build.python:
        yield "Python", f"{build.python[0]} to {build.python[1]}"
    yield "packages", ", ".join(f"{key} {value}" for key, value in profile.packages.items())
    yield "dtype", f"{profile.dtype}, attention {' then '.join(profile.attention)}"
    yield "flash-attn", f"{profile.flash_attn.choice}: {profile.flash_attn.reason}"
    if profile.notes:
        yield "notes", profile.notes
    if profile.cure:
        yield "instead", profile.cure


def _list_figures(profile: Profile, build: TorchBuild) -> Iterator[tuple[str, str]]:
    """Every figure with its status, source and date."""
    from provision.core.profiles_table import list_code

    for platform, carried in build.architectures.items():
        native, compiled = list_code(carried)
        code = f"{platform}: {native}; PTX {compiled}"
        yield "code", f"{code} [{carried.status}: {carried.source}, {carried.date}]"
    if build.drivers:
        for figure, pair in (("minimum", build.drivers.minimum), ("came with it", build.drivers.recommended)):
            for system, driver in (("Linux", pair.linux), ("Windows", pair.windows)):
                value = f"CUDA {build.drivers.cuda} {figure}, {system}: {driver.version or 'unknown'}"
                yield "driver", f"{value} [{driver.status}: {driver.source}, {driver.date}]"
    if profile.last_driver:
        last = profile.last_driver
        yield "driver", f"the last branch is {last.branch} [{last.status}: {last.source}, {last.date}]"
    for item in (*profile.evidence, *build.evidence):
        yield str(item.status), f"{item.claim} [{item.source}, {item.date}]"
