"""Frees what no kept generation needs: records, stacks, embedded weights, leftovers of runs that were killed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec import Struct

from provision.actions.candidate import find_snapshot, find_whole_former
from provision.actions.context import Context
from provision.actions.into_recover import find_cut_changes
from provision.actions.settle import settle
from provision.core.gc import FileEntry, ItemKind, choose_kept, choose_stacks, choose_weights, count_freed
from provision.errors import StateError
from provision.model.state import GenerationRecord, ModelRecord
from provision.system.built import load_built, remove_built
from provision.system.disk_usage import count_links, read_size_bytes, walk_status
from provision.system.into_store import find_vanished
from provision.system.leftovers import find_leftovers, remove_leftovers
from provision.system.stack_folder import remove_stack
from provision.system.store import Store, build_holder

KEPT = 3


class Item(Struct, frozen=True, kw_only=True):
    """One thing that goes: `name` is its path relative to the state folder, `number` that of a generation."""

    kind: ItemKind
    name: str
    number: int | None = None
    freed_bytes: int
    shared_bytes: int


class UnusedWeights(Struct, frozen=True, kw_only=True):
    """A revision in the Hub's cache that only generations which go have used. `command` would remove it."""

    model: str
    repo_id: str
    revision: str
    size_bytes: int
    command: str


class Garbage(Struct, frozen=True, kw_only=True):
    """What goes and what stays. `built` is how many stacks are kept because they were built for other machines."""

    kept: tuple[int, ...]
    items: tuple[Item, ...]
    hub: tuple[UnusedWeights, ...]
    built: int = 0

    @property
    def freed_bytes(self) -> int:
        """Bytes that come back."""
        return sum(item.freed_bytes for item in self.items)

    @property
    def shared_bytes(self) -> int:
        """Bytes of files that keep another name elsewhere, in uv's cache or in a stack that stays."""
        return sum(item.shared_bytes for item in self.items)


def collect(
    ctx: Context,
    *,
    keep: int = KEPT,
    everything: bool = False,
    dry_run: bool = False,
    approve: Callable[[Garbage], None],
) -> Garbage:
    """Remove what is not needed by the newest `keep` generations and the active one; gives what went.

    `everything` counts stacks of --build-only as not needed. `approve` is shown what goes, and raises to stop;
    it is not asked when nothing does, nor for a dry run. Raises StateError when the active generation cannot be
    read.
    """
    store = Store(ctx.root)
    if not store.state_dir.is_dir():
        return Garbage(kept=(), items=(), hub=())
    with store.locked(build_holder("provision gc", ctx.timestamp())):
        if not dry_run:
            settle(ctx, store)
        for change in find_cut_changes(store):
            ctx.reporter.warn(change.sentence)
        garbage = _find_garbage(ctx, store, keep=keep, everything=everything)
        if dry_run or not garbage.items:
            return garbage
        approve(garbage)
        if everything:
            remove_built(store.state_dir)
        for item in garbage.items:
            ctx.reporter.step(f"removing {item.name}")
            _remove(store, item)
    return garbage


def _find_garbage(ctx: Context, store: Store, *, keep: int, everything: bool) -> Garbage:
    records, damaged = _load_generations(ctx, store)
    kept = choose_kept(records, _load_active_number(store, damaged), keep)
    staying = [records[number] for number in kept]
    gone = [number for number in store.list_numbers() if number not in kept]
    built = (
        () if everything else tuple(stack.path for one in load_built(store.state_dir) for stack in one.stacks)
    )
    stacks = choose_stacks(_list_folders(store, store.stacks_dir), staying, built)
    weights = choose_weights((path.name for path in _list_paths(store.weights_dir)), staying)
    left = find_leftovers(store.state_dir, needed={stack.path for one in staying for stack in one.stacks})
    vanished = _list_vanished(ctx, store)
    inside = tuple(f"{name}/" for name in (*(f"generations/{number}" for number in gone), *vanished))
    rest = [name for name in left if name not in (*stacks, *built) and not name.startswith(inside)]
    named: list[tuple[ItemKind, str, int | None]] = [
        *((ItemKind.GENERATION, f"generations/{number}", number) for number in gone),
        *((ItemKind.STACK, path, None) for path in stacks),
        *((ItemKind.WEIGHTS, f"weights/{name}", None) for name in weights),
        *((ItemKind.LEFTOVER, name, None) for name in rest),
        *((ItemKind.SNAPSHOT, name, None) for name in vanished),
    ]
    freed = count_freed({name: _list_entries(store.state_dir / name) for _, name, _ in named})
    return Garbage(
        kept=kept,
        items=tuple(
            Item(
                kind=kind,
                name=name,
                number=number,
                freed_bytes=freed[name].freed_bytes,
                shared_bytes=freed[name].shared_bytes,
            )
            for kind, name, number in named
        ),
        hub=tuple(_find_unused([records[number] for number in gone if number in records], staying)),
        built=len(set(built) - {stack.path for one in staying for stack in one.stacks}),
    )


def _list_vanished(ctx: Context, store: Store) -> list[str]:
    """Snapshots of environments that are not there any more: nobody can put these back."""
    names = []
    for folder, prefix in find_vanished(store.state_dir):
        names.append(folder.relative_to(store.state_dir).as_posix())
        ctx.reporter.warn(f"{names[-1]} would put {prefix} back, which is not there any more")
    return names


def _load_generations(ctx: Context, store: Store) -> tuple[dict[int, GenerationRecord], set[int]]:
    """The generations that can be read, and the numbers of those that cannot: nobody can return to these."""
    records, damaged = {}, set()
    for number in store.list_numbers():
        try:
            records[number] = store.load_generation(number)
        except StateError as error:
            damaged.add(number)
            ctx.reporter.warn(f"generation {number} can be returned to no more: {error.message}")
    return records, damaged


def _load_active_number(store: Store, damaged: set[int]) -> int | None:
    """Raises StateError when what the active generation needs is not known: nothing is removed then."""
    hint = "provision rollback   # makes a whole generation active"
    if find_whole_former(store) is None:
        hint = "provision apply auto   # makes a new generation"
    try:
        active = store.load_active_number()
    except StateError as error:
        raise StateError(error.message, hint=hint) from error
    if active in damaged or (active is not None and active not in store.list_numbers()):
        raise StateError(f"generation {active} is active and cannot be read", hint=hint)
    return active


def _list_paths(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("[!.]*") if path.is_dir())


def _list_folders(store: Store, folder: Path) -> list[str]:
    return [path.relative_to(store.state_dir).as_posix() for path in _list_paths(folder)]


def _list_entries(path: Path) -> list[FileEntry]:
    return [
        FileEntry(status.st_dev, status.st_ino, count_links(status), read_size_bytes(status))
        for status in walk_status(path)
    ]


def _find_unused(
    gone: Iterable[GenerationRecord], staying: Iterable[GenerationRecord]
) -> Iterable[UnusedWeights]:
    """Of the Hub's cache nothing is removed: other applications may use it.

    Files that a revision shares with one that is still used do not count.
    """
    used = [model for record in staying for model in record.models]
    seen = {model.model_dir for model in used}
    counted = {file for model in used if find_snapshot(model) for file in _list_blobs(model)}
    for model in (model for record in gone for model in record.models):
        snapshot = find_snapshot(model)
        if snapshot is None or model.model_dir in seen or not Path(model.model_dir).is_dir():
            continue
        seen.add(model.model_dir)
        blobs = _list_blobs(model)
        yield UnusedWeights(
            model=model.key,
            repo_id=snapshot.repo_id,
            revision=snapshot.revision,
            size_bytes=sum(size for file, size in blobs.items() if file not in counted),
            command=f"hf cache rm {snapshot.revision}",
        )


def _list_blobs(model: ModelRecord) -> dict[Path, int]:
    """The files behind a snapshot's links, and the bytes that each occupies."""
    found = (path.resolve() for path in Path(model.model_dir).rglob("*") if path.is_file())
    return {path: read_size_bytes(path.stat()) for path in found}


def _remove(store: Store, item: Item) -> None:
    path = store.state_dir / item.name
    try:
        match item.kind:
            case ItemKind.GENERATION if item.number is not None:
                for switch in store.list_switches():
                    if switch.generation == item.number:
                        store.remove_switch(switch.number)
                store.remove_generation(item.number)
            case ItemKind.STACK:
                remove_stack(path)
            case ItemKind.WEIGHTS:
                # A folder of that name is complete or not there: see weights.py.
                partial = path.with_name(f".{path.name}.partial")
                remove_leftovers(store.state_dir, [partial.relative_to(store.state_dir).as_posix()])
                path.rename(partial)
                remove_leftovers(store.state_dir, [partial.relative_to(store.state_dir).as_posix()])
            case _:
                remove_leftovers(store.state_dir, [item.name])
    except OSError as error:
        raise StateError(
            f"{path} cannot be removed: {error.strerror or error}",
            hint="provision gc   # goes on where this stopped",
        ) from error
