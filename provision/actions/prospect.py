"""What an update of the active generation would bring: resolved within the bounds, compared, nothing built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from provision.actions.active_locks import load_active_lock
from provision.actions.build import name_stack_dir
from provision.actions.context import Context
from provision.actions.latest import ask_latest
from provision.actions.lock_stack import ResolvedStack
from provision.actions.package_policy import Policy
from provision.actions.resolve import resolve_models
from provision.actions.situation import Situation, read_config_text, survey
from provision.core.config_doc import wanted_models
from provision.core.planner import compare_locks
from provision.core.update import (
    build_bounds,
    find_discarded,
    find_flash_choice,
    find_newer,
    hold_back,
    leaves_bounds,
    list_available,
    list_outside,
)
from provision.errors import StateError, UsageError
from provision.model.packages import StackLock
from provision.model.state import GenerationRecord, StackRecord
from provision.model.update import Available, Outside, StackNews, TrialRecord
from provision.system.store import Store
from provision.system.trials import load_trials


class Prospect(Struct, frozen=True, kw_only=True):
    """What an update would do. `resolved` are all stacks of the new generation, kept ones among them.

    `current` is False when the machine, the profile or a model has changed since the active generation was
    verified. `tried` is the trial of exactly these locks that was discarded.
    """

    active: GenerationRecord
    situation: Situation
    current: bool
    resolved: tuple[ResolvedStack, ...]
    stacks: tuple[StackNews, ...]
    available: tuple[Available, ...]
    outside: tuple[Outside, ...]
    tried: TrialRecord | None

    @property
    def locks(self) -> dict[str, str]:
        """The SHA-256 of each stack's lock, by the stack's name."""
        return {stack.name: stack.lock_sha256 for stack in self.stacks}


class _Match(Struct, frozen=True, kw_only=True):
    """A resolved stack beside the active one that it takes the place of, with that one's lock."""

    stack: ResolvedStack
    record: StackRecord | None
    lock: StackLock | None


def find_prospect(ctx: Context, store: Store, models: Sequence[str], policy: Policy) -> Prospect:
    """Resolve the active generation's models within its profile's bounds. Changes nothing, needs no lock.

    With `models` only the stacks that serve these are made anew. Raises StateError without an active
    generation, UsageError for a model that it has not, DownloadError when no source answers.
    """
    active = store.load_active() if store.state_dir.is_dir() else None
    if active is None:
        raise StateError(f"nothing was applied in {ctx.root}", hint="provision apply auto")
    _check_models(active, models)
    for stack in active.stacks:
        if stack.is_users:
            raise StateError(
                f"generation {active.number} runs in {stack.path}, which is yours: update does not change it",
                hint=f"provision apply {active.profile} --into {stack.path}",
            )
    ctx.reporter.step("looking at the machine")
    situation, current = _survey(ctx, store, active)
    former = _load_locks(store, active)
    ctx.reporter.step(f"resolving packages within the bounds of profile {situation.profile.name}")
    found, bounds = _resolve(ctx, situation, policy, former)
    matches = [_match(stack, active, former) for stack in found]
    resolved = _keep(matches, models, bounds)
    stacks = tuple(_describe(store, stack, match) for stack, match in zip(resolved, matches, strict=True))
    fingerprint, locks = situation.fingerprint, {stack.spec.name: stack.lock.sha256 for stack in resolved}
    return Prospect(
        active=active,
        situation=situation,
        current=current,
        resolved=resolved,
        stacks=stacks,
        available=list_available(stack for stack in stacks if not stack.kept),
        outside=_find_outside(ctx, situation, found[0], former, resolved[0], bounds, policy),
        tried=find_discarded(_load_trials(ctx, store), fingerprint, locks),
    )


def check_current(prospect: Prospect) -> None:
    """Raise StateError when the active generation is no longer what an apply would make."""
    if not prospect.current:
        number = prospect.active.number
        raise StateError(
            f"the machine, the profile or a model has changed since generation {number} was verified",
            hint=f"provision apply {prospect.active.profile}   # verifies anew; then update",
        )


def _check_models(active: GenerationRecord, models: Sequence[str]) -> None:
    for key in models:
        if key not in active.asked_models:
            raise UsageError(
                f"generation {active.number} has no model {key!r}",
                hint=f"it has {', '.join(active.asked_models)}",
            )


def _survey(ctx: Context, store: Store, active: GenerationRecord) -> tuple[Situation, bool]:
    """The situation in which the next apply, to which nobody names models, finds nothing to do.

    It takes them in the order of config.yaml, and the fingerprint tells orders apart.
    """
    asked = active.asked_models
    wanted = wanted_models(read_config_text(store, store.load_config()), where=str(store.config_path))
    ordered = tuple(dict.fromkeys([*(key for key in wanted if key in asked), *asked]))
    situation = survey(ctx, store, active.profile, ordered)
    current = active.fingerprint == situation.fingerprint
    if not current and ordered != asked:
        current = active.fingerprint == survey(ctx, store, active.profile, asked).fingerprint
    return situation, current


def _load_locks(store: Store, active: GenerationRecord) -> dict[str, StackLock]:
    """The active stacks' locks by name. Raises StateError for one that was lost: nothing could be compared."""
    locks = {}
    for record in active.stacks:
        lock = load_active_lock(store, active, record)
        if lock is None:
            raise StateError(
                f"the lock of stack {record.name} of generation {active.number} was not kept",
                hint=f"provision apply {active.profile}",
            )
        locks[record.name] = lock
    return locks


def _resolve(
    ctx: Context, situation: Situation, policy: Policy, former: Mapping[str, StackLock]
) -> tuple[tuple[ResolvedStack, ...], dict[str, str]]:
    """The fewest stacks within the bounds; a second time where a named package would go back."""
    bounds = build_bounds(situation.profile)
    main = next(iter(former.values())).versions

    def resolve(spans: dict[str, str]) -> tuple[ResolvedStack, ...]:
        models, facts = situation.selection.models, situation.detection.facts
        bounded = replace(policy, bounds=spans, flash_attn=policy.flash_attn or find_flash_choice(main))
        return resolve_models(ctx, models, situation.profile, situation.build, facts, policy=bounded).stacks

    found = resolve(bounds)
    held = hold_back(bounds, main, found[0].lock.versions)
    return (found if held == bounds else resolve(held)), bounds


def _match(stack: ResolvedStack, active: GenerationRecord, former: Mapping[str, StackLock]) -> _Match:
    """The active stack of the same models, else the one of the same name."""
    same = [record for record in active.stacks if set(record.models) == set(stack.spec.models)]
    named = [record for record in active.stacks if record.name == stack.spec.name]
    record = next(iter(same + named), None)
    return _Match(stack=stack, record=record, lock=former[record.name] if record else None)


def _keep(
    matches: Sequence[_Match], models: Sequence[str], bounds: Mapping[str, str]
) -> tuple[ResolvedStack, ...]:
    """The new stacks; the active one instead where nothing is newer, or that only outside the bounds, or none of
    `models` is served.

    None is kept where that would give two stacks the same name.
    """
    kept = tuple(_choose(match, models, bounds) for match in matches)
    names = {stack.spec.name for stack in kept}
    return kept if len(names) == len(kept) else tuple(match.stack for match in matches)


def _choose(match: _Match, models: Sequence[str], bounds: Mapping[str, str]) -> ResolvedStack:
    stack, record, lock = match.stack, match.record, match.lock
    if record is None or lock is None or set(record.models) != set(stack.spec.models):
        return stack
    newer = find_newer(compare_locks(lock.versions, stack.lock.versions))
    inside = not leaves_bounds(bounds, lock.versions, stack.lock.versions)
    asked = not models or any(key in models for key in stack.spec.models)
    if newer and inside and asked:
        return stack
    return replace(stack, spec=replace(stack.spec, name=record.name), lock=lock)


def _describe(store: Store, stack: ResolvedStack, match: _Match) -> StackNews:
    before = match.lock.versions if match.lock else {}
    kept = match.lock is not None and stack.lock.sha256 == match.lock.sha256
    return StackNews(
        name=stack.spec.name,
        models=stack.spec.models,
        former=match.record.name if match.record else None,
        lock_sha256=stack.lock.sha256,
        path=str(name_stack_dir(store, stack)),
        kept=kept,
        changes=() if kept else compare_locks(before, stack.lock.versions),
    )


def _find_outside(
    ctx: Context,
    situation: Situation,
    found: ResolvedStack,
    former: Mapping[str, StackLock],
    chosen: ResolvedStack,
    bounds: Mapping[str, str],
    policy: Policy,
) -> tuple[Outside, ...]:
    ctx.reporter.step("asking what there is beyond the bounds")
    return list_outside(
        ask_latest(ctx, found, tuple(bounds)),
        next(iter(former.values())).versions,
        chosen.lock.versions,
        bounds,
        torch_build=situation.build.name,
        cutoff=policy.exclude_newer,
    )


def _load_trials(ctx: Context, store: Store) -> tuple[TrialRecord, ...]:
    try:
        return load_trials(store.state_dir)
    except StateError as error:
        ctx.reporter.warn(f"{error.message}; what was tried before is not known")
        return ()
