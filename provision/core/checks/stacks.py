"""The checks of environments, one finding for each stack and for the environment named with --into."""

from __future__ import annotations

from msgspec.structs import replace

from provision.core.checks.check import Check, Checkup, Needs
from provision.core.checks.results import Result, skipped
from provision.core.cures import build_own_cure
from provision.core.deep_checks import DEEP_CHECKS
from provision.core.environment_checks import ENVIRONMENT_CHECKS, EnvironmentCheck
from provision.core.environment_cures import REBUILD
from provision.model.checkup import InspectedEnvironment
from provision.model.finding import Finding

_NONE = "no generation is active, and no environment was named with --into"
_UNREADABLE = "which generation is active cannot be read: state.whole"
# What building a stack again from the same lock mends; the others want another choice of packages.
_MENDED_BY_BUILDING = frozenset(
    {
        "stack.interpreter",
        "stack.interrupted-install",
        "stack.files",
        "stack.duplicates",
        "stack.requirements",
    }
)


def build_check(check: EnvironmentCheck) -> Check:
    """`check` over every environment of the checkup."""

    def run(checkup: Checkup) -> Result | tuple[Result, ...]:
        found = tuple(_run_on(check, item, checkup) for item in checkup.environments)
        return found or skipped(_say_none(checkup))

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
        return found or skipped(_say_none(checkup))

    return Check(id=name, question=_capitalise(question), run=run, needs=Needs.DEEP)


def _say_none(checkup: Checkup) -> str:
    return _NONE if checkup.state.problem is None else _UNREADABLE


def _run_on(check: EnvironmentCheck, item: InspectedEnvironment, checkup: Checkup) -> Result:
    """A stack is never mended by hand: it is built again, by this tool."""
    finding = check.run(item.report, checkup.facts, checkup.known_pairs, checkup.place.shell)
    if item.report.managed and finding.cure == REBUILD:
        words = ("doctor", "--fix") if check.id in _MENDED_BY_BUILDING else ("apply", "auto")
        finding = replace(finding, cure=build_own_cure(checkup.place, *words))
    return _build_result(finding, item.subject)


def _build_result(finding: Finding, subject: str) -> Result:
    return Result(severity=finding.severity, evidence=finding.evidence, cure=finding.cure, subject=subject)


def _capitalise(question: str) -> str:
    return question[:1].upper() + question[1:]


CHECKS = (
    *(build_check(check) for check in ENVIRONMENT_CHECKS),
    *(build_deep_check(name, question) for name, question in DEEP_CHECKS.items()),
)
