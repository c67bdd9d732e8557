"""`provision plan`, and how a plan is shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provision.cli.options import (
    build_context,
    exclude_newer_option,
    flash_attn_option,
    machine_options,
    models_option,
    output_option,
    read_flash_choice,
    read_probe,
    root_options,
)
from provision.cli.output import Envelope, print_envelope, render_bytes
from provision.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from provision.actions.plan import Prepared
    from provision.model.plan import Plan, PlannedStack
    from provision.model.state import StackRecord


@click.command("plan")
@click.argument("profile", default="auto")
@models_option
@exclude_newer_option
@flash_attn_option
@click.option(
    "--out",
    "plan_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the plan to a file, for `provision apply --plan FILE`.",
)
@machine_options
@output_option
@root_options
def plan_command(
    *,
    profile: str,
    models: tuple[str, ...],
    exclude_newer: str | None,
    flash_attn: str | None,
    plan_path: Path | None,
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
    provision plan auto --out plan.json; provision apply --plan plan.json

    Exits with 0 when there is nothing to do, with 1 when there is.
    """
    from provision.actions.package_policy import build_policy
    from provision.actions.plan import NetworkSupply, Request, prepare
    from provision.actions.plan_file import save_plan_file
    from provision.system.store import Store

    ctx = build_context(root=root, profiles_dir=profiles_dir, output=output)
    probe = read_probe(paste, probe_path, ctx)
    supply = NetworkSupply(policy=build_policy(ctx, exclude_newer, read_flash_choice(flash_attn)))
    request = Request(profile=profile, models=models, probe=probe, supply=supply)
    prepared = prepare(ctx, Store(ctx.root), request)
    if plan_path is not None and prepared.plan is not None:
        if prepared.situation.elsewhere:
            raise UsageError("a plan for another machine cannot be applied here", hint="leave --out away")
        save_plan_file(ctx, prepared.plan, plan_path)
    elif plan_path is not None:
        ctx.reporter.warn(f"there is nothing to do, so no plan was written to {plan_path}")
    if output == "json":
        status = "ok" if prepared.plan is None else "no"
        print_envelope(Envelope(command="plan", status=status, data=build_plan_data(prepared, ctx.root)))
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
    """The plan as an engineer reads it: sources, stacks, what changes, then the steps with what they cost."""

    def say(text: str) -> None:
        click.echo(text, err=to_stderr)

    click.secho(f"plan: profile {plan.profile}, generation {plan.generation}", bold=True, err=to_stderr)
    attempts = [attempt for stack in plan.stacks for attempt in stack.attempts]
    for line in dict.fromkeys(
        f"  source  {attempt.source.label} ({attempt.source.origin}): {attempt.answer}: {attempt.detail}"
        for attempt in attempts
    ):
        say(line)
    for stack in plan.stacks:
        say(f"  stack   {stack.name}: {', '.join(stack.models)} ({', '.join(stack.requirements)})")
        if not stack.complete:
            say(f"          {describe_changes(stack)}")
    for decision in dict.fromkeys(stack.flash_attn for stack in plan.stacks if stack.flash_attn):
        names = [stack.name for stack in plan.stacks if stack.flash_attn == decision]
        everywhere = len(names) == len(plan.stacks)
        say(f"  flash-attn{'' if everywhere else ' in ' + ', '.join(names)}: {decision}")
    for reason in plan.separations:
        say(f"  apart   {reason}")
    for need in plan.spaces:
        needed, free = render_bytes(need.needed_bytes), render_bytes(need.free_bytes)
        say(f"  disk    {need.path}: at most {needed} for {need.purpose}, {free} free")
    for item in plan.memory:
        free = "free memory unknown" if item.free_bytes is None else f"{render_bytes(item.free_bytes)} free"
        say(
            f"  VRAM    {item.model}: {render_bytes(item.needed_bytes)} for its weights on {item.device}, {free}"
        )
    for path in plan.files:
        say(f"  file    {path}")
    for number, step in enumerate(plan.steps, start=1):
        cost = f", at most {render_bytes(step.download_bytes)} to download" if step.download_bytes else ""
        detail = f" ({step.detail})" if step.detail else ""
        say(f"  {number}. {step.title}{detail}{cost}")


def describe_changes(stack: PlannedStack) -> str:
    """How many packages are added, removed and changed, and the changes that a person looks for."""
    added = [change for change in stack.changes if change.before is None]
    removed = [change for change in stack.changes if change.after is None]
    changed = [change for change in stack.changes if change.before and change.after]
    text = f"{len(added)} packages added, {len(removed)} removed, {len(changed)} changed"
    named = [f"{change.name} {change.before} -> {change.after}" for change in changed]
    named += [f"-{change.name} {change.before}" for change in removed]
    more = f", and {len(named) - 12} more" if len(named) > 12 else ""
    return text + (f": {', '.join(named[:12])}{more}" if named else "")


def render_nothing_to_do(prepared: Prepared) -> str:
    """What is said when the active generation is what is wanted."""
    active = prepared.situation.active
    number = active.number if active else 0
    names = ", ".join(model.key for model in active.models) if active else ""
    what = f"profile {prepared.situation.profile.name}, {names}"
    return f"nothing to do: generation {number} ({what}) is active and whole"


def build_plan_data(prepared: Prepared, root: Path) -> dict[str, Any]:
    """The `data` of `plan` and `apply`."""
    plan, active = prepared.plan, prepared.situation.active
    if plan is None:
        records = active.stacks if active else ()
        stacks = [_build_built_row(stack, root / ".provision") for stack in records]
    else:
        stacks = [_build_planned_row(stack) for stack in plan.stacks]
    return {
        "profile": prepared.situation.profile.name,
        "models": [model.key for model in prepared.situation.selection.models],
        "stacks": stacks,
        "steps": plan.steps if plan else [],
        "warnings": plan.warnings if plan else [],
        "separations": plan.separations if plan else [],
        "spaces": plan.spaces if plan else [],
        "memory": plan.memory if plan else [],
        "files": plan.files if plan else [],
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
        "requirements": stack.requirements,
        "flash_attn": stack.flash_attn,
        "changes": stack.changes,
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
