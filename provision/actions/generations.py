"""The history of applies."""

from __future__ import annotations

from msgspec import Struct

from provision.actions.context import Context
from provision.system.store import Store


class GenerationRow(Struct, frozen=True, kw_only=True):
    """One generation as it is listed."""

    number: int
    active: bool
    profile: str
    created: str
    models: tuple[str, ...]


def list_generations(ctx: Context) -> tuple[GenerationRow, ...]:
    """Every generation, oldest first. Raises StateError when one is damaged."""
    store = Store(ctx.root)
    active = store.load_active_number()
    return tuple(
        GenerationRow(
            number=record.number,
            active=record.number == active,
            profile=record.profile,
            created=record.created,
            models=tuple(model.key for model in record.models),
        )
        for record in store.load_generations()
    )
