"""What the state folder holds: complete stacks, and the generations that use them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePath

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
    """A stack as a generation refers to it. `path` is relative to the state folder.

    An absolute one is of an environment of the user's, which `apply --into` changed: it is never built or removed.
    """

    name: str
    path: str
    lock_sha256: str
    models: tuple[str, ...]

    @property
    def is_users(self) -> bool:
        """Whether it is an environment of the user's."""
        return PurePath(self.path).is_absolute()


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


class MachineRecord(Struct, frozen=True, kw_only=True):
    """The machine that a generation was verified on. `gpus` gives (name, compute capability) of each."""

    platform: str
    python: str
    driver: str | None
    gpus: tuple[tuple[str, str | None], ...]


class GenerationRecord(Struct, frozen=True, kw_only=True):
    """One result of an apply. `fingerprint` is of everything that decided it: equal means nothing to do.

    `machine` is None in generations that were made before it was recorded.
    """

    schema: int = 1
    number: int
    created: str
    profile: str
    fingerprint: str
    stacks: tuple[StackRecord, ...]
    models: tuple[ModelRecord, ...]
    smoke: tuple[SmokeResult, ...]
    config: ConfigPatch
    machine: MachineRecord | None = None

    @property
    def asked_models(self) -> tuple[str, ...]:
        """Every model that the generation was asked for, those that failed their smoke too."""
        excluded = self.config.section.excluded
        named = [*(one.key for one in self.models), *(one.model for one in self.smoke), *excluded]
        return tuple(dict.fromkeys(named))


class PendingKind(StrEnum):
    """promote: a new generation becomes the active one; switch: one that stands there already does."""

    PROMOTE = "promote"
    SWITCH = "switch"


class Pending(Struct, frozen=True, kw_only=True):
    """A change of the active generation that has begun.

    `number` is the generation that becomes active, `config_sha256_before` the SHA-256 of config.yaml before
    (None: absent), `switch` the number of the switch's own folder. Earlier releases wrote neither kind nor switch.
    """

    number: int
    config_sha256_before: str | None
    kind: PendingKind = PendingKind.PROMOTE
    switch: int | None = None


class SwitchRecord(Struct, frozen=True, kw_only=True):
    """A return to a generation that stood there already. `former` is what was active before, if that was known."""

    schema: int = 1
    number: int
    former: int | None
    generation: int
    at: str


class BuiltRecord(Struct, frozen=True, kw_only=True):
    """Stacks that were built for another machine: no generation here uses them."""

    profile: str
    created: str
    stacks: tuple[StackRecord, ...]


class Holder(Struct, frozen=True, kw_only=True):
    """Who holds the lock of the state folder."""

    pid: int
    command: str
    since: str
