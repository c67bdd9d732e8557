"""What is known against the locked packages, and what could not be asked."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class AuditStatus(StrEnum):
    """What came of asking for one package. `not audited` is no answer, and never counts as health."""

    CLEAN = "nothing known"
    VULNERABLE = "vulnerable"
    NOT_AUDITED = "not audited"


class Vulnerability(Struct, frozen=True, kw_only=True):
    """One advisory. `fixed_in` lists versions, oldest first, that are free of it; empty where none is."""

    id: str
    aliases: tuple[str, ...] = ()
    fixed_in: tuple[str, ...] = ()
    summary: str = ""
    link: str | None = None


class AuditedPackage(Struct, frozen=True, kw_only=True):
    """One version of one package. `stacks` hold it and `models` run in them; `reason` says why it was not asked."""

    name: str
    version: str
    stacks: tuple[str, ...]
    models: tuple[str, ...]
    status: AuditStatus
    vulnerabilities: tuple[Vulnerability, ...] = ()
    reason: str | None = None


class Audit(Struct, frozen=True, kw_only=True):
    """An audit of all stacks. `subject` is `generation 3` or `provision.lock`; `services` those that answered."""

    subject: str
    services: tuple[str, ...]
    packages: tuple[AuditedPackage, ...]

    def select(self, status: AuditStatus) -> tuple[AuditedPackage, ...]:
        """The packages of that status."""
        return tuple(package for package in self.packages if package.status is status)


class ServiceAnswer(Struct, frozen=True, kw_only=True):
    """What a program that asks a service of advisories said: JSON, or why there is none."""

    service: str
    text: str | None = None
    reason: str | None = None
