"""What a doctor check says."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Severity(StrEnum):
    """pass, warn, fail, or skip with the reason in the evidence."""

    PASS = "pass"  # noqa: S105 - a severity, not a password
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


class Finding(Struct, frozen=True, kw_only=True):
    """One check's answer: a stable id, what was seen, and the command that cures it, if any.

    `subject` is what was looked at where a check looks at several, such as `stack main`.
    """

    id: str
    severity: Severity
    evidence: str
    cure: str | None = None
    subject: str | None = None

    @property
    def group(self) -> str:
        """The part of the id before the first dot."""
        return self.id.partition(".")[0]


class BrokenCheck(Struct, frozen=True, kw_only=True):
    """A check that raised instead of answering: a bug of ours. `error` is the exception in one line."""

    id: str
    error: str


class Examination(Struct, frozen=True, kw_only=True):
    """Every finding of one run, in the order of the registry, and the checks that broke."""

    findings: tuple[Finding, ...]
    broken: tuple[BrokenCheck, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether a finding says that something is wrong."""
        return any(finding.severity is Severity.FAIL for finding in self.findings)
