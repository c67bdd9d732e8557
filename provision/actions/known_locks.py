"""Locks that were made before: the application's own provision.lock, and those that ship."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from provision.actions.context import Context
from provision.core.lock_choice import find_lock
from provision.core.lockfile import parse_lock_document
from provision.core.shipped_locks import ShippedLock, choose_shipped_lock, parse_shipped_lock
from provision.model.lockfile import LockDocument, LockWanted, NoLock
from provision.model.packages import StackLock
from provision.system.files import hash_bytes
from provision.system.lockfile import LOCKFILE_NAME, load_lock_texts
from provision.system.resources import load_text


def load_lock_document(root: Path) -> LockDocument | None:
    """`provision.lock` of the application at `root`, None without one. Raises BadFileError."""
    texts = load_lock_texts(root)
    return None if texts is None else parse_lock_document(*texts, where=str(root / LOCKFILE_NAME))


def hash_lock(root: Path) -> str | None:
    """SHA-256 over `provision.lock` and its stacks' files; None without one."""
    texts = load_lock_texts(root)
    return None if texts is None else hash_bytes(repr(texts).encode())


def load_shipped_locks(data_dir: Path) -> tuple[ShippedLock, ...]:
    """Every lock that ships, by file name. Raises BadFileError."""
    paths = sorted((data_dir / "profiles" / "locks").glob("*.txt"))
    return tuple(parse_shipped_lock(load_text(path), where=str(path)) for path in paths)


class KnownLocks(Struct, frozen=True, kw_only=True):
    """What is locked already: what the user committed goes before what ships."""

    document: LockDocument | None
    shipped: tuple[ShippedLock, ...]

    def find(self, ctx: Context, wanted: LockWanted) -> StackLock | None:
        """The lock for `wanted`; None when it has to be resolved, which is said of a provision.lock."""
        if self.document is not None:
            found = find_lock(self.document, wanted)
            if isinstance(found, StackLock):
                ctx.reporter.detail("the packages are those of provision.lock")
                return found
            ctx.reporter.warn(f"provision.lock is not used: {found.reason}")
        chosen = choose_shipped_lock(self.shipped, wanted)
        if isinstance(chosen, NoLock):
            return None
        ctx.reporter.detail(f"the packages are those of a lock that ships, of {chosen.exclude_newer[:10]}")
        return chosen.lock


def load_known_locks(ctx: Context, *, shipped: bool = True) -> KnownLocks:
    """All locks that a resolution may take. Raises BadFileError when one cannot be read."""
    return KnownLocks(
        document=load_lock_document(ctx.root), shipped=load_shipped_locks(ctx.data_dir) if shipped else ()
    )
