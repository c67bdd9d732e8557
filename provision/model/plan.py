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
    SMOKE = "smoke"
    CONFIG = "write-config"
    ACTIVATE = "activate"


class Step(Struct, frozen=True, kw_only=True):
    """One step. `download_bytes` is at most what will be fetched, None where it is not known."""

    kind: StepKind
    title: str
    detail: str = ""
    download_bytes: int | None = None


class PlannedStack(Struct, frozen=True, kw_only=True):
    """A stack of a plan: `path` is its folder, `complete` whether it stands there already."""

    name: str
    models: tuple[str, ...]
    lock: StackLock
    path: str
    tag: str
    torch: str
    torchvision: str | None
    attempts: tuple[SourceAttempt, ...]
    complete: bool


class Plan(Struct, frozen=True, kw_only=True):
    """Everything that an apply will do."""

    profile: str
    models: tuple[str, ...]
    fingerprint: str
    stacks: tuple[PlannedStack, ...]
    steps: tuple[Step, ...]
    generation: int
    warnings: tuple[str, ...] = ()
