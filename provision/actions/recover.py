"""Finishes or undoes a promotion that was cut short, before anything else touches the state."""

from __future__ import annotations

import hashlib

from provision.actions.context import Context
from provision.actions.situation import read_config_text
from provision.core.config_doc import merge_config
from provision.system.store import Store


def recover(ctx: Context, store: Store) -> None:
    """Bring the state to a whole generation. The caller holds the lock.

    The pointer had moved: config.yaml is put in place. It had not: the half-written generation goes. A
    config.yaml that somebody edited in between keeps the edit, our keys are merged into it.
    """
    pending = store.load_pending()
    if pending is None:
        return
    if store.load_active_number() != pending.number:
        store.undo_promotion(pending)
        ctx.reporter.warn(f"an earlier apply was cut short before generation {pending.number}; it was undone")
        return
    config = store.load_written_config(pending.number)
    found = store.load_config()
    if found is not None and found != config and hash_bytes(found) != pending.config_sha256_before:
        patch = store.load_generation(pending.number).config
        config = merge_config(read_config_text(store, found), patch, where=str(store.config_path)).encode()
    store.finish_promotion(config)
    ctx.reporter.warn(
        f"an earlier apply was cut short while activating generation {pending.number}; it was finished"
    )


def hash_bytes(data: bytes | None) -> str | None:
    """SHA-256 in hex, None for no data."""
    return None if data is None else hashlib.sha256(data).hexdigest()
