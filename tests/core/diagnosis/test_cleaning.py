import pytest

from provision.core.diagnosis.cleaning import clean_line, decode_log


@pytest.mark.parametrize(
    ("line", "clean"),
    [
        ("\x1b[31mERROR\x1b[0m no\x1b[K kernel", "ERROR no kernel"),
        ("\x1b]0;title\x07text", "text"),
        ("it couldn\u2018t \u201cstart\u201d", 'it couldn\'t "start"'),
        ('{"log":"a \\"b\\"\\n","stream":"stderr"}', '{"log":"a "b"\n","stream":"stderr"}'),
        ('{"message": "caf\\u00e9 \\\\ x"}', '{"message": "caf\u00e9 \\ x"}'),
        # Not JSON: a Windows path keeps its backslashes.
        ('File "C:\\new\\torch\\lib"', 'File "C:\\new\\torch\\lib"'),
        ("a lone escape \x1b", "a lone escape \x1b"),
    ],
)
def test_clean_line(line, clean):
    assert clean_line(line) == clean


@pytest.mark.parametrize(
    "data",
    [
        b"No space left",
        "No space left".encode("utf-16"),
        "No space left".encode("utf-16-le"),
        "No space left".encode("utf-16-be"),
    ],
)
def test_decode_log(data):
    assert decode_log(data).lstrip("\ufeff") == "No space left"


def test_bytes_that_are_no_text_are_replaced():
    assert decode_log(b"a\xff\xfeb") == "a\ufffd\ufffdb"
