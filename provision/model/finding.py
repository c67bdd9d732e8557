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
    """One check's answer: a stable id, what was seen, and the command that cures it, if any."""

    id: str
    severity: Severity
    evidence: str
    cure: str | None = None
