"""The checks of `doctor --deep`, and what an environment's answers to them mean."""

from __future__ import annotations

from provision.core.architecture_check import choose_code
from provision.core.compiled_code import Runs
from provision.model.deep import DeepAnswer, DeepOutcome, DeepResult
from provision.model.finding import Finding, Severity

# In the order in which they run: what a later one needs, an earlier one shows.
DEEP_CHECKS: dict[str, str] = {
    "deep.import": "can torch be imported?",
    "deep.device": "is the device there, and do bytes come back from it as they went?",
    "deep.native-code": "has torch compiled code for this device?",
    "deep.matmul-bf16": "does a bf16 product of matrices agree with float64?",
    "deep.cudnn": "do cuDNN's convolutions agree with float64?",
    "deep.sdpa-flash": "does flash attention agree with float64?",
    "deep.sdpa-efficient": "does memory-efficient attention agree with float64?",
    "deep.sdpa-cudnn": "does cuDNN's attention agree with float64?",
    "deep.sdpa-math": "does attention by plain operators agree with float64?",
}
_SEVERITIES = {
    DeepOutcome.OK: Severity.PASS,
    DeepOutcome.WRONG: Severity.FAIL,
    DeepOutcome.UNAVAILABLE: Severity.SKIP,
    DeepOutcome.ERROR: Severity.FAIL,
    DeepOutcome.CRASHED: Severity.FAIL,
    DeepOutcome.TIMEOUT: Severity.FAIL,
    DeepOutcome.SKIPPED: Severity.SKIP,
}


def judge_deep(answer: DeepAnswer) -> tuple[Finding, ...]:
    """One finding for each of DEEP_CHECKS, in their order, with its time in seconds in the evidence."""
    results = {result.id: result for result in answer.results}
    return tuple(_judge(name, results.get(name), answer.problem) for name in DEEP_CHECKS)


def _judge(name: str, result: DeepResult | None, problem: str | None) -> Finding:
    if result is None:
        # The reason why nothing ran is told once, as a failure, and stands beside the rest.
        severity = Severity.FAIL if problem and name == "deep.import" else Severity.SKIP
        return Finding(id=name, severity=severity, evidence=problem or "not asked for")
    severity = _SEVERITIES[result.outcome]
    detail = result.detail
    if name == "deep.native-code" and result.outcome is DeepOutcome.OK:
        severity, detail = _judge_code(result)
    words = {DeepOutcome.UNAVAILABLE: "not available: ", DeepOutcome.CRASHED: "crashed: "}
    took = "" if result.outcome is DeepOutcome.SKIPPED else f" ({result.elapsed_s:.2f} s)"
    return Finding(id=name, severity=severity, evidence=f"{words.get(result.outcome, '')}{detail}{took}")


def _judge_code(result: DeepResult) -> tuple[Severity, str]:
    architectures, capability = result.figures.get("architectures"), result.figures.get("compute_capability")
    if not isinstance(architectures, list) or not isinstance(capability, str):
        return Severity.SKIP, "torch does not say what it was compiled for"
    kind, name = choose_code(tuple(architectures), capability)
    match kind:
        case Runs.NATIVE:
            return Severity.PASS, f"compute capability {capability} runs torch's {name}"
        case Runs.COMPILED:
            return (
                Severity.WARN,
                f"compute capability {capability} has {name} compiled by the driver at first use",
            )
        case Runs.NOT:
            # It has just computed, so something was there that the list does not name.
            return Severity.WARN, f"compute capability {capability} is none of {' '.join(architectures)}"
