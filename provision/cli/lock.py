"""`provision lock`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provision.cli.options import (
    build_context,
    exclude_newer_option,
    machine_options,
    models_option,
    output_option,
    read_probe,
    root_options,
)
from provision.cli.output import Envelope, print_envelope, render_bytes
from provision.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from provision.actions.context import Context
    from provision.actions.lock import LockOutcome
    from provision.actions.lock_subject import LockRequest
    from provision.model.lockfile import LockChange

_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_COLOURS = {"added": "green", "removed": "red", "changed": "yellow"}


@click.command("lock")
@click.argument("profile", required=False)
@models_option
@click.option(
    "--check", is_flag=True, help="Write nothing; exit with 1 and the differences when out of date."
)
@click.option("--upgrade", is_flag=True, help="Resolve anew, whatever is locked already.")
@click.option("--export", "export", type=click.Choice(["pylock"]), help="Also write pylock.STACK.toml.")
@exclude_newer_option
@click.option("--ship", "ship_dir", type=click.Path(file_okay=False, path_type=Path), hidden=True)
@machine_options
@output_option
@root_options
def lock_command(
    *,
    profile: str | None,
    models: tuple[str, ...],
    check: bool,
    upgrade: bool,
    export: str | None,
    exclude_newer: str | None,
    ship_dir: Path | None,
    paste: str | None,
    probe_path: Path | None,
    output: str,
    root: Path,
    profiles_dir: Path | None,
) -> int:
    """Write provision.lock: exact packages, revisions and hashes, to commit beside config.yaml.

    \b
    provision lock                    # what an apply would use here, or the active generation uses
    provision lock --check            # in CI: is it up to date?
    provision lock --export pylock    # for other installers (PEP 751)

    PROFILE, models and machine are those of an existing provision.lock where none are named, so that the
    answer is the same on every machine, whatever its devices. `provision lock auto` locks for this one.
    """
    from provision.actions.lock_subject import LockRequest

    ctx = build_context(root=root, profiles_dir=profiles_dir, output=output)
    if check and (export or ship_dir):
        what = "--export" if export else "--ship"
        raise UsageError(
            f"--check writes nothing, so {what} cannot go with it", hint="provision lock --check"
        )
    if ship_dir is not None:
        return _ship(ctx, profile, models, ship_dir)
    probe = read_probe(paste, probe_path, ctx)
    request = LockRequest(
        profile=profile, models=models, probe=probe, exclude_newer=exclude_newer, check=check, upgrade=upgrade
    )
    return _lock(ctx, request, output, exports=export is not None)


def _lock(ctx: Context, request: LockRequest, output: str, *, exports: bool) -> int:
    from provision.actions.lock import lock

    outcome = lock(ctx, request)
    exported: tuple[Path, ...] = ()
    if exports:
        from provision.actions.export_lock import export_pylocks

        exported = export_pylocks(ctx, outcome.prepared.situation, outcome.document)
    failed = request.check and not outcome.is_current
    if output == "json":
        data = build_lock_data(outcome) | {"exported": [str(path) for path in exported]}
        print_envelope(Envelope(command="lock", status="no" if failed else "ok", data=data))
    else:
        _print_text(outcome, exported, check=request.check)
    return int(ExitCode.NO if failed else ExitCode.OK)


def _ship(ctx: Context, profile: str | None, models: tuple[str, ...], folder: Path) -> int:
    """For maintainers: the locks in profiles/locks/, for every Python that the build has wheels for."""
    from provision.actions.ship_locks import ship_locks

    if profile is None or not models:
        raise UsageError("--ship needs a profile and --models", hint="see profiles/locks/README.md")
    for path in ship_locks(ctx, profile, models, folder):
        click.echo(path)
    return int(ExitCode.OK)


def build_lock_data(outcome: LockOutcome) -> dict[str, Any]:
    """The `data` of `lock`."""
    lockfile = outcome.document.lockfile
    return {
        "path": str(outcome.path),
        "existed": outcome.existed,
        "current": outcome.is_current,
        "written": outcome.written,
        "profile": lockfile.profile,
        "platform": lockfile.platform,
        "python": lockfile.python,
        "exclude_newer": lockfile.exclude_newer,
        "stacks": lockfile.stacks,
        "models": [
            {
                "key": model.key,
                "stack": model.stack,
                "revision": model.revision,
                "files": len(model.files),
                "remote_code": len(model.remote_code),
            }
            for model in lockfile.models
        ],
        "changes": outcome.changes,
    }


def _print_text(outcome: LockOutcome, exported: tuple[Path, ...], *, check: bool) -> None:
    place = ""
    for change in outcome.changes:
        if change.place != place:
            place = change.place
            click.secho(place, bold=True)
        click.secho(f"  {_SIGNS[change.kind]} {_render_change(change)}", fg=_COLOURS[change.kind])
    name = outcome.path.name
    if check:
        if not outcome.existed:
            click.echo(f"there is no {name} yet; to write it: provision lock")
        elif outcome.changes:
            click.echo(f"{name} is out of date; to write it: provision lock")
        else:
            click.echo(f"{name} is up to date")
        return
    if not outcome.written:
        click.echo(f"{name} is up to date")
    else:
        _print_written(outcome)
    for path in exported:
        click.echo(f"wrote {path.name}")


def _print_written(outcome: LockOutcome) -> None:
    lockfile = outcome.document.lockfile
    what = f"profile {lockfile.profile}, {lockfile.platform}, Python {lockfile.python}"
    click.echo(f"wrote {outcome.path.name} and {outcome.path.name}.d/ ({what})")
    for stack in lockfile.stacks:
        size = outcome.document.locks[stack.name].download_bytes
        about = f", {render_bytes(size)} of wheels" if size else ""
        click.echo(f"  stack {stack.name}: {stack.packages} packages, torch {stack.torch}{about}")
    for model in lockfile.models:
        have = len(model.files) + len(model.remote_code)
        missing = "its files are not on this machine: provision apply, then provision lock"
        files = f"{have} files with hashes" if have else missing
        click.echo(f"  {model.key} at {model.revision[:12]}: {files}")


def _render_change(change: LockChange) -> str:
    match change.before, change.after:
        case None, after:
            return f"{change.name} {after}"
        case before, None:
            return f"{change.name} {before}"
        case before, after:
            return f"{change.name} {before} -> {after}"
