"""Returns to a former generation: environments, the revisions of weights and config.yaml together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from provision.actions.candidate import BrokenStack, Candidate, inspect_generation
from provision.actions.context import Context
from provision.actions.detect import detect
from provision.actions.lock import refresh_lock
from provision.actions.settle import settle
from provision.actions.situation import read_config_text
from provision.actions.wholeness import find_problem
from provision.core.config_doc import diff_config, merge_config
from provision.core.machine_record import build_machine_record, compare_machines
from provision.errors import ProvisionError, RollbackFailedError, StateError, UsageError
from provision.model.state import GenerationRecord, StackRecord, SwitchRecord
from provision.system.files import hash_bytes
from provision.system.store import Store, build_holder

# Builds one stack of a generation again from the text of its lock, in the stack's own folder.
Rebuild = Callable[[GenerationRecord, StackRecord, str], None]


class Return(Struct, frozen=True, kw_only=True):
    """What a rollback is about to do. `config_keys` are the key paths of config.yaml that it changes."""

    former: int | None
    target: GenerationRecord
    broken: tuple[BrokenStack, ...]
    config_keys: tuple[str, ...]
    warnings: tuple[str, ...]


class RolledBack(Struct, frozen=True, kw_only=True):
    """What a rollback came to; `backup` is config.yaml as it was."""

    target: GenerationRecord
    former: int | None
    changed: bool
    rebuilt: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    backup: Path | None = None


def rollback(
    ctx: Context,
    number: int | None = None,
    *,
    approve: Callable[[Return], None],
    rebuild: Rebuild | None = None,
) -> RolledBack:
    """Make generation `number` active, by default the newest whole one before the active one.

    `approve` is shown what will change and raises to stop. `rebuild` makes a stack anew that is missing or
    damaged. Raises UsageError for a number that is none, StateError for a generation that cannot be returned
    to, BadFileError for a config.yaml that cannot be read, RollbackFailedError when a step fails; what was
    active before then still is.
    """
    store = Store(ctx.root)
    if not store.state_dir.is_dir():
        raise StateError(f"nothing was applied in {ctx.root}", hint="provision apply auto")
    with store.locked(build_holder("provision rollback", ctx.timestamp())):
        settle(ctx, store)
        active = _load_active_number(ctx, store)
        if number is not None and number == active and _needs_nothing(store, number):
            return _stay(ctx, store, number)
        can_build = rebuild is not None
        candidate = (
            _find_former(ctx, store, active, can_build=can_build)
            if number is None
            else _find(store, number, can_build=can_build)
        )
        plan = _plan(ctx, store, candidate, active)
        approve(plan)
        try:
            _build_broken(ctx, store, plan, rebuild)
            ctx.reporter.step(f"activating generation {plan.target.number}")
            backup = _switch(ctx, store, plan)
            refresh_lock(ctx)
        except OSError as error:
            place = error.filename or ctx.root
            raise RollbackFailedError(
                f"rollback stopped: {error.strerror or error}: {place}",
                hint="df -h .   # what was active before still is",
            ) from error
    return RolledBack(
        target=plan.target,
        former=active,
        changed=True,
        rebuilt=tuple(stack.record.name for stack in plan.broken),
        warnings=plan.warnings,
        backup=backup,
    )


def _load_active_number(ctx: Context, store: Store) -> int | None:
    try:
        return store.load_active_number()
    except StateError as error:
        ctx.reporter.warn(error.message)
        return None


def _needs_nothing(store: Store, number: int) -> bool:
    """Whether config.yaml says of the active generation `number` what it wrote."""
    text = read_config_text(store, store.load_config())
    return not diff_config(text, store.load_generation(number).config, where=str(store.config_path))


def _stay(ctx: Context, store: Store, number: int) -> RolledBack:
    record = store.load_generation(number)
    problem = find_problem(store, record)
    if problem is not None:
        ctx.reporter.warn(f"generation {number} is active and not whole: {problem}; provision doctor --fix")
    return RolledBack(target=record, former=number, changed=False)


def _find(store: Store, number: int, *, can_build: bool) -> Candidate:
    """The generation that was named. Raises StateError for one that cannot become active."""
    known = store.list_numbers()
    if number not in known:
        listed = ", ".join(str(one) for one in known) or "none"
        raise UsageError(f"there is no generation {number}; known are {listed}", hint="provision generations")
    candidate = inspect_generation(store, store.load_generation(number), can_build=can_build)
    if candidate.obstacle is not None:
        raise StateError(
            f"generation {number} cannot be returned to: {candidate.obstacle}", hint=candidate.hint
        )
    return candidate


def _find_former(ctx: Context, store: Store, active: int | None, *, can_build: bool) -> Candidate:
    """The newest one before the active one that can become active; what is passed over is told."""
    former = [number for number in store.list_numbers() if active is None or number < active]
    for number in reversed(former):
        try:
            candidate = inspect_generation(store, store.load_generation(number), can_build=can_build)
        except StateError as error:
            ctx.reporter.warn(f"generation {number} is passed over: {error.message}")
            continue
        if candidate.obstacle is None:
            return candidate
        ctx.reporter.warn(f"generation {number} is passed over: {candidate.obstacle}")
    if former:
        raise StateError("no former generation is whole", hint="provision generations")
    raise StateError(
        "there is no former generation" if active is None else f"there is no generation before {active}",
        hint="provision generations",
    )


def _plan(ctx: Context, store: Store, candidate: Candidate, active: int | None) -> Return:
    text = read_config_text(store, store.load_config())
    drift = diff_config(text, candidate.record.config, where=str(store.config_path))
    warnings = _compare_machine(ctx, candidate.record)
    for warning in warnings:
        ctx.reporter.warn(warning)
    return Return(
        former=active,
        target=candidate.record,
        broken=candidate.broken,
        config_keys=tuple(item.key_path for item in drift),
        warnings=warnings,
    )


def _compare_machine(ctx: Context, record: GenerationRecord) -> tuple[str, ...]:
    """A machine that cannot be looked at keeps nobody from returning to what worked."""
    if record.machine is None:
        return ()
    try:
        changes = compare_machines(record.machine, build_machine_record(detect(ctx).facts))
    except ProvisionError as error:
        return (f"whether the machine has changed is not known: {error.message}",)
    since = f"since generation {record.number} was verified"
    return tuple(f"{change} {since}; provision smoke verifies it anew" for change in changes)


def _build_broken(ctx: Context, store: Store, plan: Return, rebuild: Rebuild | None) -> None:
    for stack in plan.broken:
        ctx.reporter.step(f"building stack {stack.record.name} again ({stack.problem})")
        try:
            if rebuild is not None:
                rebuild(plan.target, stack.record, stack.lock)
        except ProvisionError as error:
            raise RollbackFailedError(
                f"stack {stack.record.name} cannot be built again: {error.message}", hint=error.hint
            ) from error
    problem = find_problem(store, plan.target) if plan.broken else None
    if problem is not None:
        raise RollbackFailedError(
            f"generation {plan.target.number} is still not whole: {problem}", hint="provision generations"
        )


def _switch(ctx: Context, store: Store, plan: Return) -> Path | None:
    """Merge into config.yaml as it is now: building may have taken minutes in which it was edited."""
    before = store.load_config()
    text = read_config_text(store, before)
    switch = SwitchRecord(
        number=store.next_switch(), former=plan.former, generation=plan.target.number, at=ctx.timestamp()
    )
    store.switch(
        switch,
        config=merge_config(text, plan.target.config, where=str(store.config_path)).encode(),
        before=before,
        before_sha256=hash_bytes(before),
    )
    return store.find_backup(switch) if before is not None else None
