"""Every check is reported, one that breaks is named, and reasons to skip are told."""

from __future__ import annotations

import pytest

from provision.core.checks import CHECKS, Check, Needs, run_checks
from provision.core.checks.results import passed
from provision.errors import BadFileError, ToolError
from provision.model.checkup import Scope
from provision.model.finding import BrokenCheck, Finding, Severity
from tests.support.checkups import FakeCheckup


def fail_with(error: Exception):
    def run(_checkup):
        raise error

    return run


def test_ids_are_unique_in_groups_and_questions_end_so() -> None:
    assert [check.id for check in CHECKS.values()] == list(CHECKS)
    for check in CHECKS.values():
        group, _, rest = check.id.partition(".")
        assert group == check.group
        assert rest
        assert check.question.endswith("?"), check.id
        assert check.question[0].isupper(), check.id


def test_a_group_stands_together() -> None:
    groups = [check.group for check in CHECKS.values()]
    assert [group for index, group in enumerate(groups) if groups[:index][-1:] != [group]] == list(
        dict.fromkeys(groups)
    )


def test_every_check_is_reported_on_a_bare_machine() -> None:
    examination = run_checks(CHECKS.values(), FakeCheckup())
    assert [finding.id for finding in examination.findings] == list(CHECKS)
    assert examination.broken == ()
    assert all(finding.evidence for finding in examination.findings)


def test_a_check_that_raises_is_named_and_the_others_go_on() -> None:
    checks = [
        Check(id="a.broken", question="?", run=fail_with(TypeError("no such thing\nat line 3"))),
        Check(id="a.silent", question="?", run=fail_with(RuntimeError())),
        Check(id="a.well", question="?", run=lambda _checkup: passed("well")),
    ]
    examination = run_checks(checks, FakeCheckup())
    assert examination.findings == (
        Finding(id="a.broken", severity=Severity.SKIP, evidence="this check broke: TypeError: no such thing"),
        Finding(id="a.silent", severity=Severity.SKIP, evidence="this check broke: RuntimeError"),
        Finding(id="a.well", severity=Severity.PASS, evidence="well"),
    )
    assert examination.broken == (
        BrokenCheck(id="a.broken", error="TypeError: no such thing"),
        BrokenCheck(id="a.silent", error="RuntimeError"),
    )
    assert not examination.failed


def test_what_cannot_be_looked_at_fails_with_its_hint() -> None:
    check = Check(id="a.b", question="?", run=fail_with(ToolError("uv is gone", hint="./install.sh")))
    examination = run_checks([check], FakeCheckup())
    assert examination.findings == (
        Finding(id="a.b", severity=Severity.FAIL, evidence="uv is gone", cure="./install.sh"),
    )
    assert examination.failed


def test_a_bad_file_of_the_users_is_theirs_to_hear() -> None:
    check = Check(id="a.b", question="?", run=fail_with(BadFileError("ada.yaml: torch: unknown")))
    with pytest.raises(BadFileError, match=r"^ada\.yaml: torch: unknown$"):
        run_checks([check], FakeCheckup())


@pytest.mark.parametrize(
    ("needs", "scope", "evidence"),
    [
        (Needs.FACTS, Scope(elsewhere=True), "looked"),
        (Needs.HERE, Scope(), "looked"),
        (Needs.HERE, Scope(elsewhere=True), "about another machine"),
        (Needs.NETWORK, Scope(), "asked with --network only"),
        (Needs.NETWORK, Scope(network=True), "looked"),
        (Needs.NETWORK, Scope(network=True, elsewhere=True), "about another machine"),
        (Needs.DEEP, Scope(), "asked with --deep only"),
        (Needs.DEEP, Scope(deep=True), "looked"),
    ],
)
def test_the_reason_to_skip_is_told(needs: Needs, scope: Scope, evidence: str) -> None:
    check = Check(id="a.b", question="?", run=lambda _checkup: passed("looked"), needs=needs)
    [finding] = run_checks([check], FakeCheckup(scope=scope)).findings
    assert finding.evidence == evidence
    assert finding.severity is (Severity.PASS if evidence == "looked" else Severity.SKIP)
