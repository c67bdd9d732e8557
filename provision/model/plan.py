"""What an apply would do, shown before anything changes."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from provision.model.packages import SourceAttempt, StackLock


class StepKind(StrEnum):
    """The kinds of step, in the order in which they run."""

    BUILD = "build-stack"
    REUSE = "reuse-stack"
    WEIGHTS = "weights"
    VERIFY = "import-check"
    SMOKE = "smoke"
    CONFIG = "write-config"
    ACTIVATE = "activate"


class Step(Struct, frozen=True, kw_only=True):
    """One step. `download_bytes` is at most what will be fetched, None where it is not known."""

    kind: StepKind
    title: str
    detail: str = ""
    download_bytes: int | None = None


class PackageChange(Struct, frozen=True, kw_only=True):
    """One package of a stack against the active generation: None before is added, None after removed."""

    name: str
    before: str | None
    after: str | None


class SpaceNeed(Struct, frozen=True, kw_only=True):
    """One file system that will be written to: at most `needed_bytes` of its `free_bytes`."""

    purpose: str
    path: str
    needed_bytes: int
    free_bytes: int


class MemoryNeed(Struct, frozen=True, kw_only=True):
    """What a model's weights take on its device, in bytes; `free_bytes` is None where nothing tells it."""

    model: str
    device: str
    needed_bytes: int
    free_bytes: int | None


class PlannedStack(Struct, frozen=True, kw_only=True):
    """A stack of a plan: `path` is its folder, `complete` whether it stands there already.

    `requirements` are what was asked for beside torch, `changes` those against the active generation;
    `flash_attn` says what becomes of that, and why.
    """

    name: str
    models: tuple[str, ...]
    lock: StackLock
    path: str
    tag: str
    torch: str
    torchvision: str | None
    attempts: tuple[SourceAttempt, ...]
    complete: bool
    requirements: tuple[str, ...] = ()
    flash_attn: str = ""
    changes: tuple[PackageChange, ...] = ()


class Plan(Struct, frozen=True, kw_only=True):
    """Everything that an apply will do.

    `separations` say, a sentence each, why not all models share one stack; `files` are those of the user's
    that change; `basis` is what the plan rests on, by a word for people: it is stale when one of them changed.
    """

    profile: str
    models: tuple[str, ...]
    fingerprint: str
    stacks: tuple[PlannedStack, ...]
    steps: tuple[Step, ...]
    generation: int
    warnings: tuple[str, ...] = ()
    separations: tuple[str, ...] = ()
    spaces: tuple[SpaceNeed, ...] = ()
    memory: tuple[MemoryNeed, ...] = ()
    files: tuple[str, ...] = ()
    basis: dict[str, str] = {}


class PlanFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan as `plan --out` writes it, for `apply --plan`. It holds no address and no password."""

    schema: int
    created: str
    plan: Plan
