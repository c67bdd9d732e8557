import pytest

from provision.core.parse.paste import CleanText, clean_paste, unwrap_json
from provision.model.facts import ConditionId

BODY = "+---+\n| a |\n+---+"


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        (BODY, None),
        ("\ufeff" + BODY.replace("\n", "\r\n"), None),
        (BODY.replace("\n", "\r"), None),
        ("\x1b[1;32m" + BODY + "\x1b[0m", None),
        ("```text\n" + BODY + "\n```", None),
        ("<pre>\n" + BODY + "\n</pre>", None),
        ("> " + BODY.replace("\n", "\n> "), None),
        ("web-1  | " + BODY.replace("\n", "\nweb-1  | "), None),
        ("node07: " + BODY.replace("\n", "\nnode07: "), None),
        ("2026-11-21T10:11:12.5Z " + BODY.replace("\n", "\n2026-11-21T10:11:12.6Z "), None),
        ("Nov 21 10:11:12 box app[7]: " + BODY.replace("\n", "\nNov 21 10:11:12 box app[7]: "), None),
        ("# " + BODY.replace("\n", "\n# "), ConditionId.COMMENT_PREFIXED_PASTE),
        ("// " + BODY.replace("\n", "\n// "), ConditionId.COMMENT_PREFIXED_PASTE),
        ("    " + BODY.replace("\n", "\n    "), ConditionId.INDENTED_PASTE),
        (BODY.replace("\n", "\n    "), ConditionId.INDENTED_PASTE),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_taken_off(text, condition):
    assert clean_paste(text) == CleanText(text=BODY, conditions=(condition,) if condition else ())


@pytest.mark.parametrize(
    "text",
    [
        "GPU 0: Tesla T4\n  MIG 1g\n  MIG 2g",
        "a: 1\nb: 2\nc: 3",
        "Graphics/Displays:\n\n    Apple M3:\n      Type: GPU",
        "# one remark\nname\nTesla T4",
        "$ nvidia-smi\n> second",
        "  short",
    ],
)
def test_what_is_left_alone(text):
    assert clean_paste(text) == CleanText(text=text)


def test_line_numbers_are_taken_off():
    assert clean_paste("  9\t+---+\n 10\t| a |\n 11\t| b |\n 12\t+---+").text == "+---+\n| a |\n| b |\n+---+"
    rows = "0, Tesla T4\n1, Tesla T4\n2, Tesla T4\n3, Tesla T4"
    assert clean_paste(rows).text == rows


def test_a_text_that_is_too_long_is_cut_and_said_to_be():
    clean = clean_paste("x\n" * 60_000)
    assert (clean.text.count("\n"), clean.conditions) == (49_999, (ConditionId.TRUNCATED,))


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ('{"rc": 0, "stdout": "a\\nb"}', "a\nb"),
        ('["a", {"x": "b"}]', "a\nb"),
        ('{"log": "a\\n", "stream": "stdout"}\n{"log": "b\\n"}\nnoise', "a\nb"),
        ("'a\\nb'", "'a\nb'"),
        ("a\nb", None),
        ("{", None),
        ("", None),
    ],
)
def test_json_is_unwrapped(text, inner):
    assert unwrap_json(text) == inner
