"""Brings the state folder and every environment of the user's to rest before anything else changes."""

from __future__ import annotations

from provision.actions.context import Context
from provision.actions.into_recover import recover_into
from provision.actions.recover import recover
from provision.system.store import Store


def settle(ctx: Context, store: Store) -> None:
    """Finish or undo what was cut short: a promotion, a switch, a change of an environment of the user's.

    The caller holds the lock. Raises RollbackFailedError when an environment could not be put back.
    """
    recover(ctx, store)
    recover_into(ctx, store)
