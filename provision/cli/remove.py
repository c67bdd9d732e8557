"""`provision remove`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from provision.cli.confirm import confirm, yes_option
from provision.cli.options import build_context, output_option, root_options
from provision.cli.output import Envelope, print_envelope

if TYPE_CHECKING:
    from provision.actions.remove import Removed


@click.command("remove")
@click.argument("models", metavar="MODEL…", nargs=-1, required=True)
@yes_option
@output_option
@root_options
def remove_command(
    models: tuple[str, ...], yes: bool, output: str, root: Path, profiles_dir: Path | None
) -> int:
    """Take models out: a new generation without them, made of what is there.

    Nothing is resolved, built or read anew, and `provision rollback` brings them back. Their entries leave
    config.yaml, of which a copy is kept.
    """
    from provision.actions.remove import remove

    ctx = build_context(root=root, profiles_dir=profiles_dir, output=output)

    def approve(removed: Removed) -> None:
        if output == "text":
            _print_plan(removed)
        confirm(f"Remove {', '.join(removed.models)}?", yes=yes, output=output)

    keys = tuple(key for given in models for key in given.split(",") if key)
    removed = remove(ctx, keys, approve=approve)
    record = removed.generation
    if output == "json":
        print_envelope(Envelope(command="remove", status="ok", data=_build_data(removed)))
        return 0
    click.echo(f"generation {record.number} is active; {ctx.root / 'config.yaml'} says so")
    click.echo(
        f"what only older generations need goes with: provision gc; back: provision rollback {removed.former}"
    )
    for command in removed.commands:
        click.echo(f"weights stay in the Hub's cache, where other applications may use them: {command}")
    return 0


def _print_plan(removed: Removed) -> None:
    record = removed.generation
    click.echo(f"from generation {removed.former} to a new one, {record.number}", err=True)
    click.echo(f"  without  {', '.join(removed.models)}", err=True)
    click.echo(f"  models   {', '.join(model.key for model in record.models)}", err=True)
    for stack in removed.dropped:
        click.echo(f"  stack {stack} is used by none of them", err=True)


def _build_data(removed: Removed) -> dict[str, object]:
    record = removed.generation
    return {
        "generation": record.number,
        "former": removed.former,
        "changed": True,
        "profile": record.profile,
        "removed": removed.models,
        "models": [model.key for model in record.models],
        "stacks_dropped": removed.dropped,
        "hub_commands": removed.commands,
    }
