"""Finishes or undoes a change of the active generation that was cut short, before anything else touches the state."""

from __future__ import annotations

from provision.actions.context import Context
from provision.actions.situation import read_config_text
from provision.core.config_doc import merge_config
from provision.errors import StateError
from provision.model.state import Pending, PendingKind
from provision.system.files import hash_bytes, remove_staged
from provision.system.store import Store


def recover(ctx: Context, store: Store) -> None:
    """Bring the state to a whole generation. The caller holds the lock.

    The pointer had moved: config.yaml is put in place. It had not: what was written for the change goes. A
    config.yaml that somebody edited in between keeps the edit, our keys are merged into it. A record of the
    change that is damaged is set aside: the pointer alone then decides.
    """
    remove_staged(store.config_path)
    try:
        pending = store.load_pending()
    except StateError as error:
        store.set_pending_aside()
        ctx.reporter.warn(f"{error.message}; it is set aside, and the active generation stays")
        return
    if pending is None:
        return
    if not _is_committed(store, pending):
        store.undo_promotion(pending)
        ctx.reporter.warn(f"{_describe(pending, 'before')}; it was undone")
        return
    store.finish_promotion(_choose_config(store, pending))
    ctx.reporter.warn(f"{_describe(pending, 'while activating')}; it was finished")


def _is_committed(store: Store, pending: Pending) -> bool:
    try:
        return store.load_active_number() == pending.number
    except StateError:
        return False


def _choose_config(store: Store, pending: Pending) -> bytes:
    """What the change wrote, or, where the file was edited or what was written is lost, our keys merged into it."""
    found = store.load_config()
    try:
        written = store.load_pending_config(pending)
    except StateError:
        written = None
    if written is not None and (found is None or hash_bytes(found) == pending.config_sha256_before):
        return written
    if found is not None and found == written:
        return found
    patch = store.load_generation(pending.number).config
    return merge_config(read_config_text(store, found), patch, where=str(store.config_path)).encode()


def _describe(pending: Pending, when: str) -> str:
    if pending.kind is PendingKind.SWITCH:
        return f"an earlier rollback was cut short {when} generation {pending.number}"
    return f"an earlier apply was cut short {when} generation {pending.number}"
