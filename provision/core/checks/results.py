"""What a check function gives; the registry adds the check's id."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from provision.model.finding import Severity


class Result(Struct, frozen=True, kw_only=True):
    """A finding without its id."""

    severity: Severity
    evidence: str
    cure: str | None = None
    subject: str | None = None


def passed(evidence: str) -> Result:
    """It is as it should be."""
    return Result(severity=Severity.PASS, evidence=evidence)


def warned(evidence: str, cure: str | None = None) -> Result:
    """It works, and somebody should know."""
    return Result(severity=Severity.WARN, evidence=evidence, cure=cure)


def failed(evidence: str, cure: str | None = None) -> Result:
    """It does not work."""
    return Result(severity=Severity.FAIL, evidence=evidence, cure=cure)


def skipped(reason: str) -> Result:
    """It was not looked at, for this reason."""
    return Result(severity=Severity.SKIP, evidence=reason)


def join_sentences(sentences: Iterable[str]) -> str:
    """Sentences as one line of evidence, without the last full stop."""
    return " ".join(sentence.strip() for sentence in sentences).rstrip(".")
