"""Puts a user's environment back: after a change that failed, one that was cut short, or one to be undone."""

from __future__ import annotations

import tempfile
from pathlib import Path

from provision.actions.context import Context
from provision.actions.recover import recover
from provision.actions.resolve import build_uv, load_package_settings
from provision.core.locks import parse_pins
from provision.errors import RollbackFailedError, StateError
from provision.model.into import FinishedChange, Journal, Snapshot
from provision.system.environment_change import end_orphans, find_prefix, list_freeze, signals_held
from provision.system.environment_layout import find_kind, inspect_interpreter, list_site_dirs
from provision.system.environment_restore import restore_snapshot
from provision.system.environment_snapshot import list_states, load_snapshot
from provision.system.installed import load_distributions
from provision.system.into_store import IntoStore, list_journals
from provision.system.resources import find_worker
from provision.system.store import Store, build_holder

# The name of a user's environment among a generation's stacks.
STACK = "into"


def recover_into(ctx: Context, store: Store) -> tuple[Path, ...]:
    """Put back every environment whose change was cut short; gives these. The caller has called `recover`.

    A change whose generation is active already had been verified: it stands. Raises RollbackFailedError.
    """
    restored = []
    for into, journal in list_journals(store.state_dir):
        finished = journal.finished
        if finished is not None and _load_active_number(store) == finished.generation:
            into.finish(finished)
            ctx.reporter.warn(
                f"an earlier change of {journal.prefix} was cut short at its end; it was finished"
            )
        elif not Path(journal.prefix).is_dir():
            into.finish(None)
            ctx.reporter.warn(f"an earlier change of {journal.prefix} was cut short, and it is gone since")
        else:
            restore(ctx, into, journal)
            restored.append(Path(journal.prefix))
            ctx.reporter.warn(f"an earlier change of {journal.prefix} was cut short; it is as it was before")
    return tuple(restored)


def _load_active_number(store: Store) -> int | None:
    try:
        return store.load_active_number()
    except StateError:
        return None


def restore(ctx: Context, into: IntoStore, journal: Journal) -> None:
    """Make the environment exactly what it was. May be repeated.

    Raises RollbackFailedError when something is not what it was; the snapshot then stays.
    """
    prefix, folder = Path(journal.prefix), into.folder / journal.snapshot
    with signals_held():
        end_leftovers(ctx, into, prefix)
        snapshot = load_snapshot(folder)
        problems = (
            [f"{folder} cannot be read"] if snapshot is None else restore_snapshot(prefix, folder, snapshot)
        )
        if problems or snapshot is None:
            more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
            raise RollbackFailedError(
                f"{prefix} could not be put back: {problems[0]}{more}. The snapshot is {folder}",
                hint=f"provision apply auto --into {prefix} --undo   # tries again",
            )
        into.finish(None)
    if (found := load_freeze(ctx, prefix)) != snapshot.freeze:
        others = sorted(set(found) ^ set(snapshot.freeze))
        ctx.reporter.warn(f"{prefix} was also changed by somebody else: {', '.join(others)}")


def end_leftovers(ctx: Context, into: IntoStore, prefix: Path) -> None:
    """End the programs of an earlier run that was killed: they would go on writing into the environment."""
    python = Path(inspect_interpreter(prefix, find_kind(prefix)).path)
    end_orphans(str(into.folder), python=python, scripts_dir=find_worker(ctx.data_dir).parent)


def undo_into(ctx: Context, environment: Path) -> FinishedChange | None:
    """Take the last change of the environment back; gives what it was, None where it had not been finished.

    Raises StateError when there is none, or when the environment is not as that change left it.
    """
    store = Store(ctx.root)
    with store.locked(build_holder(f"provision apply --into {environment} --undo", ctx.timestamp())):
        recover(ctx, store)
        restored = recover_into(ctx, store)
        prefix = find_prefix(environment)
        if prefix in restored:
            return None
        into = IntoStore(store.state_dir, prefix)
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
        into.forget_finished()
        into.finish(None)
    return finished


def _check_untouched(ctx: Context, into: IntoStore, finished: FinishedChange) -> None:
    prefix, folder = Path(finished.prefix), into.folder / finished.snapshot
    snapshot = load_snapshot(folder)
    if snapshot is None:
        raise StateError(f"the snapshot {folder} cannot be read", hint=f"ls {folder}")
    differing = _list_differing(prefix, snapshot, finished)
    others = sorted(set(load_freeze(ctx, prefix)) ^ set(finished.freeze))
    if differing or others:
        what = ", ".join([*others, *differing][:3])
        raise StateError(
            f"{prefix} was changed since {finished.created}, so that change cannot be taken back: {what}",
            hint=f"provision doctor --into {prefix}",
        )


def check_environment_stack(store: Store, generation: int, prefix: Path) -> str | None:
    """Why an environment that a generation names is not what was verified; None when it is.

    What the last change wrote is compared by size and time, no hashes; where nothing had to be changed, or a change
    was taken back, the packages are compared with the lock.
    """
    into = IntoStore(store.state_dir, prefix)
    finished = into.load_finished()
    snapshot = load_snapshot(into.folder / finished.snapshot) if finished else None
    if finished is not None and snapshot is not None:
        differing = _list_differing(prefix, snapshot, finished)
        if differing:
            return f"{differing[0]} is not as it was left"
    pins = parse_pins(store.load_lock(generation, STACK) or "")
    versions = {
        found.distribution.name: found.distribution.version
        for site in reversed(list_site_dirs(prefix))
        for found in load_distributions(site, check_files=False, verify=False)
    }
    missing = (name for name, version in pins.items() if versions.get(name) != version)
    name = next(missing, None)
    return None if name is None else f"{name} {pins[name]} is not installed"


def _list_differing(prefix: Path, snapshot: Snapshot, finished: FinishedChange) -> list[str]:
    found = list_states(prefix, snapshot)
    return sorted(path for path in found | finished.after if found.get(path) != finished.after.get(path))


def load_freeze(ctx: Context, prefix: Path) -> tuple[str, ...]:
    """What is installed, as `uv pip freeze` lists it. Raises ToolError."""
    python = Path(inspect_interpreter(prefix, find_kind(prefix)).path)
    with tempfile.TemporaryDirectory(prefix="provision-into-") as work:
        return list_freeze(build_uv(ctx, load_package_settings(ctx), Path(work)), python)
