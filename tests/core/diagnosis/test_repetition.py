import pytest

from provision.core.diagnosis.repetition import find_repeats
from tests.core.diagnosis.failures import find_causes

PASSAGE = ["The committee met on Monday", "and again on Tuesday"]


def test_a_passage_that_comes_again():
    assert find_repeats(["Page 3", *PASSAGE * 6, "end"]) == ((1, 12),)
    assert find_repeats([PASSAGE[0]] * 8) == ((0, 7),)


@pytest.mark.parametrize(
    "line",
    ["Section: " + "see also 6.3.1 " * 12, '{"text": "' + "\uacf3 " * 60 + '"}', "a " * 40],
)
def test_a_passage_that_comes_again_up_to_the_end_of_its_line(line):
    assert find_repeats(["first", line]) == ((1, 1),)


@pytest.mark.parametrize(
    "line",
    [
        "nan, " * 40,
        "0 " * 100,
        "x" * 200,
        "-" * 80,
        "see also 6.3.1 " * 7,
        "= a " * 40,
        "see also " * 20 + "the end",
        "libcuda.so.1: cannot open shared object file " * 20,
        "libcuda.so.1: No such file or directory; " * 20,
        "ImportError: the library of the card " * 20,
    ],
)
def test_lines_of_values_and_rules_are_not_meant(line):
    assert find_repeats([line]) == ()


@pytest.mark.parametrize(
    "lines",
    [
        PASSAGE * 5,
        ["one two"] * 9,
        ["ERROR no connection to the database"] * 9,
        ["2026-11-21 12:00:01 page was read again"] * 9,
        ["Setting `pad_token_id` to `eos_token_id` for open-end generation."] * 9,
        ["Waiting for the lock of the folder"] * 9,
        ["page 3 of 60: 10% |####      |"] * 9,
        ['  File "/usr/lib/python3.12/x.py", line 3, in walk', "    walk(node)"] * 9,
        ["=" * 60] * 9,
        ["a" * 4000] * 500,
        ["libcuda.so.1: cannot open shared object file"] * 9,
        [],
    ],
    ids=range(12),
)
def test_what_programs_repeat_is_not_meant(lines):
    assert find_repeats(lines) == ()


def test_bare_repetition_is_possible_only_and_that_of_a_model_usual():
    text = "\n".join(PASSAGE * 8)
    assert [(c.id, str(c.confidence)) for c in find_causes(text)] == [("ocr-endless-repetition", "low")]
    (cause,) = find_causes("model glm-ocr, page 3\n" + text)
    assert (cause.id, str(cause.confidence)) == ("ocr-endless-repetition", "medium")
    assert [line.line for line in cause.evidence] == [1, 2, 3]
