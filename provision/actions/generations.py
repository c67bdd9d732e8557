"""The history of applies."""

from __future__ import annotations

from msgspec import Struct

from provision.actions.context import Context
from provision.errors import StateError
from provision.system.store import Store


class GenerationRow(Struct, frozen=True, kw_only=True):
    """One generation as it is listed."""

    number: int
    active: bool
    profile: str
    created: str
    models: tuple[str, ...]


def list_generations(ctx: Context) -> tuple[GenerationRow, ...]:
    """Every generation that can be read, oldest first; a damaged one is told."""
    store = Store(ctx.root)
    rows = []
    active = _read_active_number(ctx, store)
    for number in store.list_numbers():
        try:
            record = store.load_generation(number)
        except StateError as error:
            ctx.reporter.warn(error.message)
            continue
        rows.append(
            GenerationRow(
                number=number,
                active=number == active,
                profile=record.profile,
                created=record.created,
                models=tuple(model.key for model in record.models),
            )
        )
    return tuple(rows)


def _read_active_number(ctx: Context, store: Store) -> int | None:
    try:
        return store.load_active_number()
    except StateError as error:
        ctx.reporter.warn(error.message)
        return None
