"""What of the state nobody needs any more, and how many bytes its removal really frees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

from provision.model.state import GenerationRecord


class ItemKind(StrEnum):
    """In the order in which they are removed, so that a kill leaves only what the next run removes."""

    GENERATION = "generation"
    STACK = "stack"
    WEIGHTS = "weights"
    LEFTOVER = "leftover"
    SNAPSHOT = "snapshot"


class FileEntry(Struct, frozen=True):
    """One name of a file: which file it is, how many names that has in all, and the bytes that it occupies."""

    device: int
    inode: int
    links: int
    size_bytes: int


class Freed(Struct, frozen=True, kw_only=True):
    """What removing a thing gives back, and what stays because other names of the same files stay."""

    freed_bytes: int = 0
    shared_bytes: int = 0


def choose_kept(readable: Iterable[int], active: int | None, keep: int) -> tuple[int, ...]:
    """The generations that stay: the newest `keep` of those that can be read, and the active one."""
    numbers = sorted(set(readable))
    return tuple(number for number in numbers if number == active or number in numbers[-keep:])


def choose_stacks(
    found: Iterable[str], kept: Iterable[GenerationRecord], built: Collection[str]
) -> tuple[str, ...]:
    """Those of the stacks `found` that neither a kept generation nor a build for another machine needs.

    All are paths relative to the state folder.
    """
    needed = {stack.path for record in kept for stack in record.stacks} | set(built)
    return tuple(sorted(path for path in found if path not in needed))


def choose_weights(found: Iterable[str], kept: Iterable[GenerationRecord]) -> tuple[str, ...]:
    """Those of the folders of embedded models that no kept generation needs, by their names.

    By names, not by whole paths: an application that was moved still needs its weights.
    """
    needed = {_name_folder(model.model_dir) for record in kept for model in record.models}
    return tuple(sorted(name for name in found if name not in needed))


def _name_folder(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def count_freed(things: Mapping[str, Sequence[FileEntry]]) -> dict[str, Freed]:
    """What removing all of `things` frees, by thing.

    A file is gone when every one of its names goes; it then counts for the first thing that has one. Of a file
    that keeps a name elsewhere, such as in uv's cache, nothing is freed.
    """
    names = Counter((entry.device, entry.inode) for entries in things.values() for entry in entries)
    seen: set[tuple[int, int]] = set()
    result = {}
    for thing, entries in things.items():
        freed_bytes, shared_bytes = 0, 0
        for entry in entries:
            file = (entry.device, entry.inode)
            if file in seen:
                continue
            seen.add(file)
            if names[file] >= entry.links:
                freed_bytes += entry.size_bytes
            else:
                shared_bytes += entry.size_bytes
        result[thing] = Freed(freed_bytes=freed_bytes, shared_bytes=shared_bytes)
    return result
