"""The history of applies: what can be returned to, and when each was active."""

from __future__ import annotations

from msgspec import Struct

from provision.actions.candidate import inspect_generation
from provision.actions.context import Context
from provision.actions.into_recover import find_cut_changes
from provision.errors import StateError
from provision.system.store import Store


class GenerationRow(Struct, frozen=True, kw_only=True):
    """One generation as it is listed.

    `problem` is what it lacks on disk, None for a whole one; `restorable` whether `provision rollback` can bring
    that back. `activated` are the times at which it became active, as far as they are kept.
    """

    number: int
    active: bool
    profile: str
    created: str
    models: tuple[str, ...]
    whole: bool = True
    problem: str | None = None
    restorable: bool = True
    activated: tuple[str, ...] = ()


def list_generations(ctx: Context) -> tuple[GenerationRow, ...]:
    """Every generation that can be read, oldest first; a damaged one is told."""
    store = Store(ctx.root)
    rows = []
    active = _read_active_number(ctx, store)
    _tell_unfinished(ctx, store)
    if active is not None and active not in store.list_numbers():
        ctx.reporter.warn(
            f"generation {active} is active and its record is gone: provision apply auto makes a new one"
        )
    switches = store.list_switches()
    for number in store.list_numbers():
        try:
            record = store.load_generation(number)
            found = inspect_generation(store, record, can_build=True)
        except StateError as error:
            ctx.reporter.warn(error.message)
            continue
        problem = found.obstacle or next(
            (f"stack {stack.record.name}: {stack.problem}" for stack in found.broken), None
        )
        rows.append(
            GenerationRow(
                number=number,
                active=number == active,
                profile=record.profile,
                created=record.created,
                models=tuple(model.key for model in record.models),
                whole=problem is None,
                problem=problem,
                restorable=found.obstacle is None,
                activated=(
                    record.created,
                    *(switch.at for switch in switches if switch.generation == number),
                ),
            )
        )
    return tuple(rows)


def _tell_unfinished(ctx: Context, store: Store) -> None:
    for change in find_cut_changes(store):
        ctx.reporter.warn(change.sentence)
    try:
        pending = store.load_pending()
    except StateError as error:
        ctx.reporter.warn(error.message)
        return
    if pending is not None:
        ctx.reporter.warn(
            f"activating generation {pending.number} was cut short; the next apply or rollback settles it"
        )


def _read_active_number(ctx: Context, store: Store) -> int | None:
    try:
        return store.load_active_number()
    except StateError as error:
        ctx.reporter.warn(error.message)
        return None
