"""Known failures: how each shows in a log, what it means, what cures it and what does not."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import Struct

from provision.model.facts import Vendor


class Confidence(StrEnum):
    """high: the log says what only this cause makes; medium: usual for it; low: possible, look further."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Effect(StrEnum):
    """What a fact of the machine does to a cause."""

    EXCLUDE = "exclude"
    LOWER = "lower"
    RAISE = "raise"


class Situation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which machines are meant: all that is given must hold. What the machine does not tell holds for none.

    `system` is `Linux`, `Windows` or `Darwin`. `capability_least` and `capability_below` bound the compute
    capability, such as "8.0". `driver_below` is a driver's version. `package` is a requirement such as
    `transformers>=5`, held against the versions that the log names.
    """

    system: tuple[str, ...] = ()
    distribution: tuple[str, ...] = ()
    wsl: bool | None = None
    container: bool | None = None
    gpu: bool | None = None
    vendor: tuple[Vendor, ...] = ()
    arch: tuple[str, ...] = ()
    capability_least: str | None = None
    capability_below: str | None = None
    driver_below: str | None = None
    package: str | None = None


class Sign(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way in which a log shows a failure.

    Every fragment of `all` must occur, all within `within` lines of each other, and none of `none` there.
    A fragment is literal text, of which case and the amount of white space do not matter; one that begins
    with `re:` is a regular expression, in the same way. At least one of `all` is literal and has six
    characters or more, unless `repeats`: then the log must show lines of plain words that come again and
    again, near which the rest is looked for.
    """

    all: tuple[str, ...] = ()
    repeats: bool = False
    none: tuple[str, ...] = ()
    within: int = 40
    confidence: Confidence = Confidence.HIGH


class MachineRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a machine on which `when` holds does to the cause, and why that is so, in one sentence.

    What the log itself says of its machine counts in full. What only the facts of this machine say counts
    less against a sign of high confidence, which proves more than they do: the log may be of another machine.
    """

    when: Situation
    effect: Effect
    why: str


class Cure(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command, or one sentence where no command is enough, for the machines that `when` describes.

    `basis` says where it comes from, with the date, ISO: an address (`https://…`), `run here: …` where the command
    itself was run, with what was seen, or `checked here: …` where only what it stands on was looked at: help
    text, manual page, source or package list.
    """

    do: str
    note: str = ""
    when: Situation = Situation()
    basis: str
    date: str


class FolkCure(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is often advised and does not help, or harms, and why."""

    claim: str
    why: str


class FailureLog(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A log that must lead to this failure first, on any machine that it does not contradict."""

    text: str


class Failure(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One cause. `outranks` lists causes that show in the same log but follow from this one, or are vaguer.

    `outranks` only counts for a cause that is at least as sure as the other. One of severity `cosmetic`
    comes behind all others, as it breaks nothing.

    `evidence` grades what `cause` says: by a maintainer, by users who confirmed the cure, or inferred.
    """

    id: str
    stage: Literal["driver", "install", "import", "download", "load", "generate"]
    severity: Literal["blocker", "high", "medium", "low", "cosmetic"]
    title: str
    cause: str
    signs: tuple[Sign, ...]
    machine: tuple[MachineRule, ...] = ()
    outranks: tuple[str, ...] = ()
    cures: tuple[Cure, ...]
    not_this: tuple[FolkCure, ...] = ()
    logs: tuple[FailureLog, ...]
    sources: tuple[str, ...]
    evidence: Literal["maintainer", "user-confirmed", "inferred"]


class Failures(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file `profiles/failures.yaml`."""

    schema: Literal[1]
    failures: tuple[Failure, ...]


class LogLine(Struct, frozen=True, kw_only=True):
    """A line of a log: its number, from 1, and its text, cleaned and cut to 240 characters."""

    line: int
    text: str


class Cause(Struct, frozen=True, kw_only=True):
    """A failure that a log shows, with the lines that show it and what to do about it on this machine."""

    id: str
    title: str
    confidence: Confidence
    cause: str
    evidence: tuple[LogLine, ...]
    cure: tuple[str, ...]
    not_this: tuple[FolkCure, ...]
    machine: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
