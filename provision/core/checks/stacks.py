"""The checks of environments, one finding for each stack and for the environment named with --into."""

from __future__ import annotations

from provision.core.checks.check import Check, Checkup, Needs
from provision.core.checks.results import Result, skipped
from provision.core.environment_checks import ENVIRONMENT_CHECKS, EnvironmentCheck


def build_check(check: EnvironmentCheck) -> Check:
    """`check` over every environment of the checkup."""

    def run(checkup: Checkup) -> Result | tuple[Result, ...]:
        environments = checkup.environments
        if not environments:
            return skipped("no generation is active, and no environment was named with --into")
        return tuple(
            Result(
                severity=finding.severity,
                evidence=finding.evidence,
                cure=finding.cure,
                subject=environment.subject,
            )
            for environment in environments
            for finding in (check.run(environment.report, checkup.facts, checkup.known_pairs),)
        )

    question = check.question[:1].upper() + check.question[1:]
    return Check(id=check.id, question=question, run=run, needs=Needs.HERE)


CHECKS = tuple(build_check(check) for check in ENVIRONMENT_CHECKS)
