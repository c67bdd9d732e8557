"""`apply --into ENV --undo`: the last change of an environment is taken back."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from provision.actions.candidate import inspect_generation
from provision.actions.context import Context
from provision.actions.into_recover import list_differing, load_freeze, recover_into, restore
from provision.actions.recover import recover
from provision.errors import StateError
from provision.model.into import FinishedChange, Journal
from provision.system.environment_change import find_prefix
from provision.system.environment_snapshot import load_snapshot
from provision.system.into_store import IntoStore
from provision.system.store import Store, build_holder


class Undone(Struct, frozen=True, kw_only=True):
    """What was taken back: `finished` is None where the change had been cut short.

    `named_by` is the number of the active generation where that one still names the environment; `former` of one
    before it that may be returned to.
    """

    finished: FinishedChange | None
    named_by: int | None = None
    former: int | None = None


def undo_into(ctx: Context, environment: Path) -> Undone:
    """Take the last change of the environment back.

    Raises StateError when there is none, or when the environment is not as that change left it.
    """
    store = Store(ctx.root)
    with store.locked(build_holder(f"provision apply --into {environment} --undo", ctx.timestamp())):
        recover(ctx, store)
        restored = recover_into(ctx, store)
        prefix = find_prefix(environment)
        if prefix.resolve() in (path.resolve() for path in restored):
            return Undone(finished=None)
        into = IntoStore(store.state_dir, prefix)
        if into.release():
            ctx.reporter.warn(
                f"{prefix} was marked as being changed, and nothing tells of it; the mark is gone"
            )
        finished = into.load_finished()
        if finished is None:
            raise StateError(
                f"no change of {prefix} is there to be undone", hint=f"provision apply auto --into {prefix}"
            )
        _check_untouched(ctx, into, finished)
        ctx.reporter.step(f"putting {prefix} back")
        journal = Journal(prefix=str(prefix), snapshot=finished.snapshot)
        into.begin(journal)
        restore(ctx, into, journal)
        named_by, former = _find_generations(store, prefix)
    return Undone(finished=finished, named_by=named_by, former=former)


def _check_untouched(ctx: Context, into: IntoStore, finished: FinishedChange) -> None:
    prefix, folder = Path(finished.prefix), into.folder / finished.snapshot
    snapshot = load_snapshot(folder)
    if snapshot is None:
        raise StateError(f"the snapshot {folder} cannot be read", hint=f"ls {folder}")
    differing = list_differing(prefix, snapshot, finished)
    others = sorted(set(load_freeze(ctx, prefix)) ^ set(finished.freeze))
    if differing or others:
        what = ", ".join([*others, *differing][:3])
        raise StateError(
            f"{prefix} was changed since {finished.created}, so that change cannot be taken back: {what}",
            hint=f"provision doctor --into {prefix}",
        )


def _find_generations(store: Store, prefix: Path) -> tuple[int | None, int | None]:
    """The active generation where it names the environment, and the newest before it that `rollback` returns to."""
    try:
        active = store.load_active()
    except StateError:
        return None, None
    users = [Path(stack.path).resolve() for stack in active.stacks if stack.is_users] if active else []
    if active is None or prefix.resolve() not in users:
        return None, None
    for number in reversed(store.list_numbers()):
        try:
            record = store.load_generation(number)
        except StateError:
            continue
        if number < active.number and inspect_generation(store, record, can_build=True).obstacle is None:
            return active.number, number
    return active.number, None
