"""What an apply would do on this machine, resolved but not built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from provision.actions.active_locks import resolve_active
from provision.actions.build import name_stack_dir
from provision.actions.context import Context
from provision.actions.lock_stack import ResolvedStack
from provision.actions.package_policy import Policy
from provision.actions.resolve import ResolvedSet, resolve_models
from provision.actions.situation import Situation, survey
from provision.actions.weights import ModelFiles, ensure_weights
from provision.actions.wholeness import check_stack
from provision.core.needs import (
    STACKS,
    UV_CACHE,
    WEIGHTS,
    build_memory_needs,
    build_space_needs,
    estimate_bytes,
)
from provision.core.planner import build_plan, compare_locks
from provision.errors import UsageError
from provision.model.catalogue import ModelSpec
from provision.model.facts import Probe
from provision.model.plan import Plan, PlannedStack, SpaceNeed
from provision.model.state import GenerationRecord
from provision.system.hub_request import find_hub_cache
from provision.system.resources import has_family
from provision.system.spaces import find_spaces, find_uv_cache
from provision.system.stack_folder import load_manifest
from provision.system.store import Store


class Supply(Protocol):
    """Where stacks' locks and models' weights come from."""

    def check(self, situation: Situation) -> None:
        """Raise StateError when this supply is for another situation."""

    def prepare(self, ctx: Context) -> None:
        """Make ready what building and the weights will need; called once the plan is agreed to."""

    def resolve(self, ctx: Context, situation: Situation) -> ResolvedSet:
        """The stacks for what `situation` asks for."""

    def bring_weights(self, ctx: Context, store: Store, model: ModelSpec) -> ModelFiles:
        """Make the weights of `model` present."""


class NetworkSupply(Struct, frozen=True, kw_only=True):
    """Locks from the user's sources of packages, weights from the Hub."""

    policy: Policy | None = None

    def check(self, situation: Situation) -> None:
        """The network is for any situation."""

    def prepare(self, ctx: Context) -> None:
        """Nothing has to be made ready."""

    def resolve(self, ctx: Context, situation: Situation) -> ResolvedSet:
        """The fewest stacks, resolved by uv."""
        return resolve_models(
            ctx,
            situation.selection.models,
            situation.profile,
            situation.build,
            situation.detection.facts,
            target=situation.target,
            policy=self.policy,
        )

    def bring_weights(self, ctx: Context, store: Store, model: ModelSpec) -> ModelFiles:
        """From the Hub's cache or the Hub; embedded ones are copied."""
        return ensure_weights(ctx, store, model)


class Request(Struct, frozen=True, kw_only=True):
    """What is asked of a plan or an apply.

    `probe` is another machine's. For `building` alone a profile may be one that no device here fits, and a
    generation that is active does not answer the request; `weights` says whether to bring those.
    """

    profile: str = "auto"
    models: tuple[str, ...] = ()
    probe: Probe | None = None
    building: bool = False
    weights: bool = True
    supply: Supply = NetworkSupply()


class Prepared(Struct, frozen=True, kw_only=True):
    """A plan with what it was made from. Nothing is resolved when the active generation is what is wanted."""

    situation: Situation
    plan: Plan | None
    resolved: tuple[ResolvedStack, ...]


def prepare(ctx: Context, store: Store, request: Request) -> Prepared:
    """Survey, and unless nothing has to be done resolve every stack. Changes nothing.

    With a probe the plan is for the machine that it was taken from.
    """
    ctx.reporter.step("looking at the machine")
    situation = survey(ctx, store, request.profile, request.models, request.probe, building=request.building)
    request.supply.check(situation)
    for model in list_unreadable(ctx, situation.selection.models):
        ctx.reporter.warn(f"{model.key} can be built for, and not be smoked yet: no family {model.family!r}")
    for assumption in situation.assumptions:
        ctx.reporter.warn(assumption)
    for key in situation.selection.unknown:
        ctx.reporter.warn(
            f"config.yaml names the model {key!r}, which the catalogue does not know; it is left alone"
        )
    if not situation.is_as_locked:
        ctx.reporter.warn(
            "provision.lock names other packages than the active generation has; they are taken"
        )
    if situation.is_current and not request.building:
        return Prepared(situation=situation, plan=None, resolved=())
    if not request.building:
        _tell_why(ctx, situation)
    ctx.reporter.step(f"resolving packages for profile {situation.profile.name}")
    own = None
    if isinstance(request.supply, NetworkSupply) and situation.is_as_locked and not request.building:
        # What an update took is not given up for the pins because a file has to be repaired.
        own = resolve_active(ctx, store, situation)
    found = own or request.supply.resolve(ctx, situation)
    stacks = [plan_stack(store, stack, situation.active) for stack in found.stacks]
    facts, models = situation.detection.facts, situation.selection.models
    plan = build_plan(
        profile=situation.profile,
        models=models,
        fingerprint=situation.fingerprint,
        stacks=stacks,
        generation=store.next_number(),
        separations=[separation.reason for separation in found.separations],
        spaces=()
        if situation.elsewhere
        else _find_space_needs(ctx, store, stacks, models if request.weights else ()),
        memory=build_memory_needs(models, facts, situation.profile.device),
        files=[]
        if request.building
        else [f"{store.config_path} ({'changed' if situation.config_exists else 'new'})"],
        basis=situation.basis,
        weights=request.weights,
        activate=not request.building,
    )
    for warning in plan.warnings:
        ctx.reporter.warn(warning)
    return Prepared(situation=situation, plan=plan, resolved=found.stacks)


def list_unreadable(ctx: Context, models: Sequence[ModelSpec]) -> list[ModelSpec]:
    """The models that can be built for and not smoked: the worker has no module for their family."""
    return [model for model in models if not has_family(ctx.data_dir, model.family)]


def refuse_unreadable(ctx: Context, models: Sequence[ModelSpec], *, profile: str) -> None:
    """Before gigabytes are fetched for a model that nobody here can ask to read. Raises UsageError."""
    for model in list_unreadable(ctx, models):
        raise UsageError(
            f"{model.key} cannot be smoked yet: there is no model family {model.family!r}",
            hint=f"provision apply {profile} --models {model.key} --build-only   # builds its stack",
        )


def _tell_why(ctx: Context, situation: Situation) -> None:
    """Why the active generation is not what is wanted, where nobody would guess it."""
    active = situation.active
    if situation.problem is not None:
        ctx.reporter.warn(f"the active generation is not whole: {situation.problem}; it is repaired")
    if active is not None and situation.drift:
        keys = ", ".join(item.key_path for item in situation.drift[:3])
        ctx.reporter.warn(f"config.yaml is not as generation {active.number} wrote it: {keys}")
    for stack in active.stacks if active is not None else ():
        if stack.is_users:
            ctx.reporter.warn(
                f"config.yaml will leave the environment {stack.path}, which stays as it is; to keep it: "
                f"provision apply {situation.profile.name} --into {stack.path}"
            )


def plan_stack(store: Store, stack: ResolvedStack, active: GenerationRecord | None) -> PlannedStack:
    """A resolved stack as a plan shows it, against the active generation's of its name."""
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
        requirements=stack.spec.requirements,
        flash_attn=f"{stack.flash_attn.choice}: {stack.flash_attn.reason}" if stack.flash_attn else "",
        changes=compare_locks(_find_former(store, stack.spec.name, active), stack.lock.versions),
    )


def _find_former(store: Store, name: str, active: GenerationRecord | None) -> dict[str, str]:
    """The versions in the active generation's stack of that name; empty without one."""
    for record in active.stacks if active else ():
        manifest = load_manifest(store.state_dir / record.path)
        if record.name == name and manifest is not None:
            return {item.name.lower().replace("_", "-"): item.version for item in manifest.packages}
    return {}


def _find_space_needs(
    ctx: Context, store: Store, stacks: Sequence[PlannedStack], models: Sequence[ModelSpec]
) -> tuple[SpaceNeed, ...]:
    wanted = estimate_bytes(stacks, models)
    folders = {STACKS: store.state_dir, UV_CACHE: find_uv_cache(ctx.env), WEIGHTS: find_hub_cache(ctx.env)}
    return build_space_needs(wanted, find_spaces(folders))
