"""`provision apply --into ENV`: how a change of a user's environment is shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provision.cli.confirm import confirm
from provision.cli.output import Envelope, print_envelope, print_error, render_bytes
from provision.cli.smoke import build_results_data, print_results
from provision.errors import ApplyFailedError, ExitCode, SmokeFailedError

if TYPE_CHECKING:
    from provision.actions.context import Context
    from provision.actions.into import ChangedEnvironment
    from provision.actions.into_undo import Undone
    from provision.actions.plan import Request
    from provision.model.into import FinishedChange, IntoPlan, PackageChange

_SIGNS = {"add": "+", "change": "~", "repair": "!", "remove": "-"}
_COLOURS = {"add": "green", "change": "yellow", "repair": "yellow", "remove": "red"}
_SHOWN = 12


def apply_into(
    ctx: Context, request: Request, environment: Path, *, dry_run: bool, yes: bool, output: str
) -> int:
    """Carry out `apply PROFILE --into ENV`; gives the exit code."""
    from provision.actions.into import apply_into as change

    def agree(plan: IntoPlan) -> None:
        if output == "text":
            print_into_plan(plan)
        confirm(f"change {plan.prefix} in place?", yes=yes, output=output)

    try:
        changed = change(ctx, request, environment, dry_run=dry_run, agree=agree)
    except ApplyFailedError as error:
        results = error.__cause__.results if isinstance(error.__cause__, SmokeFailedError) else ()
        if output == "text" and results:
            print_results(results)
        data = {"changed": False, "environment": str(environment), "results": build_results_data(results)}
        print_error(error, command="apply", output=output, data=data)
        return int(error.exit_code)
    pending = dry_run and changed.pending
    if output == "json":
        data = build_into_data(changed, dry_run=dry_run)
        print_envelope(Envelope(command="apply", status="no" if pending else "ok", data=data))
    elif dry_run:
        print_into_plan(changed.plan)
    else:
        _print_changed(ctx, changed)
    return int(ExitCode.NO if pending else ExitCode.OK)


def undo_into(ctx: Context, environment: Path, *, yes: bool, output: str) -> int:
    """Carry out `apply --into ENV --undo`; gives the exit code."""
    from provision.actions.into_undo import undo_into as undo

    confirm(f"take the last change of {environment} back?", yes=yes, output=output)
    undone = undo(ctx, environment)
    finished = undone.finished
    if output == "json":
        data = {
            "environment": str(environment),
            "undone": finished.created if finished else None,
            "generation": finished.generation if finished else None,
            "named_by": undone.named_by,
            "former": undone.former,
        }
        print_envelope(Envelope(command="apply", status="ok", data=data))
    elif finished is None:
        click.echo(f"{environment} is as it was before the change that was cut short")
    else:
        click.echo(f"{finished.prefix} is as it was before {finished.created}")
        _print_named(undone, finished)
    return int(ExitCode.OK)


def _print_named(undone: Undone, finished: FinishedChange) -> None:
    """What config.yaml still says of the environment, and what changes that."""
    if undone.named_by is None:
        return
    click.echo(f"config.yaml still names generation {undone.named_by}, which was verified in it:")
    if undone.former is None:
        click.echo(f"  provision apply {finished.profile} --into {finished.prefix}   # changes it again")
    else:
        click.echo("  provision rollback")


def print_into_plan(plan: IntoPlan) -> None:
    """What would change, on stderr, as an engineer reads it: what goes and why before what comes."""
    click.secho(f"plan: profile {plan.profile} in {plan.prefix} (Python {plan.python})", bold=True, err=True)
    for line in dict.fromkeys(
        f"  source  {attempt.source.label} ({attempt.source.origin}): {attempt.answer}: {attempt.detail}"
        for attempt in plan.attempts
    ):
        click.echo(line, err=True)
    if not plan.changes:
        click.echo(f"  all {len(plan.unchanged)} packages are there as they are wanted", err=True)
    for kind in ("remove", "change", "repair", "add"):
        changes = [change for change in plan.changes if change.kind == kind]
        if kind == "remove":
            _print_removals(changes)
            continue
        shown = changes[:_SHOWN]
        for change in shown:
            click.secho(f"  {_SIGNS[kind]} ", fg=_COLOURS[kind], nl=False, err=True)
            click.echo(_render_change(change), err=True)
        if len(changes) > len(shown):
            names = ", ".join(change.name for change in changes[len(shown) :])
            click.echo(f"  {_SIGNS[kind]} and {len(changes) - len(shown)} more: {names}", err=True)
    kept = f"{len(plan.kept)} packages of yours stay"
    click.echo(f"  {kept}; at most {render_bytes(plan.download_bytes)} to download", err=True)
    for path in plan.files:
        click.echo(f"  file    {path}", err=True)
    if plan.generation is not None:
        click.echo(f"  generation {plan.generation} names it once every model has read in it", err=True)
    for conflict in plan.conflicts:
        click.secho("  conflict: ", fg="red", nl=False, err=True)
        click.echo(conflict.sentence, err=True)
    for warning in plan.warnings:
        click.secho("  warning: ", fg="yellow", nl=False, err=True)
        click.echo(warning, err=True)


def _print_removals(changes: Sequence[PackageChange]) -> None:
    """Each reason once: of torch's sixteen libraries it is the same."""
    for reason in dict.fromkeys(change.reason for change in changes):
        names = ", ".join(
            f"{one.name} {one.before or ''}".rstrip() for one in changes if one.reason == reason
        )
        click.secho(f"  {_SIGNS['remove']} ", fg=_COLOURS["remove"], nl=False, err=True)
        click.echo(f"{names}: {reason}", err=True)


def _render_change(change: PackageChange) -> str:
    reason = f": {change.reason}" if change.reason else ""
    former = f"{change.before} -> " if change.before else ""
    return f"{change.name} {former}{change.after}{reason}"


def _print_changed(ctx: Context, changed: ChangedEnvironment) -> None:
    record, plan = changed.generation, changed.plan
    if not changed.changed:
        number = record.number if record else 0
        click.echo(f"nothing to do: {plan.prefix} is as generation {number} left it")
        return
    if record is None:
        return
    print_results(record.smoke)
    if plan.changes:
        click.echo(f"\n{plan.prefix} is changed and verified: {len(plan.changes)} packages")
    else:
        click.echo(f"\n{plan.prefix} is verified as it is; no package had to be changed")
    click.echo(f"generation {record.number} is active; {ctx.root / 'config.yaml'} says so")
    if changed.snapshot is not None:
        click.echo(f"to take it back: provision apply --into {plan.prefix} --undo")


def build_into_data(changed: ChangedEnvironment, *, dry_run: bool) -> dict[str, Any]:
    """The `data` of `apply --into`."""
    plan, record = changed.plan, changed.generation
    return {
        "profile": plan.profile,
        "models": plan.models,
        "environment": plan.prefix,
        "python": plan.python,
        "torch": plan.torch,
        "tag": plan.tag,
        "stacks": [
            {"name": "into", "models": plan.models, "lock_sha256": plan.lock_sha256, "path": plan.prefix}
        ],
        "steps": [],
        "changes": plan.changes,
        "unchanged": plan.unchanged,
        "kept": plan.kept,
        "sources": [
            {
                "source": attempt.source.label,
                "kind": attempt.source.kind,
                "origin": attempt.source.origin,
                "answer": attempt.answer,
                "detail": attempt.detail,
            }
            for attempt in plan.attempts
        ],
        "files": plan.files,
        "conflicts": [
            {"package": one.package, "requirement": one.requirement, "found": one.found}
            for one in plan.conflicts
        ],
        "warnings": plan.warnings,
        "download_bytes": plan.download_bytes,
        "changed": changed.changed,
        "dry_run": dry_run,
        "generation": record.number if record else None,
        "snapshot": str(changed.snapshot) if changed.snapshot else None,
        "results": build_results_data(record.smoke) if record and changed.changed else [],
    }
