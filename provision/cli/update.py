"""`provision update`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from provision.cli.confirm import confirm, yes_option
from provision.cli.options import (
    build_context,
    exclude_newer_option,
    models_option,
    output_option,
    root_options,
)
from provision.cli.output import Envelope, build_console, print_envelope
from provision.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provision.actions.prospect import Prospect
    from provision.actions.update import Updated
    from provision.model.update import Trial


@click.command("update")
@click.option(
    "--check",
    "--dry-run",
    "check",
    is_flag=True,
    help="Only look, as for cron; exits with 1 when there is something newer to try.",
)
@click.option("--retry", is_flag=True, help="Also try what was tried before and discarded.")
@models_option
@exclude_newer_option
@yes_option
@output_option
@root_options
def update_command(
    check: bool,
    retry: bool,
    models: tuple[str, ...],
    exclude_newer: str | None,
    yes: bool,
    output: str,
    root: Path,
    profiles_dir: Path | None,
) -> int:
    """Try newer versions inside the profile's bounds, and keep them only if every model reads as well.

    \b
    provision update --check    # for cron
    provision update

    The new stacks are built aside and every model of the active generation reads in them. Read as well, they
    become a new generation; else they are removed and nothing has changed. With --models only the stacks that
    serve those models are made anew.
    """
    from provision.actions.package_policy import build_policy
    from provision.actions.prospect import check_current, find_prospect
    from provision.actions.update import update
    from provision.system.store import Store

    ctx = build_context(root=root, profiles_dir=profiles_dir, output=output)
    policy = build_policy(ctx, exclude_newer)
    if check:
        prospect = find_prospect(ctx, Store(ctx.root), models, policy)
        if prospect.available:
            check_current(prospect)
        return _show_prospect(prospect, output=output, retry=retry)

    def agree(prospect: Prospect) -> None:
        if output == "text":
            _print_prospect(prospect, retry=retry, err=True)
        confirm("Build these aside and let the models read?", yes=yes, output=output)

    updated = update(ctx, models, policy, retry=retry, agree=agree)
    if updated.trial is None:
        return _show_prospect(updated.prospect, output=output, retry=retry)
    return _show_updated(updated, ctx.root, output=output)


def _show_prospect(prospect: Prospect, *, output: str, retry: bool) -> int:
    pending = bool(prospect.available) and (prospect.tried is None or retry)
    if output == "json":
        status = "no" if pending else "ok"
        print_envelope(Envelope(command="update", status=status, data=_build_data(prospect)))
    else:
        _print_prospect(prospect, retry=retry, err=False)
    return int(ExitCode.NO if pending else ExitCode.OK)


def _show_updated(updated: Updated, root: Path, *, output: str) -> int:
    trial, promoted = updated.trial, updated.generation is not updated.prospect.active
    if output == "json":
        data = _build_data(updated.prospect) | {
            "changed": promoted,
            "generation": updated.generation.number,
            "trial": msgspec.to_builtins(trial) | {"verdict": trial.verdict} if trial else None,
        }
        findings = trial.findings if trial else ()
        status = "ok" if promoted else "no"
        print_envelope(Envelope(command="update", status=status, data=data, findings=findings))
    elif trial is not None:
        _print_trial(trial)
        number = updated.generation.number
        if promoted:
            click.echo(f"\ngeneration {number} is active; {root / 'config.yaml'} says so")
            click.echo(f"back: provision rollback {updated.prospect.active.number}")
        else:
            click.echo(f"\ndiscarded: {trial.reason}")
            click.echo(f"generation {number} is active and config.yaml as it was")
    return int(ExitCode.OK if promoted else ExitCode.NO)


def _print_prospect(prospect: Prospect, *, retry: bool, err: bool) -> None:
    number, tried = prospect.active.number, prospect.tried
    if not prospect.available:
        click.echo(
            f"nothing newer inside the bounds for generation {number} ({prospect.active.profile})", err=err
        )
    for stack in prospect.stacks:
        if stack.kept and prospect.available:
            click.echo(f"stack {stack.name} ({', '.join(stack.models)}) stays as it is", err=err)
        elif not stack.kept:
            click.secho(f"stack {stack.name}: {', '.join(stack.models)}", bold=True, err=err)
            rows = [(change.name, change.before or "-", change.after or "-") for change in stack.changes]
            _print_table(("package", "active", "new"), rows, err=err)
    for item in prospect.outside:
        click.echo(f"outside: {item.name} {item.latest} (active {item.active}): {item.reason}", err=err)
    if tried is not None and prospect.available:
        again = "it is tried again" if retry else "--retry tries again"
        click.echo(f"tried on {tried.date[:10]}, discarded because {tried.reason}; {again}", err=err)


def _print_trial(trial: Trial) -> None:
    failed = [finding for finding in trial.findings if finding.severity == "fail"]
    passed = sum(finding.severity == "pass" for finding in trial.findings)
    click.echo(f"numerics: {passed} checks agree with float64, {len(failed)} failed")
    rows = [
        (
            model.model,
            f"{model.verdict_before or '-'} -> {model.verdict}",
            f"{_render(model.cer_before, '.3g')} -> {_render(model.cer, '.3g')}",
            f"{_render(model.tokens_per_s_before, '.0f')} -> {_render(model.tokens_per_s, '.0f')}",
            model.standing,
        )
        for model in trial.models
    ]
    if rows:
        _print_table(("model", "verdict", "CER", "tok/s", "against before"), rows, err=False)
    for model in trial.models:
        click.echo(f"{model.model}: {model.reason}")


def _render(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _print_table(titles: Iterable[str], rows: Iterable[tuple[str, ...]], *, err: bool) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in titles:
        table.add_column(title, no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console = build_console()
    with console.capture() as captured:
        console.print(table)
    lines = (line.rstrip() for line in captured.get().splitlines())
    click.echo("\n".join(f"  {line}" for line in lines), err=err)


def _build_data(prospect: Prospect) -> dict[str, Any]:
    return {
        "profile": prospect.active.profile,
        "models": prospect.active.asked_models,
        "former": prospect.active.number,
        "generation": prospect.active.number,
        "changed": False,
        "current": prospect.current,
        "available": msgspec.to_builtins(prospect.available),
        "outside": msgspec.to_builtins(prospect.outside),
        "stacks": msgspec.to_builtins(prospect.stacks),
        "tried": msgspec.to_builtins(prospect.tried),
        "trial": None,
    }
