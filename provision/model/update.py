"""What an update finds, what a trial of it came to, and what is remembered of trials."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from provision.model.finding import Finding
from provision.model.plan import PackageChange
from provision.model.smoke import Verdict


class Available(Struct, frozen=True, kw_only=True):
    """A package of a stack that is newer inside the bounds; `active` is None where the stack does not have it yet."""

    stack: str
    name: str
    active: str | None
    new: str


class Outside(Struct, frozen=True, kw_only=True):
    """A version newer than what an update would take. `reason` is one sentence that says what keeps it out."""

    name: str
    active: str
    latest: str
    reason: str


class StackNews(Struct, frozen=True, kw_only=True):
    """A stack as the update would make it. One that is `kept` is the active generation's, lock and folder.

    `former` is the active stack that it is compared with, None where the models were elsewhere.
    """

    name: str
    models: tuple[str, ...]
    former: str | None
    lock_sha256: str
    path: str
    kept: bool
    changes: tuple[PackageChange, ...]


class Standing(StrEnum):
    """How a model reads in the trial against the active generation."""

    SAME = "same"
    BETTER = "better"
    WORSE = "worse"
    NEW = "new"


class Comparison(Struct, frozen=True, kw_only=True):
    """One model before and in the trial. Figures of a model that was not read before are None."""

    model: str
    stack: str
    standing: Standing
    reason: str
    verdict_before: Verdict | None
    verdict: Verdict
    cer_before: float | None
    cer: float | None
    tokens_per_s_before: float | None
    tokens_per_s: float | None


class TrialVerdict(StrEnum):
    """What became of a trial."""

    PROMOTED = "promoted"
    DISCARDED = "discarded"


class TrialRecord(Struct, frozen=True, kw_only=True):
    """What was tried, kept so that the same is not tried again.

    `locks` gives the SHA-256 of each stack's lock by name. `fingerprint` is the generation's: a trial says nothing
    about another machine, profile or set of models. `packages` are the changes, for people.
    """

    date: str
    fingerprint: str
    locks: dict[str, str]
    verdict: TrialVerdict
    reason: str
    packages: tuple[str, ...] = ()


class Trial(Struct, frozen=True, kw_only=True):
    """What a trial found: why it is discarded (empty when it is not), the deep checks, each model's comparison."""

    reason: str
    findings: tuple[Finding, ...] = ()
    models: tuple[Comparison, ...] = ()

    @property
    def verdict(self) -> TrialVerdict:
        """Whether what was tried may become active."""
        return TrialVerdict.DISCARDED if self.reason else TrialVerdict.PROMOTED
