"""Puts a user's environment back: after a change that failed, one that was cut short, or one to be undone."""

from __future__ import annotations

import tempfile
from pathlib import Path

from msgspec.structs import replace

from provision.actions.context import Context
from provision.actions.uv_setup import build_uv, load_package_settings
from provision.core.into import is_same
from provision.core.locks import parse_pins
from provision.errors import RollbackFailedError, StateError
from provision.model.into import CutChange, CutKind, FinishedChange, Journal, Snapshot
from provision.system.environment_change import (
    end_orphans,
    list_freeze,
    load_torch_version,
    signals_held,
)
from provision.system.environment_layout import find_kind, inspect_interpreter, list_site_dirs
from provision.system.environment_restore import restore_snapshot
from provision.system.environment_snapshot import list_states, load_snapshot
from provision.system.installed import load_distributions
from provision.system.into_store import IntoStore, list_damaged, list_unfinished, set_aside
from provision.system.resources import find_worker
from provision.system.store import Store
from provision.system.torch_files import load_build

# The name of a user's environment among a generation's stacks.
STACK = "into"


def recover_into(ctx: Context, store: Store) -> tuple[Path, ...]:
    """Put back every environment whose change was cut short; gives these. The caller has called `recover`.

    A change whose generation is active already had been verified: it stands. Raises RollbackFailedError, and
    StateError where a record is damaged and nothing tells what it was of.
    """
    found = list_unfinished(store.state_dir)
    for one in found:
        if one.journal is None:
            raise StateError(
                CutChange(kind=CutKind.LOST, place=str(one.path)).sentence,
                hint=f"rm {one.path}   # and with it the way back to what the environment was",
            )
    for path in list_damaged(store.state_dir):
        set_aside(path)
        ctx.reporter.warn(f"{CutChange(kind=CutKind.RECORD, place=str(path)).sentence}; it is set aside")
    restored = []
    for one in found:
        if one.problem is not None:
            ctx.reporter.warn(f"{one.problem}; the snapshot beside it tells what to put back")
        if one.journal is not None and _settle(ctx, store, one.journal):
            restored.append(Path(one.journal.prefix))
    return tuple(restored)


def _settle(ctx: Context, store: Store, journal: Journal) -> bool:
    """Finish or undo one change; whether its environment was put back."""
    prefix, kind = Path(journal.prefix), _judge(store, journal)
    into = IntoStore(store.state_dir, prefix)
    if kind is CutKind.VERIFIED:
        into.finish(journal.finished)
        ctx.reporter.warn(f"an earlier change of {prefix} was cut short at its end; it was finished")
    elif not prefix.is_dir():
        into.finish(None)
        ctx.reporter.warn(f"an earlier change of {prefix} was cut short, and it is gone since")
    elif kind is CutKind.STAGING:
        end_leftovers(ctx, into, prefix)
        into.finish(None)
        ctx.reporter.warn(f"an earlier change of {prefix} was cut short before anything of it was touched")
    else:
        # Our mark may have been taken away, and another application work there since.
        into.check_owner()
        restore(ctx, into, journal)
        ctx.reporter.warn(f"an earlier change of {prefix} was cut short; it is as it was before")
        return True
    return False


def _judge(store: Store, journal: Journal) -> CutKind:
    finished = journal.finished
    if finished is not None and _load_active_number(store) == finished.generation:
        return CutKind.VERIFIED
    return CutKind.STAGING if journal.staging else CutKind.CHANGING


def find_cut_changes(store: Store) -> tuple[CutChange, ...]:
    """Changes of environments that are under way or were cut short, and damaged records. Changes nothing."""
    found = [
        CutChange(kind=CutKind.LOST, place=str(one.path))
        if one.journal is None
        else CutChange(kind=_judge(store, one.journal), place=one.journal.prefix)
        for one in list_unfinished(store.state_dir)
    ]
    found += [CutChange(kind=CutKind.RECORD, place=str(path)) for path in list_damaged(store.state_dir)]
    return tuple(found)


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
        finished = into.load_finished()
        if finished is not None and finished.snapshot == journal.snapshot:
            into.forget_finished()
        into.finish(None)
    if (found := load_freeze(ctx, prefix)) != snapshot.freeze:
        others = sorted(set(found) ^ set(snapshot.freeze))
        ctx.reporter.warn(f"{prefix} was also changed by somebody else: {', '.join(others)}")


def end_leftovers(ctx: Context, into: IntoStore, prefix: Path) -> None:
    """End the programs of an earlier run that was killed: they would go on writing into the environment."""
    python = Path(inspect_interpreter(prefix, find_kind(prefix)).path)
    end_orphans(str(into.folder), python=python, scripts_dir=find_worker(ctx.data_dir).parent)


def check_environment_stack(store: Store, generation: int, prefix: Path) -> str | None:
    """Why an environment that a generation names is not what was verified; None when it is.

    What the last change wrote is compared by size and time, no hashes; where nothing had to be changed, or a change
    was taken back, the packages are compared with the lock.
    """
    into = IntoStore(store.state_dir, prefix)
    finished = into.load_finished()
    snapshot = load_snapshot(into.folder / finished.snapshot) if finished else None
    if finished is not None and snapshot is not None:
        differing = list_differing(prefix, snapshot, finished)
        if differing:
            return f"{differing[0]} is not as it was left"
    sites = list_site_dirs(prefix)
    found = {
        one.distribution.name: replace(one.distribution, build=load_build(one.distribution, ()))
        for site in reversed(sites)
        for one in load_distributions(site, check_files=False, verify=False)
    }
    if "torch" in found and (torch := load_torch_version(sites)):
        found["torch"] = replace(found["torch"], build={"version": torch})
    tag = _find_tag(store, generation)
    for name, version in parse_pins(store.load_lock(generation, STACK) or "").items():
        if name not in found or not is_same(found[name], version, tag):
            return f"{name} {version} is not installed"
    return None


def _find_tag(store: Store, generation: int) -> str:
    """What the torch that was verified is built for, such as cu130: a lock of the default index does not say."""
    torch = next((result.torch for result in store.load_generation(generation).smoke), None)
    return (torch or "").partition("+")[2]


def list_differing(prefix: Path, snapshot: Snapshot, finished: FinishedChange) -> list[str]:
    """The files that are not as a change left them, relative to the prefix."""
    found = list_states(prefix, snapshot)
    return sorted(path for path in found | finished.after if found.get(path) != finished.after.get(path))


def load_freeze(ctx: Context, prefix: Path) -> tuple[str, ...]:
    """What is installed, as `uv pip freeze` lists it. Raises ToolError."""
    python = Path(inspect_interpreter(prefix, find_kind(prefix)).path)
    with tempfile.TemporaryDirectory(prefix="provision-into-") as work:
        return list_freeze(build_uv(ctx, load_package_settings(ctx), Path(work)), python)
