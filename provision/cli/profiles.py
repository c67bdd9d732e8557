"""`provision profiles`"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provision.cli.options import build_context, output_option, root_options
from provision.cli.output import Envelope, print_envelope
from provision.errors import UsageError

if TYPE_CHECKING:
    from provision.actions.detect import Detection


@click.command("profiles")
@click.argument("name", required=False)
@output_option
@root_options
def profiles_command(name: str | None, output: str, root: Path, profiles_dir: Path | None) -> None:
    """List the profiles with whether each fits this machine, or show the one called NAME."""
    from provision.actions.detect import detect

    detection = detect(build_context(root=root, profiles_dir=profiles_dir, output=output))
    known = {profile.name: profile for profile in detection.knowledge.profiles}
    if name is not None and name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"provision profiles {near[0]}" if near else "provision profiles"
        raise UsageError(f"there is no profile {name!r}; known are {', '.join(known)}", hint=hint)
    rows = [
        {
            "profile": known[fit.name],
            "build": detection.knowledge.builds[known[fit.name].torch],
            "fits": fit.fits,
            "reasons": fit.reasons,
        }
        for fit in detection.fits
        if name in (None, fit.name)
    ]
    if output == "json":
        print_envelope(Envelope(command="profiles", status="ok", data={"profiles": rows}))
    elif name is None:
        for fit in detection.fits:
            chosen = "*" if fit.name == detection.profile else " "
            click.echo(f"{chosen} {fit.name:<11} {known[fit.name].title}")
            click.echo(f"  {'':<11} {'fits' if fit.fits else 'does not fit'}: {'; '.join(fit.reasons)}")
    else:
        _print_profile(detection, name)


def _print_profile(detection: Detection, name: str) -> None:
    profile = detection.knowledge.get_profile(name)
    build = detection.knowledge.builds[profile.torch]
    fit = next(fit for fit in detection.fits if fit.name == name)
    rows = [
        ("for", profile.title),
        ("here", f"{'fits' if fit.fits else 'does not fit'}: {'; '.join(fit.reasons)}"),
        ("torch", f"{build.torch} with torchvision {build.torchvision}, {build.tag}, from {build.index}"),
        ("packages", ", ".join(f"{key} {value}" for key, value in profile.packages.items())),
        ("dtype", f"{profile.dtype}, attention {' then '.join(profile.attention)}"),
        ("flash-attn", f"{profile.flash_attn.choice}: {profile.flash_attn.reason}"),
    ]
    if build.sass:
        rows.append(("SASS", " ".join(f"sm_{sm}" for sm in build.sass)))
    if build.driver_linux:
        rows.append(("driver", f"{build.driver_linux} (Linux), {build.driver_windows} (Windows) or newer"))
    rows += [
        (item.status, f"{item.claim} ({item.source}, {item.date})")
        for item in (*profile.evidence, *build.evidence)
    ]
    for label, value in rows:
        click.echo(f"{label:<11} {value}")
