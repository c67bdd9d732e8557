"""`provision rollback`"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provision.cli.confirm import confirm, yes_option
from provision.cli.options import build_context, output_option, root_options
from provision.cli.output import Envelope, print_envelope

if TYPE_CHECKING:
    from provision.actions.rollback import Return, RolledBack

_SHOWN_KEYS = 8


@click.command("rollback")
@click.argument("number", metavar="[N]", type=click.IntRange(min=1), required=False)
@yes_option
@output_option
@root_options
def rollback_command(
    number: int | None, yes: bool, output: str, root: Path, profiles_dir: Path | None
) -> int:
    """Return to a former generation: environments, weights and config.yaml together.

    \b
    provision rollback        to the one before the active one
    provision rollback 3      to generation 3, see `provision generations`

    What you wrote into config.yaml yourself stays; a copy of the file is kept. A stack that was removed is built
    again from the lock that the generation kept.
    """
    from provision.actions.rebuild import rebuild_stack
    from provision.actions.rollback import rollback

    ctx = build_context(root=root, profiles_dir=profiles_dir, output=output)

    def approve(plan: Return) -> None:
        if output == "text":
            _print_plan(plan)
        confirm(f"Return to generation {plan.target.number}?", yes=yes, output=output)

    done = rollback(ctx, number, approve=approve, rebuild=partial(rebuild_stack, ctx))
    if output == "json":
        print_envelope(Envelope(command="rollback", status="ok", data=_build_data(done)))
    elif not done.changed:
        click.echo(f"nothing to do: generation {done.target.number} is active already")
    else:
        click.echo(f"generation {done.target.number} is active; {ctx.root / 'config.yaml'} says so")
        if done.backup is not None:
            click.echo(f"config.yaml as it was: {done.backup}")
    return 0


def _print_plan(plan: Return) -> None:
    target = plan.target
    former = "a state that cannot be read" if plan.former is None else f"generation {plan.former}"
    click.echo(f"from {former} to generation {target.number}, made {target.created}", err=True)
    click.echo(f"  profile  {target.profile}", err=True)
    click.echo(f"  models   {', '.join(model.key for model in target.models)}", err=True)
    for stack in plan.broken:
        click.echo(f"  stack {stack.record.name} is built again from its lock: {stack.problem}", err=True)
    for key in plan.config_keys[:_SHOWN_KEYS]:
        click.echo(f"  config.yaml: {key}", err=True)
    if len(plan.config_keys) > _SHOWN_KEYS:
        click.echo(f"  config.yaml: {len(plan.config_keys) - _SHOWN_KEYS} more keys", err=True)


def _build_data(done: RolledBack) -> dict[str, object]:
    return {
        "generation": done.target.number,
        "former": done.former,
        "changed": done.changed,
        "profile": done.target.profile,
        "models": [model.key for model in done.target.models],
        "rebuilt": done.rebuilt,
        "warnings": done.warnings,
        "backup": None if done.backup is None else str(done.backup),
    }
