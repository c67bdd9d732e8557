"""What `doctor --deep` asks an environment's own interpreter to compute, and what came of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import Struct


class DeepOutcome(StrEnum):
    """ok: computed and right; wrong: computed, but not what it should be; unavailable: there is no such thing here.

    error: it raised; crashed: the process ended; timeout: it did not end in its time; skipped: not tried.
    """

    OK = "ok"
    WRONG = "wrong"
    UNAVAILABLE = "unavailable"
    ERROR = "error"
    CRASHED = "crashed"
    TIMEOUT = "timeout"
    SKIPPED = "skipped"


class DeepRequest(Struct, frozen=True, kw_only=True):
    """The checks to run, in order, each in at most `check_timeout_s`. `auto` takes the first GPU, else the CPU."""

    schema: Literal[1] = 1
    device: Literal["auto", "cuda", "cpu"] = "auto"
    check_timeout_s: float
    checks: tuple[str, ...]


class DeepResult(Struct, frozen=True, kw_only=True):
    """One check. `detail` is one sentence; `figures` what was measured, such as `relative_error`; time in seconds."""

    id: str
    outcome: DeepOutcome
    detail: str
    elapsed_s: float = 0.0
    figures: dict[str, float | str | list[str]] = {}


class DeepResponse(Struct, frozen=True, kw_only=True):
    """What the worker wrote. `running` is the check that it was at, None between checks and at the end.

    `done` is False when it ended early, for then the device was lost to its process.
    """

    schema: Literal[1]
    device: str | None = None
    results: tuple[DeepResult, ...] = ()
    running: str | None = None
    done: bool = False


class DeepAnswer(Struct, frozen=True, kw_only=True):
    """All results of one environment, in the order of the checks. `problem` is why there are none."""

    results: tuple[DeepResult, ...] = ()
    device: str | None = None
    problem: str | None = None
