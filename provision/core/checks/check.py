"""What a check is, what it may look at, and how all of them are run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from provision.core.checks.results import Result
from provision.errors import ProvisionError, UsageError
from provision.model.checkup import (
    ComputedEnvironment,
    ConfigView,
    InspectedEnvironment,
    Place,
    PythonView,
    Scope,
    Space,
    StackState,
    StateView,
)
from provision.model.environment import KnownPairs, LibraryFolder
from provision.model.facts import Facts
from provision.model.finding import BrokenCheck, Examination, Finding, Severity
from provision.model.network import NetworkView
from provision.model.profile import ProfileFit, TorchBuild
from provision.model.smoke import SmokeResult


class Checkup(Protocol):
    """What checks look at. Each property is found out when it is first asked for, and not before.

    `profile` is the one that an apply would take, `build` its torch; `obstacle` says why there is none.
    `computed` is what each environment's own torch computed, which takes its time.
    `weights_problems` and `weights_altered` are sentences, by sizes and by hashes.
    """

    @property
    def scope(self) -> Scope: ...
    @property
    def facts(self) -> Facts: ...
    @property
    def place(self) -> Place: ...
    @property
    def env(self) -> Mapping[str, str]: ...
    @property
    def fits(self) -> tuple[ProfileFit, ...]: ...
    @property
    def profile(self) -> str | None: ...
    @property
    def obstacle(self) -> str | None: ...
    @property
    def build(self) -> TorchBuild | None: ...
    @property
    def python(self) -> PythonView: ...
    @property
    def uv(self) -> tuple[str | None, str | None]: ...
    @property
    def spaces(self) -> tuple[Space, ...]: ...
    @property
    def shared_memory_bytes(self) -> int | None: ...
    @property
    def memory_limit_bytes(self) -> int | None: ...
    @property
    def state(self) -> StateView: ...
    @property
    def stacks(self) -> tuple[StackState, ...]: ...
    @property
    def weights_problems(self) -> tuple[str, ...]: ...
    @property
    def weights_altered(self) -> tuple[str, ...]: ...
    @property
    def config(self) -> ConfigView: ...
    @property
    def smoke(self) -> tuple[SmokeResult, ...]: ...
    @property
    def network(self) -> NetworkView: ...
    @property
    def environments(self) -> tuple[InspectedEnvironment, ...]: ...
    @property
    def computed(self) -> tuple[ComputedEnvironment, ...]: ...
    @property
    def known_pairs(self) -> KnownPairs: ...
    @property
    def library_folders(self) -> tuple[LibraryFolder, ...]: ...


class Needs(StrEnum):
    """What a check needs to say anything: only facts, this very machine, or leave to take its time."""

    FACTS = "facts"
    HERE = "here"
    NETWORK = "network"
    DEEP = "deep"


class Check(Struct, frozen=True, kw_only=True):
    """One check: a stable id, the one question that it answers, and the function that answers it."""

    id: str
    question: str
    run: Callable[[Checkup], Result | tuple[Result, ...]]
    needs: Needs = Needs.FACTS

    @property
    def group(self) -> str:
        """The part of the id before the first dot."""
        return self.id.partition(".")[0]


def run_checks(checks: Iterable[Check], checkup: Checkup) -> Examination:
    """Every check's findings. One that raises is a broken check, named as such, and the others go on.

    An error of the user's (a profile that cannot be read) is theirs to hear: UsageError passes through.
    """
    findings: list[Finding] = []
    broken: list[BrokenCheck] = []
    for check in checks:
        try:
            findings.extend(_run_check(check, checkup))
        except UsageError:
            raise
        except ProvisionError as error:
            findings.append(
                Finding(id=check.id, severity=Severity.FAIL, evidence=error.message, cure=error.hint)
            )
        except Exception as error:
            # Whatever it is, it is a bug of this one check.
            said = _describe(error)
            broken.append(BrokenCheck(id=check.id, error=said))
            findings.append(
                Finding(id=check.id, severity=Severity.SKIP, evidence=f"this check broke: {said}")
            )
    return Examination(findings=tuple(findings), broken=tuple(broken))


def _run_check(check: Check, checkup: Checkup) -> list[Finding]:
    reason = _find_reason_to_skip(check.needs, checkup.scope)
    if reason is not None:
        return [Finding(id=check.id, severity=Severity.SKIP, evidence=reason)]
    results = check.run(checkup)
    return [
        Finding(
            id=check.id,
            severity=result.severity,
            evidence=result.evidence,
            cure=result.cure,
            subject=result.subject,
        )
        for result in ([results] if isinstance(results, Result) else results)
    ]


def _find_reason_to_skip(needs: Needs, scope: Scope) -> str | None:
    if needs is Needs.FACTS:
        return None
    if scope.elsewhere:
        return "about another machine"
    if needs is Needs.NETWORK and not scope.network:
        return "asked with --network only"
    if needs is Needs.DEEP and not scope.deep:
        return "asked with --deep only"
    return None


def _describe(error: Exception) -> str:
    line = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {line}" if line else type(error).__name__
