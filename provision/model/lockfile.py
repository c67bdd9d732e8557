"""What `provision.lock` binds: the stacks' locks, the models' revisions and files, and what smoke is expected."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from provision.model.packages import StackLock
from provision.model.smoke import Verdict

SCHEMA = 1


class LockedFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of a model. `path` is relative to the model's folder, with slashes; `sha256` in hex."""

    path: str
    size_bytes: int
    sha256: str


class ExpectedSmoke(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the model read when the lock was written. `cer` is the worst page's character error rate, 0 to 1."""

    verdict: Verdict
    dtype: str | None = None
    attention: str | None = None
    cer: float | None = None


class LockedStack(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One stack. Its packages lie in `provision.lock.d/NAME.txt`, bound by `sha256`, see `StackLock`.

    `requirements` are what was asked of the resolver beside torch; `torch` and `torchvision` as locked, with
    their label; `tag` is what they are built for (`cu130`), `cuda` its CUDA version, None for other backends.
    """

    name: str
    models: tuple[str, ...]
    requirements: tuple[str, ...]
    torch: str
    torchvision: str | None = None
    tag: str
    cuda: str | None = None
    packages: int
    sha256: str


class LockedModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model: `repo_id` on the Hub at a 40-hex commit, or `embedded` with the hash of its folder.

    `files` is empty where the machine that wrote the lock did not have them. `remote_code` are the Python files
    that the model brings, which run only as they are listed here.
    """

    key: str
    stack: str
    repo_id: str | None = None
    embedded: str | None = None
    revision: str
    smoke: ExpectedSmoke | None = None
    files: tuple[LockedFile, ...] = ()
    remote_code: tuple[LockedFile, ...] = ()


class Lockfile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file `provision.lock`.

    `platform` as in profiles, `linux-x86_64`; `python` the minor version, `3.12`. `exclude_newer` is the time
    after which no upload was taken, None where it was not kept.
    """

    schema: int
    profile: str
    platform: str
    python: str
    exclude_newer: str | None = None
    stacks: tuple[LockedStack, ...]
    models: tuple[LockedModel, ...]


class LockDocument(Struct, frozen=True, kw_only=True):
    """`provision.lock` with the packages of each stack, by its name."""

    lockfile: Lockfile
    locks: dict[str, StackLock]


class LockWanted(Struct, frozen=True, kw_only=True):
    """What a stack has to be locked for. `torch` and `torchvision` are the build's, with or without a label.

    `tag` is the build's: "cpu" takes any, since a CUDA build runs on a CPU too. `bounded` is what an update asks
    for in place of `requirements`: a lock that was made for that serves as well.
    """

    requirements: tuple[str, ...]
    bounded: tuple[str, ...] = ()
    platform: str
    python: str
    torch: str
    torchvision: str | None
    torchvision_needed: bool
    tag: str


class NoLock(Struct, frozen=True, kw_only=True):
    """Why no lock is for what is wanted, in one sentence."""

    reason: str


class ChangeKind(StrEnum):
    """What happened to an entry of a lock."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class LockChange(Struct, frozen=True, kw_only=True):
    """One difference between two locks. `place` is `stack main`, `model dots_ocr` or `lock`.

    `before` is None for what is added, `after` for what is removed.
    """

    kind: ChangeKind
    place: str
    name: str
    before: str | None = None
    after: str | None = None
