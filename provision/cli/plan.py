"""`provision plan`, and how a plan is shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provision.cli.options import (
    build_context,
    machine_options,
    models_option,
    output_option,
    read_probe,
    root_options,
)
from provision.cli.output import Envelope, print_envelope, render_bytes
from provision.errors import ExitCode

if TYPE_CHECKING:
    from provision.actions.plan import Prepared
    from provision.model.plan import Plan, PlannedStack
    from provision.model.state import StackRecord


@click.command("plan")
@click.argument("profile", default="auto")
@models_option
@machine_options
@output_option
@root_options
def plan_command(
    profile: str,
    models: tuple[str, ...],
    paste: str | None,
    probe_path: Path | None,
    output: str,
    root: Path,
    profiles_dir: Path | None,
) -> int:
    """Show what `provision apply PROFILE` would do; change nothing.

    \b
    provision plan auto
    provision plan auto --paste nvidia-smi.txt   # for another machine, resolved from here

    Exits with 0 when there is nothing to do, with 1 when there is.
    """
    from provision.actions.plan import prepare
    from provision.system.store import Store

    ctx = build_context(root=root, profiles_dir=profiles_dir, output=output)
    prepared = prepare(ctx, Store(ctx.root), profile, models, read_probe(paste, probe_path, ctx))
    if output == "json":
        status = "ok" if prepared.plan is None else "no"
        print_envelope(Envelope(command="plan", status=status, data=build_plan_data(prepared)))
    elif prepared.plan is None:
        click.echo(render_nothing_to_do(prepared))
    else:
        if elsewhere := describe_target(prepared):
            click.echo(elsewhere)
        print_plan(prepared.plan, to_stderr=False)
    return int(ExitCode.OK if prepared.plan is None else ExitCode.NO)


def describe_target(prepared: Prepared) -> str | None:
    """For which other machine the plan is, or None for this one."""
    if not prepared.situation.elsewhere:
        return None
    host = prepared.situation.detection.facts.host
    return f"for another machine: {host.platform}, Python {host.python_version}; nothing can be applied here"


def print_plan(plan: Plan, *, to_stderr: bool) -> None:
    """The plan as an engineer reads it: where torch comes from, then the steps with what they cost."""
    click.secho(f"plan: profile {plan.profile}, generation {plan.generation}", bold=True, err=to_stderr)
    for stack in plan.stacks:
        for attempt in stack.attempts:
            where = f"{attempt.source.label} ({attempt.source.origin})"
            click.echo(f"  source  {where}: {attempt.answer}: {attempt.detail}", err=to_stderr)
    for number, step in enumerate(plan.steps, start=1):
        cost = f", at most {render_bytes(step.download_bytes)} to download" if step.download_bytes else ""
        detail = f" ({step.detail})" if step.detail else ""
        click.echo(f"  {number}. {step.title}{detail}{cost}", err=to_stderr)


def render_nothing_to_do(prepared: Prepared) -> str:
    """What is said when the active generation is what is wanted."""
    active = prepared.situation.active
    number = active.number if active else 0
    names = ", ".join(model.key for model in active.models) if active else ""
    what = f"profile {prepared.situation.profile.name}, {names}"
    return f"nothing to do: generation {number} ({what}) is active and whole"


def build_plan_data(prepared: Prepared) -> dict[str, Any]:
    """The `data` of `plan` and `apply`."""
    plan, active = prepared.plan, prepared.situation.active
    if plan is None:
        records = active.stacks if active else ()
        stacks = [_build_built_row(stack, prepared.state_dir) for stack in records]
    else:
        stacks = [_build_planned_row(stack) for stack in plan.stacks]
    return {
        "profile": prepared.situation.profile.name,
        "models": [model.key for model in prepared.situation.selection.models],
        "stacks": stacks,
        "steps": plan.steps if plan else [],
        "warnings": plan.warnings if plan else [],
        "changed": plan is not None,
        "generation": plan.generation if plan else (active.number if active else None),
        "elsewhere": prepared.situation.elsewhere,
        "assumptions": prepared.situation.assumptions,
    }


def _build_built_row(stack: StackRecord, state_dir: Path) -> dict[str, Any]:
    return {
        "name": stack.name,
        "models": stack.models,
        "lock_sha256": stack.lock_sha256,
        "path": str(state_dir / stack.path),
    }


def _build_planned_row(stack: PlannedStack) -> dict[str, Any]:
    return {
        "name": stack.name,
        "models": stack.models,
        "lock_sha256": stack.lock.sha256,
        "path": stack.path,
        "torch": stack.torch,
        "torchvision": stack.torchvision,
        "tag": stack.tag,
        "download_bytes": stack.lock.download_bytes,
        "complete": stack.complete,
        "sources": [
            {
                "source": attempt.source.label,
                "kind": attempt.source.kind,
                "origin": attempt.source.origin,
                "answer": attempt.answer,
                "detail": attempt.detail,
            }
            for attempt in stack.attempts
        ],
    }
