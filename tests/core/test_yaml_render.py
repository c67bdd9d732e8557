import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from provision.core.yaml_render import render_block, render_flow, render_scalar

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.one_of(
    TEXTS,
    st.text("0123456789abefxoXO_.:+-~ TZyn<=#&*!|>%@`'\"\\\t\n", max_size=12),
    st.integers(),
    st.booleans(),
    st.none(),
    st.floats(allow_nan=False, allow_infinity=False),
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("bf16", "bf16"),
        ("Qwen/Qwen2-VL-2B-Instruct", "Qwen/Qwen2-VL-2B-Instruct"),
        ("2.13.0+cpu", "2.13.0+cpu"),
        (".provision/stacks/main/bin/python", ".provision/stacks/main/bin/python"),
        ("Qwen2-VL 2B (Читает)", "Qwen2-VL 2B (Читает)"),
        ("5.22.2", '"5.22.2"'),
        ("2026-11-21", '"2026-11-21"'),
        ("1e3", '"1e3"'),
        ("0o7", '"0o7"'),
        ("No", '"No"'),
        ("y", '"y"'),
        ("", '""'),
        ("cuda:0", '"cuda:0"'),
        ("a #b", '"a #b"'),
        ("a, b", '"a, b"'),
        ("C:\\env", "'C:\\env'"),
        ('say "no"', "'say \"no\"'"),
        ("it's", '"it\'s"'),
        ("two\nlines", '"two\\nlines"'),
        ("bell\x07\x85\u2028", '"bell\\u0007\\u0085\\u2028"'),
        (True, "true"),
        (None, "null"),
        (12, "12"),
        (0.0, "0.0"),
        (1e-07, "1.0e-07"),
        (1.5e22, "1.5e+22"),
    ],
)
def test_scalars(value, text):
    assert render_scalar(value) == text


def test_the_quotes_that_stood_there_are_used_again():
    assert render_scalar("it's", quote="'") == "'it''s'"
    assert render_scalar("bf16", quote='"') == '"bf16"'
    assert render_scalar("a\tb", quote="'") == '"a\\tb"'
    assert render_scalar(7, quote="'") == "7"


@pytest.mark.parametrize("loader", [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)])
@given(SCALARS, st.sampled_from(["", "'", '"']))
def test_every_scalar_reads_back(loader, value, quote):
    text = f"key: {render_scalar(value, quote=quote)}\n"
    found = yaml.load(text, Loader=loader)  # noqa: S506 - both are safe loaders
    assert repr(found) == repr({"key": value})
    flow = yaml.load(f"{{key: {render_scalar(value, quote=quote)}, b: 1}}\n", Loader=loader)  # noqa: S506
    assert repr(flow) == repr({"key": value, "b": 1})


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=8))
def test_every_structure_reads_back(value):
    assert repr(yaml.safe_load(render_flow(value))) == repr(value)
    lines = render_block({"key": value, "b": 1}, indent="  ", step=3)
    assert repr(yaml.safe_load("\n".join(lines))) == repr({"key": value, "b": 1})


def test_blocks_are_indented():
    value = {"a": {"b": {"c": "x y"}, "none": {}}, "list": ["p", 1.5, False], "d": None}
    assert render_block(value, indent="  ", step=4) == [
        "  a:",
        "      b:",
        "          c: x y",
        "      none: {}",
        '  list: ["p", 1.5, false]',
        "  d: null",
    ]
