"""A plan that was written to a file, applied exactly as it stands or not at all."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from provision.actions.context import Context
from provision.actions.lock_stack import ResolvedStack
from provision.actions.plan import NetworkSupply
from provision.actions.resolve import ResolvedSet
from provision.actions.situation import Situation
from provision.actions.torch_source import choose_torch
from provision.actions.uv_setup import build_uv, load_package_settings
from provision.actions.weights import ModelFiles
from provision.core.lock_text import parse_lock_text
from provision.core.models import StackSpec
from provision.core.plan_check import find_plan_problem
from provision.core.planner import compare_basis
from provision.core.sources import Offer
from provision.errors import BadFileError, StateError, UsageError
from provision.model.catalogue import ModelSpec
from provision.model.plan import Plan, PlanFile, PlannedStack
from provision.system.files import write_atomic
from provision.system.resources import load_text
from provision.system.store import Store

SCHEMA = 1


def save_plan_file(ctx: Context, plan: Plan, path: Path) -> None:
    """Write `plan` to `path`, without the sources that were asked: their addresses may hold passwords.

    Raises UsageError when the file cannot be written.
    """
    stacks = tuple(replace(stack, attempts=()) for stack in plan.stacks)
    content = PlanFile(schema=SCHEMA, created=ctx.timestamp(), plan=replace(plan, stacks=stacks))
    try:
        write_atomic(path, msgspec.json.format(msgspec.json.encode(content), indent=1))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}", hint="provision plan --out FILE") from error


def load_plan_file(path: Path) -> Plan:
    """The plan in `path`. Raises BadFileError when it is none, or what is in it does not go together.

    A file of somebody else's is not trusted: nothing in it may name a place, and its locks hold names, versions
    and hashes only.
    """
    hint = "provision plan --out FILE   # makes a new one"
    try:
        content = msgspec.json.decode(load_text(path), type=PlanFile)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadFileError(f"{path}: not a plan: {error}", hint=hint) from error
    if content.schema != SCHEMA:
        raise BadFileError(f"{path}: a plan of schema {content.schema}, not {SCHEMA}", hint=hint)
    problem = find_plan_problem(content.plan)
    if problem is not None:
        raise BadFileError(f"{path}: {problem}", hint=hint)
    for stack in content.plan.stacks:
        own = parse_lock_text(stack.lock.text, where=f"{path}: the lock of stack {stack.name}")
        same = [(wheel.name, wheel.version, wheel.hashes) for wheel in stack.lock.wheels] == [
            (wheel.name, wheel.version, wheel.hashes) for wheel in own.wheels
        ]
        if own.sha256 != stack.lock.sha256 or not same:
            raise BadFileError(f"{path}: the lock of stack {stack.name} was altered", hint=hint)
    return content.plan


class PlanSupply(Struct, frozen=True, kw_only=True):
    """The locks of a plan; torch must still be offered as it was. Weights come as always."""

    plan: Plan

    def check(self, situation: Situation) -> None:
        """Raise StateError when the machine, the profile or the environment is not as the plan found it."""
        changed = compare_basis(self.plan.basis, situation.basis)
        if changed:
            raise StateError(
                f"the plan is stale: {'; '.join(changed)}",
                hint=f"provision plan {self.plan.profile} --out FILE   # plans anew",
            )

    def prepare(self, ctx: Context) -> None:
        """Nothing has to be made ready."""

    def resolve(self, ctx: Context, situation: Situation) -> ResolvedSet:
        """The planned stacks, from the source that offers the planned torch now."""
        needed = any(stack.torchvision is not None for stack in self.plan.stacks)
        platform = situation.detection.facts.host.platform
        with tempfile.TemporaryDirectory(prefix="provision-plan-") as work:
            uv = build_uv(ctx, load_package_settings(ctx), Path(work))
            torch = choose_torch(ctx, uv, situation.build, platform, torchvision_needed=needed)
        for stack in self.plan.stacks:
            if (stack.torch, stack.torchvision) != (torch.offer.torch, torch.offer.torchvision):
                raise StateError(
                    f"the plan is stale: {torch.source.label} offers torch {torch.offer.torch}, "
                    f"torchvision {torch.offer.torchvision}; planned were {stack.torch}, {stack.torchvision}",
                    hint=f"provision plan {self.plan.profile} --out FILE   # plans anew",
                )
        return ResolvedSet(
            stacks=tuple(
                ResolvedStack(
                    spec=_build_spec(stack),
                    lock=stack.lock,
                    offer=Offer(torch=stack.torch, torchvision=stack.torchvision, tag=stack.tag),
                    torch_source=torch.source,
                    sources=torch.sources,
                    attempts=torch.attempts,
                )
                for stack in self.plan.stacks
            ),
            separations=(),
        )

    def bring_weights(self, ctx: Context, store: Store, model: ModelSpec) -> ModelFiles:
        """As without a plan: weights are pinned by their revision."""
        return NetworkSupply().bring_weights(ctx, store, model)


def _build_spec(stack: PlannedStack) -> StackSpec:
    return StackSpec(
        name=stack.name,
        models=stack.models,
        requirements=stack.requirements,
        torchvision_needed=stack.torchvision is not None,
    )
