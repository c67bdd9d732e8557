"""What the state folder holds: complete stacks, and the generations that use them."""

from __future__ import annotations

from msgspec import Struct

from provision.model.config import ConfigPatch
from provision.model.smoke import SmokeResult


class InstalledPackage(Struct, frozen=True, kw_only=True):
    """One distribution in a stack. `record_sha256` is of its RECORD, which lists a hash for every file."""

    name: str
    version: str
    record_sha256: str


class StackManifest(Struct, frozen=True, kw_only=True):
    """Written last into a stack's folder: a stack without it is not complete.

    `files` and `installed_bytes` count what the RECORDs list, as found on disk.
    """

    schema: int = 1
    name: str
    lock_sha256: str
    python: str
    torch: str
    torchvision: str | None
    tag: str
    torch_source: str
    packages: tuple[InstalledPackage, ...]
    files: int
    installed_bytes: int
    created: str


class StackRecord(Struct, frozen=True, kw_only=True):
    """A stack as a generation refers to it. `path` is relative to the state folder."""

    name: str
    path: str
    lock_sha256: str
    models: tuple[str, ...]


class ModelRecord(Struct, frozen=True, kw_only=True):
    """A model as a generation configured it. `revision` is a Hub commit or the hash of an embedded folder.

    `files` gives the bytes of each file in `model_dir` when the model was verified.
    """

    key: str
    stack: str
    model_dir: str
    revision: str
    attention: str
    dtype: str
    files: dict[str, int]


class GenerationRecord(Struct, frozen=True, kw_only=True):
    """One result of an apply. `fingerprint` is of everything that decided it: equal means nothing to do."""

    schema: int = 1
    number: int
    created: str
    profile: str
    fingerprint: str
    stacks: tuple[StackRecord, ...]
    models: tuple[ModelRecord, ...]
    smoke: tuple[SmokeResult, ...]
    config: ConfigPatch


class Pending(Struct, frozen=True, kw_only=True):
    """A promotion that has begun: its generation, and the SHA-256 of config.yaml before (None: absent)."""

    number: int
    config_sha256_before: str | None


class Holder(Struct, frozen=True, kw_only=True):
    """Who holds the lock of the state folder."""

    pid: int
    command: str
    since: str
