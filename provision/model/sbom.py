"""What a bill of materials lists: packages of stacks, models and their files."""

from __future__ import annotations

from msgspec import Struct

from provision.model.lockfile import LockedFile
from provision.model.packages import StackLock


class PackageMetadata(Struct, frozen=True, kw_only=True):
    """What an installed distribution says of itself.

    `licence` is its SPDX expression, or what it says in its own words; `requires` the names of what it needs
    in its environment, without extras.
    """

    name: str
    licence: str | None
    requires: tuple[str, ...]


class BilledStack(Struct, frozen=True, kw_only=True):
    """One stack. `installed` is by package name, empty where the stack is not built here."""

    name: str
    models: tuple[str, ...]
    lock: StackLock
    installed: dict[str, PackageMetadata]


class BilledModel(Struct, frozen=True, kw_only=True):
    """One model. `repo_id` is on the Hub, None for one that ships with the tool; `files` may not be known."""

    key: str
    stack: str
    repo_id: str | None
    revision: str
    licence: str | None
    files: tuple[LockedFile, ...]


class Bill(Struct, frozen=True, kw_only=True):
    """All of it. `subject` is `generation 3` or `provision.lock`; `created` its time, None for a lock."""

    subject: str
    profile: str
    created: str | None
    stacks: tuple[BilledStack, ...]
    models: tuple[BilledModel, ...]
