"""The checks of environments, one finding for each stack and for the environment named with --into."""

from __future__ import annotations

from provision.core.checks.check import Check, Checkup, Needs
from provision.core.checks.results import Result, skipped
from provision.core.deep_checks import DEEP_CHECKS
from provision.core.environment_checks import ENVIRONMENT_CHECKS, EnvironmentCheck
from provision.model.finding import Finding

_NONE = "no generation is active, and no environment was named with --into"


def build_check(check: EnvironmentCheck) -> Check:
    """`check` over every environment of the checkup."""

    def run(checkup: Checkup) -> Result | tuple[Result, ...]:
        found = tuple(
            _build_result(check.run(item.report, checkup.facts, checkup.known_pairs), item.subject)
            for item in checkup.environments
        )
        return found or skipped(_NONE)

    return Check(id=check.id, question=_capitalise(check.question), run=run, needs=Needs.HERE)


def build_deep_check(name: str, question: str) -> Check:
    """The check called `name` among those that each environment's own torch computed."""

    def run(checkup: Checkup) -> Result | tuple[Result, ...]:
        found = tuple(
            _build_result(finding, item.subject)
            for item in checkup.computed
            for finding in item.findings
            if finding.id == name
        )
        return found or skipped(_NONE)

    return Check(id=name, question=_capitalise(question), run=run, needs=Needs.DEEP)


def _build_result(finding: Finding, subject: str) -> Result:
    return Result(severity=finding.severity, evidence=finding.evidence, cure=finding.cure, subject=subject)


def _capitalise(question: str) -> str:
    return question[:1].upper() + question[1:]


CHECKS = (
    *(build_check(check) for check in ENVIRONMENT_CHECKS),
    *(build_deep_check(name, question) for name, question in DEEP_CHECKS.items()),
)
