"""What uv and pip-audit say, and what counts as not audited."""

from __future__ import annotations

import json

import pytest

from provision.core.audit import (
    AuditSubject,
    Verdict,
    build_packages,
    build_question,
    join_verdicts,
    needs_asking,
    parse_pip_audit,
    parse_uv_audit,
)
from provision.model.audit import AuditedPackage, AuditStatus, ServiceAnswer, Vulnerability
from tests.support.locks import make_lock

ASKED = {"idna": "3.7", "torch": "2.13.0"}
KNOWN = Vulnerability(
    id="PYSEC-2024-60",
    aliases=("CVE-2024-3651", "GHSA-jjg7-2v4v-x38h"),
    fixed_in=("3.7.1",),
    summary="A sentence",
    link="https://x.example/adv",
)
# As uv 0.13.9 printed it for an advisory that a server here gave.
UV = {
    "schema": {"version": "preview"},
    "summary": {"audited_packages": 2, "vulnerabilities": 1, "adverse_statuses": 0},
    "vulnerabilities": [
        {
            "dependency": {"name": "idna", "version": "3.7"},
            "id": "GHSA-jjg7-2v4v-x38h",
            "display_id": "PYSEC-2024-60",
            "aliases": ["CVE-2024-3651", "PYSEC-2024-60"],
            "summary": "A\nsentence",
            "description": "long",
            "link": "https://x.example/adv",
            "fix_versions": ["3.7.1"],
            "published": "2024-04-11T21:32:40Z",
            "modified": "2024-04-12T00:00:00Z",
        }
    ],
    "adverse_statuses": [],
}
# As pip-audit 2.10.1 printed it, with exit code 0 and "No known vulnerabilities found" for the second.
PIP = {
    "dependencies": [
        {
            "name": "idna",
            "version": "3.7",
            "vulns": [
                {
                    "id": "PYSEC-2024-60",
                    "fix_versions": ["3.7.1"],
                    "aliases": ["CVE-2024-3651", "GHSA-jjg7-2v4v-x38h"],
                    "description": "A sentence",
                }
            ],
        },
        {
            "name": "torch",
            "skip_reason": "Dependency not found on PyPI and could not be audited: torch (2.13.0)",
        },
    ],
    "fixes": [],
}


def answer(content: object) -> ServiceAnswer:
    return ServiceAnswer(service="OSV", text=json.dumps(content))


def test_uv_tells_of_what_is_known_and_by_silence_of_what_is_not() -> None:
    assert parse_uv_audit(answer(UV), ASKED) == {
        "idna": Verdict(vulnerabilities=(KNOWN,)),
        "torch": Verdict(),
    }


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (ServiceAnswer(service="OSV", reason="OSV: it is down"), "OSV: it is down"),
        (answer(UV | {"schema": {"version": "v2"}}), "uv answers in format 'v2', which is not known here"),
        (answer(UV | {"summary": {"audited_packages": 1}}), "uv audited 1 of 2 packages"),
        (answer({}), "the answer about OSV cannot be read: Object missing required field `schema`"),
        (ServiceAnswer(service="OSV", text="[" * 9000), None),
    ],
)
def test_an_answer_that_is_not_whole_audits_nothing(said: ServiceAnswer, reason: str | None) -> None:
    reasons = needs_asking(parse_uv_audit(said, ASKED))
    assert set(reasons) == set(ASKED)
    assert reason is None or set(reasons.values()) == {reason}


def test_what_pip_audit_skipped_was_not_audited() -> None:
    verdicts = parse_pip_audit(answer(PIP), ASKED | {"numpy": "2.4.6"})
    assert [known.id for known in verdicts["idna"].vulnerabilities] == ["PYSEC-2024-60"]
    assert needs_asking(verdicts) == {
        "torch": "PyPI does not know it",
        "numpy": "pip-audit does not mention it",
    }


def test_a_second_service_fills_what_the_first_left_open() -> None:
    first = {"a": Verdict(), "b": Verdict(reason="OSV: down"), "c": Verdict(reason="OSV: down")}
    second = {"b": Verdict(vulnerabilities=(KNOWN,)), "c": Verdict(reason="PyPI: down")}
    assert join_verdicts(first, second) == {
        "a": Verdict(),
        "b": Verdict(vulnerabilities=(KNOWN,)),
        "c": Verdict(reason="OSV: down; PyPI: down"),
    }


def test_packages_are_told_once_with_the_stacks_and_models_that_need_them() -> None:
    main = AuditSubject(name="main", models=("a", "b"), lock=make_lock(idna="3.7", torch="2.13.0+cpu"))
    other = AuditSubject(name="other", models=("c",), lock=make_lock(idna="3.7", numpy="2.4.6"))
    assert build_question(main.lock) == {"idna": "3.7", "torch": "2.13.0"}
    found = build_packages(
        [main, other],
        {
            "main": {"idna": Verdict(reason="down"), "torch": Verdict()},
            "other": {"idna": Verdict(vulnerabilities=(KNOWN,))},
        },
    )
    assert found == (
        AuditedPackage(
            name="idna",
            version="3.7",
            stacks=("main", "other"),
            models=("a", "b", "c"),
            status=AuditStatus.VULNERABLE,
            vulnerabilities=(KNOWN,),
        ),
        AuditedPackage(
            name="numpy",
            version="2.4.6",
            stacks=("other",),
            models=("c",),
            status=AuditStatus.NOT_AUDITED,
            reason="it was not asked about",
        ),
        AuditedPackage(
            name="torch",
            version="2.13.0+cpu",
            stacks=("main",),
            models=("a", "b"),
            status=AuditStatus.CLEAN,
        ),
    )
