"""The generic part; what config.yaml makes of it, anchors, line breaks and refusals are in test_config_doc."""

import pytest
import yaml

from provision.core.yaml_splice import Into, Put, Remove, splice
from provision.errors import BadFileError


def edit(text, edits):
    return splice(text, yaml.safe_load(text) or {}, edits, where="f.yaml").text


def test_a_value_far_down_is_changed_alone():
    text = "a:\n  b:   # c\n    # d\n    x: 'old'   # e\n    y: 1\nz: [ 1 ]\n"
    edits = {"a": Into({"b": Into({"x": Put("new")})})}
    assert edit(text, edits) == text.replace("'old'", "'new'")
    assert edit(edit(text, edits), edits) == text.replace("'old'", "'new'")


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("a:\n   b: 1\n", "a:\n   b: 1\n   c:\n      d:\n         e: true\n"),
        ("a:\n b:\n      c: 1\n", "a:\n b:\n      c: 1\n c:\n      d:\n           e: true\n"),
        ("a:\n  c:\n", "a:\n  c:\n    d:\n      e: true\n"),
        ("a: {c: {d: {}}}\n", 'a: {c: {d: {"e": true}}}\n'),
        ("z: 1\n", "z: 1\n\na:\n  c:\n    d:\n      e: true\n"),
    ],
)
def test_mappings_that_are_missing_are_made_with_the_indentation_around_them(text, after):
    assert edit(text, {"a": Into({"c": Into({"d": Into({"e": Put(True)})})})}) == after


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("a:\n  b: 1\n  c: 2\n", "a:\n  c: 2\n"),
        ("a:\n  c: 2\n  b:\n  - 1\n  - 2\n# end\n", "a:\n  c: 2\n# end\n"),
        ("a:\n  c: 2\r\n  b: 1", "a:\n  c: 2"),
        ("a:\n  # about b\n  b: 1 # one\n", "a:\n  # about b\n  {}\n"),
        ("a: {b: 1}\n", "a: {}\n"),
        ("a: {c: 2}\n", "a: {c: 2}\n"),
    ],
)
def test_keys_are_removed_with_their_lines(text, after):
    assert edit(text, {"a": Into({"b": Remove(), "x": Remove()})}) == after
    assert edit(after, {"a": Into({"b": Remove()})}) == after


def test_a_mapping_that_is_put_replaces_what_stood_there():
    edits = {"a": Put({"x": 1, "k": {"z": "text"}}, comment="ours")}
    after = "a:\n  # ours\n  x: 1\n  k:\n    z: text\nb: 1\n"
    for text in (
        "a: [1, 2]\nb: 1\n",
        "a: # old\n- 1\n- 2 # old\nb: 1\n",
        "'a':\nb: 1\n",
        "a:\n  x: 1\n  q: 2\nb: 1\n",
    ):
        assert edit(text, edits) == after
    assert edit("{a: 1, b: 1}", edits) == '{a: {"x": 1, "k": {"z": "text"}}, b: 1}'


def test_a_way_through_what_is_no_mapping_is_refused():
    with pytest.raises(BadFileError) as caught:
        edit("z: 1\na:\n  b: text\n", {"a": Into({"b": Into({"c": Put(1)})})})
    assert caught.value.message == "f.yaml, line 3: `a.b` must be a mapping"
    assert caught.value.hint == "change that place by hand and run the command again; nothing was written"


def test_a_file_nested_too_deeply_is_refused():
    with pytest.raises(BadFileError) as caught:
        edit("a: " + "[" * 101 + "]" * 101, {"b": Put(1)})
    assert caught.value.message == "f.yaml, line 1: the file is nested deeper than 100 levels"
