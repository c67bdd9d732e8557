"""Scores and verdicts."""

from __future__ import annotations

from random import Random

import pytest

from provision.core.page_text import GRID_COLUMNS, GRID_ROWS, build_grid_page, build_nonce
from provision.core.verdict import judge_job, measure_cer, measure_repetition, score_reading
from provision.model.smoke import (
    BadParameter,
    JobOutcome,
    JobResult,
    Loading,
    NumericFault,
    PageReading,
    Verdict,
    WorkerFault,
)

PAGE = build_grid_page(Random(7))


def reading(text: str) -> PageReading:
    return PageReading(
        name="grid", text=text, new_tokens=len(text), first_token_s=0.1, generate_s=0.2, tokens_per_s=9.0
    )


def job(text: str = PAGE.text, **changes: object) -> JobResult:
    fields = {"model": "m", "outcome": JobOutcome.RAN, "device": "cpu", "pages": (reading(text),)} | changes
    return JobResult(**fields)  # type: ignore[arg-type]


def judge(result: JobResult) -> tuple[Verdict, str]:
    scores = [score_reading(PAGE, page) for page in result.pages]
    return judge_job(result, scores, time_limit_s=60.0)


def test_pages_fit_the_grid_and_name_their_keywords_and_nonce() -> None:
    for seed in range(200):
        page = build_grid_page(Random(seed))
        assert len(page.lines) <= GRID_ROWS
        assert max(map(len, page.lines)) <= GRID_COLUMNS
        assert len(page.keywords) == 6
        assert all(keyword in page.text for keyword in (*page.keywords, page.nonce))


def test_nonces_are_drawn_anew() -> None:
    random = Random(1)
    assert len({build_nonce(random) for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("expected", "text", "cer"),
    [
        ("abcd", "abcd", 0.0),
        ("abcd", "abxd", 0.25),
        ("abcd", "abd", 0.25),
        ("abcd", "", 1.0),
        ("", "", 0.0),
        ("", "a", 1.0),
    ],
)
def test_cer(expected: str, text: str, cer: float) -> None:
    assert measure_cer(expected, text) == cer


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("!" * 40, 0.99, 1.0),
        ("the cat " * 9, 0.95, 1.0),
        (PAGE.text, 0.0, 0.2),
        ("!!!", 0.0, 0.0),
        ("", 0.0, 0.0),
    ],
)
def test_repetition(text: str, low: float, high: float) -> None:
    assert low <= measure_repetition(text) <= high


def test_letter_for_letter_passes() -> None:
    assert judge(job()) == (Verdict.PASS, "read every character, the nonce among them")


def test_a_few_wrong_letters_are_degraded() -> None:
    wrong = PAGE.text.replace("EUR", "EVR")
    cer = 1 / len(PAGE.text)
    assert judge(job(wrong)) == (
        Verdict.DEGRADED,
        f"character error rate {cer:.1%}, all keywords and the nonce found",
    )


def test_without_the_nonce_it_is_a_failure() -> None:
    verdict, reason = judge(job(PAGE.text.replace(PAGE.nonce, "2222-3333-4444")))
    assert verdict is Verdict.FAIL
    assert reason.startswith(f"did not read the nonce {PAGE.nonce}; the text begins ")


def test_exclamation_marks_are_named_as_repetition() -> None:
    verdict, reason = judge(job("!" * 40))
    assert verdict is Verdict.FAIL
    assert "100% of the text repeats itself: '!!!!!!!!!!!!!!!!!!!!!!!!'" in reason


def test_a_numeric_fault_names_module_and_weight() -> None:
    fault = NumericFault(
        module="model.layers.1.mlp.down_proj",
        module_class="Linear",
        dtype="bfloat16",
        nonfinite_share=1.0,
        previous_module="model.layers.1.mlp.act_fn",
        previous_max_abs=3.5,
        parameters=(
            BadParameter(
                name="model.layers.1.mlp.down_proj.weight", dtype="bfloat16", nonfinite=1, values=98304
            ),
        ),
    )
    assert judge(job("!!!!", numeric_fault=fault)) == (
        Verdict.FAIL,
        "the first module whose output is not finite is model.layers.1.mlp.down_proj (Linear): 100% of its bfloat16 "
        "output; the weight model.layers.1.mlp.down_proj.weight holds 1 NaN or inf of 98304 values",
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"outcome": JobOutcome.TIMEOUT, "pages": ()}, "did not finish within 60 s and was stopped"),
        (
            {"outcome": JobOutcome.CRASHED, "signal": "SIGKILL", "pages": ()},
            "the process was killed (SIGKILL): the system was most likely out of memory",
        ),
        ({"outcome": JobOutcome.CRASHED, "signal": "SIGSEGV", "pages": ()}, "the process died (SIGSEGV)"),
        ({"outcome": JobOutcome.CRASHED, "exit_code": 3, "pages": ()}, "the process died (exit code 3)"),
        (
            {
                "outcome": JobOutcome.ERROR,
                "fault": WorkerFault(type="OSError", message="no file\nmore"),
                "pages": (),
            },
            "OSError: no file",
        ),
        (
            {"loading": Loading(missing_keys=("lm_head.weight", "x"))},
            "2 weights were not loaded from the files, the first is lm_head.weight",
        ),
        ({"pages": ()}, "no page was read"),
    ],
)
def test_failures_say_why(changes: dict[str, object], reason: str) -> None:
    assert judge(job(**changes)) == (Verdict.FAIL, reason)
