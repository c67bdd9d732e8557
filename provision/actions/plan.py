"""What an apply would do on this machine, resolved but not built."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from provision.actions.build import name_stack_dir
from provision.actions.context import Context
from provision.actions.resolve import ResolvedStack, resolve_stack
from provision.actions.situation import Situation, survey
from provision.actions.wholeness import check_stack
from provision.core.planner import build_plan
from provision.model.facts import Probe
from provision.model.plan import Plan, PlannedStack
from provision.system.store import Store


class Prepared(Struct, frozen=True, kw_only=True):
    """A plan with what it was made from. Nothing is resolved when the active generation is what is wanted."""

    state_dir: Path
    situation: Situation
    plan: Plan | None
    resolved: tuple[ResolvedStack, ...]


def prepare(
    ctx: Context,
    store: Store,
    profile_name: str,
    requested: Sequence[str],
    probe: Probe | None = None,
) -> Prepared:
    """Survey, and unless nothing has to be done resolve every stack. Changes nothing.

    With `probe` the plan is for the machine that it was taken from.
    """
    ctx.reporter.step("looking at the machine")
    situation = survey(ctx, store, profile_name, requested, probe)
    for assumption in situation.assumptions:
        ctx.reporter.warn(assumption)
    for key in situation.selection.unknown:
        ctx.reporter.warn(
            f"config.yaml names the model {key!r}, which the catalogue does not know; it is left alone"
        )
    if situation.problem is not None:
        ctx.reporter.warn(f"the active generation is not whole: {situation.problem}; it is repaired")
    if situation.is_current:
        return Prepared(state_dir=store.state_dir, situation=situation, plan=None, resolved=())
    ctx.reporter.step(f"resolving packages for profile {situation.profile.name}")
    platform = situation.detection.facts.host.platform
    resolved = tuple(
        resolve_stack(ctx, spec, situation.build, platform, situation.target) for spec in situation.specs
    )
    plan = build_plan(
        profile=situation.profile,
        models=situation.selection.models,
        fingerprint=situation.fingerprint,
        stacks=[_plan_stack(store, stack) for stack in resolved],
        generation=store.next_number(),
    )
    for warning in plan.warnings:
        ctx.reporter.warn(warning)
    return Prepared(state_dir=store.state_dir, situation=situation, plan=plan, resolved=resolved)


def _plan_stack(store: Store, stack: ResolvedStack) -> PlannedStack:
    folder = name_stack_dir(store, stack)
    return PlannedStack(
        name=stack.spec.name,
        models=stack.spec.models,
        lock=stack.lock,
        path=str(folder),
        tag=stack.offer.tag,
        torch=stack.offer.torch,
        torchvision=stack.offer.torchvision,
        attempts=stack.attempts,
        complete=check_stack(folder) is None,
    )
