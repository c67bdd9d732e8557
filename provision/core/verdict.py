"""How a reading is scored against the page, and when a model passes."""

from __future__ import annotations

from collections.abc import Sequence

from provision.core.page_text import PageText
from provision.model.smoke import JobOutcome, JobResult, NumericFault, PageReading, Score, Verdict

# A reading with more wrong letters than this is not the page: chance agreement is far above it.
DEGRADED_CER = 0.15


def score_reading(page: PageText, reading: PageReading) -> Score:
    """Compare what was read with what the page says."""
    text = reading.text.strip()
    return Score(
        name=page.name,
        cer=measure_cer(page.text, text),
        keywords_found=sum(keyword in text for keyword in page.keywords),
        keywords_total=len(page.keywords),
        nonce_found=page.nonce in text,
        repetition=measure_repetition(text),
        text=text,
        expected=page.text,
        nonce=page.nonce,
    )


def measure_cer(expected: str, text: str) -> float:
    """Character error rate: Levenshtein distance over the length of `expected`, 0 when equal, can pass 1."""
    if not expected:
        return float(len(text) > 0)
    previous = list(range(len(text) + 1))
    for row, left in enumerate(expected, start=1):
        current = [row]
        for column, right in enumerate(text, start=1):
            substitution = previous[column - 1] + (left != right)
            current.append(min(previous[column] + 1, current[-1] + 1, substitution))
        previous = current
    return previous[-1] / len(expected)


def measure_repetition(text: str) -> float:
    """Share of the text, 0 to 1, that is one run of a character or short phrase over and over.

    Looks at periods of 1 to 20 characters. A text of fewer than eight characters has none.
    """
    if len(text) < 8:
        return 0.0
    longest = 0
    for period in range(1, 21):
        run = 0
        for position in range(period, len(text)):
            run = run + 1 if text[position] == text[position - period] else 0
            if run >= max(3 * period, 7):
                longest = max(longest, run + period)
    return min(1.0, longest / len(text))


def judge_job(result: JobResult, scores: Sequence[Score], *, time_limit_s: float) -> tuple[Verdict, str]:
    """The verdict on one model and the reason, in one sentence."""
    if result.outcome is not JobOutcome.RAN:
        return Verdict.FAIL, _explain_outcome(result, time_limit_s)
    if result.numeric_fault is not None:
        return Verdict.FAIL, explain_numeric_fault(result.numeric_fault)
    lost = result.loading.missing_keys or result.loading.mismatched_keys
    if lost:
        return Verdict.FAIL, f"{len(lost)} weights were not loaded from the files, the first is {lost[0]}"
    if not scores:
        return Verdict.FAIL, "no page was read"
    return _judge_scores(scores)


def _judge_scores(scores: Sequence[Score]) -> tuple[Verdict, str]:
    worst = max(scores, key=lambda score: score.cer)
    if all(score.cer == 0 for score in scores):
        return Verdict.PASS, "read every character, the nonce among them"
    if not all(score.nonce_found for score in scores):
        missed = next(score for score in scores if not score.nonce_found)
        return Verdict.FAIL, f"did not read the nonce {missed.nonce}; {_describe_text(missed)}"
    if worst.cer <= DEGRADED_CER and all(score.keywords_found == score.keywords_total for score in scores):
        return Verdict.DEGRADED, f"character error rate {worst.cer:.1%}, all keywords and the nonce found"
    found = f"{worst.keywords_found} of {worst.keywords_total} keywords"
    return Verdict.FAIL, f"character error rate {worst.cer:.1%}, {found}; {_describe_text(worst)}"


def _describe_text(score: Score) -> str:
    if not score.text:
        return "the text is empty"
    if score.repetition > 0.5:
        return f"{score.repetition:.0%} of the text repeats itself: {score.text[:24]!r}"
    return f"the text begins {score.text[:24]!r}"


def explain_numeric_fault(fault: NumericFault) -> str:
    """One sentence that names the first module with a non-finite output and, if known, the bad weight."""
    share = f"{fault.nonfinite_share:.0%} of its {fault.dtype} output"
    sentence = (
        f"the first module whose output is not finite is {fault.module} ({fault.module_class}): {share}"
    )
    if fault.parameters:
        worst = fault.parameters[0]
        return (
            f"{sentence}; the weight {worst.name} holds {worst.nonfinite} NaN or inf of {worst.values} values"
        )
    if fault.previous_module is not None and fault.previous_max_abs is not None:
        return f"{sentence}; {fault.previous_module} before it gave at most {fault.previous_max_abs:.4g}"
    return sentence


def _explain_outcome(result: JobResult, time_limit_s: float) -> str:
    match result.outcome:
        case JobOutcome.TIMEOUT:
            return f"did not finish within {time_limit_s:.0f} s and was stopped"
        case JobOutcome.CRASHED if result.signal == "SIGKILL":
            return "the process was killed (SIGKILL): the system was most likely out of memory"
        case JobOutcome.CRASHED:
            return f"the process died ({result.signal or f'exit code {result.exit_code}'})"
        case _:
            fault = result.fault
            return (
                f"{fault.type}: {fault.message.splitlines()[0] if fault.message else ''}"
                if fault
                else "failed"
            )
