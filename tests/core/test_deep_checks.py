"""What the answers of an environment's own interpreter mean."""

from __future__ import annotations

import pytest

from provision.core.deep_checks import DEEP_CHECKS, judge_deep
from provision.model.deep import DeepAnswer, DeepOutcome, DeepResult
from provision.model.finding import Finding, Severity


@pytest.mark.parametrize(
    ("outcome", "severity", "evidence"),
    [
        (DeepOutcome.OK, Severity.PASS, "said (0.25 s)"),
        (DeepOutcome.WRONG, Severity.FAIL, "said (0.25 s)"),
        (DeepOutcome.UNAVAILABLE, Severity.SKIP, "not available: said (0.25 s)"),
        (DeepOutcome.ERROR, Severity.FAIL, "said (0.25 s)"),
        (DeepOutcome.CRASHED, Severity.FAIL, "crashed: said (0.25 s)"),
        (DeepOutcome.TIMEOUT, Severity.FAIL, "said (0.25 s)"),
        (DeepOutcome.SKIPPED, Severity.SKIP, "said"),
    ],
)
def test_each_outcome(outcome: DeepOutcome, severity: Severity, evidence: str) -> None:
    answer = DeepAnswer(
        results=(DeepResult(id="deep.cudnn", outcome=outcome, detail="said", elapsed_s=0.25),)
    )
    findings = {finding.id: finding for finding in judge_deep(answer)}
    assert findings["deep.cudnn"] == Finding(id="deep.cudnn", severity=severity, evidence=evidence)
    assert findings["deep.device"] == Finding(
        id="deep.device", severity=Severity.SKIP, evidence="not asked for"
    )
    assert list(findings) == list(DEEP_CHECKS)


def test_an_interpreter_that_cannot_be_started_fails_once() -> None:
    findings = judge_deep(DeepAnswer(problem="/env/bin/python cannot be started: No such file or directory"))
    assert [finding.severity for finding in findings] == [Severity.FAIL] + [Severity.SKIP] * 8
    assert {finding.evidence for finding in findings} == {
        "/env/bin/python cannot be started: No such file or directory"
    }


@pytest.mark.parametrize(
    ("architectures", "capability", "severity", "evidence"),
    [
        (["sm_80", "sm_90"], "9.0", Severity.PASS, "compute capability 9.0 runs torch's sm_90 (0.01 s)"),
        (
            ["sm_90", "compute_90"],
            "12.0",
            Severity.WARN,
            "compute capability 12.0 has compute_90 compiled by the driver at first use (0.01 s)",
        ),
        (["sm_90"], "12.0", Severity.WARN, "compute capability 12.0 is none of sm_90 (0.01 s)"),
    ],
)
def test_native_code_is_told_from_ptx(
    architectures: list[str], capability: str, severity: Severity, evidence: str
) -> None:
    result = DeepResult(
        id="deep.native-code",
        outcome=DeepOutcome.OK,
        detail="compiled for it",
        elapsed_s=0.01,
        figures={"architectures": architectures, "compute_capability": capability},
    )
    finding = judge_deep(DeepAnswer(results=(result,)))[2]
    assert finding == Finding(id="deep.native-code", severity=severity, evidence=evidence)
