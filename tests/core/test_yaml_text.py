from enum import StrEnum
from typing import Annotated, Literal

import pytest
import yaml
from msgspec import Meta, Struct
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from provision.core.yaml_text import convert, parse_yaml
from provision.errors import BadFileError, ExitCode

CORRECT = "correct that place in the file and run the command again"
QUOTE = "put the value in quotes, so that YAML reads it as text"


def refuse(call) -> tuple[str, str | None]:
    with pytest.raises(BadFileError) as caught:
        call()
    assert caught.value.exit_code is ExitCode.USAGE
    return caught.value.message, caught.value.hint


# Reading -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pure", [False, True])
@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("", None),
        ("# only a comment\n", None),
        ("a: 1\nb: [yes, 2.5, 'x', null]\n", {"a": 1, "b": [True, 2.5, "x", None]}),
        ("\ufeffключ: значение\r\n", {"ключ": "значение"}),
        ("x: &x {a: 1, b: 1}\ny:\n  <<: *x\n  b: 2\n", {"x": {"a": 1, "b": 1}, "y": {"a": 1, "b": 2}}),
        (
            "a:\n  deep: &x\n    <<: &y {k: 1}\n    k: 2\nb:\n  <<: *x\n",
            {"a": {"deep": {"k": 2}}, "b": {"k": 2}},
        ),
        ("<<: {a: 1}\n<<: {b: 2}\n", {"a": 1, "b": 2}),
        ("1: a\n'1': b\n", {1: "a", "1": "b"}),
    ],
)
def test_valid_text(text, data, pure):
    assert parse_yaml(text, where="f.yaml", pure=pure) == data


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("a: 1\n b: 2\n", "line 2: mapping values are not allowed here", CORRECT),
        (
            "a: 1\nb: [1,\n  2\nc: 3\n",
            "line 4: expected ',' or ']', but got ':', while parsing a flow sequence that begins in line 2",
            CORRECT,
        ),
        (
            "a: 'x\n",
            "line 2: found unexpected end of stream, while scanning a quoted scalar that begins in line 1",
            CORRECT,
        ),
        ("a:\n\tb: 1\n", "line 2: a tab is used for indentation, YAML wants spaces", CORRECT),
        ("a: @x\n", "line 1: no value can begin with this character, put it in quotes", CORRECT),
        ("a: 1\n---\nb: 2\n", "line 2: a second document begins here, and only one is allowed", CORRECT),
        ("a: *x\n", "line 1: this alias names an anchor that does not stand before it", CORRECT),
        ("a: &x 1\nb: &x 2\n", "line 2: this anchor is defined a second time", CORRECT),
        ("a: !!python/name:os.system\n", None, CORRECT),
        ("? [a]\n: 1\n", "line 1: found unhashable key", CORRECT),
        ("a:\n  b: 1\n\n  b: 2\n", "line 4: the key `b` stands twice", None),
        ("[{a: 1, 'a': 2}]", "line 1: the key `a` stands twice", None),
        ("ж: 1\r\n\r\nb: \x00\r\n", "line 3: the character U+0000 is not allowed in YAML", CORRECT),
        ("a: \ud800\n", "line 1: the character U+D800 is not allowed in YAML", CORRECT),
        ("a: 1\nb: 2026-13-45\n", "line 2: `2026-13-45` is no valid timestamp", QUOTE),
        ("a: !!bool maybe\n", "line 1: `maybe` is no valid bool", QUOTE),
    ],
)
def test_text_that_is_refused(text, message, hint):
    found = refuse(lambda: parse_yaml(text, where="dir/f.yaml", pure=True))
    if message is None:
        message = (
            "line 1: could not determine a constructor for the tag 'tag:yaml.org,2002:python/name:os.system'"
        )
    if hint is None:
        hint = "it stands in line {} already; keep one of the two and run the command again".format(
            2 if "\n\n" in text else 1
        )
    assert found == (f"dir/f.yaml, {message}", hint)


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML was built without libyaml")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: 1\nb: [1,\n  2\nc: 3\n",
            "line 4: did not find expected ',' or ']', while parsing a flow sequence that begins in line 2",
        ),
        ("a: 1\n\tb: 1\n", "line 2: a tab is used for indentation, YAML wants spaces"),
        ("a: @x\n", "line 1: no value can begin with this character, put it in quotes"),
        ("a: *x\n", "line 1: this alias names an anchor that does not stand before it"),
        ("a: 1\n---\nb: 2\n", "line 2: a second document begins here, and only one is allowed"),
        ("a: \x07\n", "line 1: the character U+0007 is not allowed in YAML"),
    ],
)
def test_the_parser_in_c_gives_the_same_sentences(text, message):
    assert refuse(lambda: parse_yaml(text, where="f.yaml")) == (f"f.yaml, {message}", CORRECT)


@pytest.mark.parametrize("pure", [False, True])
@pytest.mark.parametrize("text", ["{" * 50_000, "[" * 50_000 + "]" * 50_000, "- " * 50_000])
def test_deep_nesting_ends_neither_the_process_nor_the_stack(text, pure):
    message = "f.yaml: the file is nested deeper than 100 levels"
    assert refuse(lambda: parse_yaml(text, where="f.yaml", pure=pure)) == (message, CORRECT)


def test_many_brackets_side_by_side_are_no_depth():
    assert parse_yaml("[" + "[]," * 6_000 + "]", where="f.yaml") == [[]] * 6_000


# Types -------------------------------------------------------------------------------------------------------


class Colour(StrEnum):
    RED = "red"


class Part(Struct, frozen=True, forbid_unknown_fields=True):
    name: str = ""
    count: Annotated[int, Meta(ge=1)] = 1
    limit: int | None = None
    share: float = 0.0
    ready: bool = False
    pair: tuple[int, int] = (0, 0)
    colour: Colour = Colour.RED
    device: Literal["cuda", "cpu"] = "cpu"
    version: Version = Version("1")


class Whole(Struct, frozen=True, forbid_unknown_fields=True):
    torch: Part
    models: tuple[Part, ...] = ()
    named: dict[str, Part] = {}
    nested: dict[str, dict[str, list[Part]]] = {}
    supported: SpecifierSet = SpecifierSet()


def test_what_is_valid_becomes_the_type():
    data = {"torch": {"name": "x", "version": "2.7.0"}, "named": {"a.b": {"share": 1}}, "supported": ">=4.5"}
    assert convert(data, Whole, where="f.yaml") == Whole(
        torch=Part(name="x", version=Version("2.7.0")),
        named={"a.b": Part(share=1.0)},
        supported=SpecifierSet(">=4.5"),
    )


@pytest.mark.parametrize(
    ("data", "message", "hint"),
    [
        (None, "must be a mapping, not nothing", CORRECT),
        ([], "must be a mapping, not a list", CORRECT),
        ({}, "the key `torch` is missing", CORRECT),
        ({"torch": {}, "zz": 1}, "the key `zz` is not known", CORRECT),
        ({"torch": {"nam": "x"}}, "torch: the key `nam` is not known", CORRECT),
        ({"torch": {"name": 2.7}}, "torch.name: must be text, not a number", QUOTE),
        ({"torch": {"name": 2}}, "torch.name: must be text, not a whole number", QUOTE),
        ({"torch": {"name": None}}, "torch.name: must be text, not nothing", CORRECT),
        ({"torch": {"count": 0}}, "torch.count: must be a whole number >= 1", CORRECT),
        ({"torch": {"limit": "x"}}, "torch.limit: must be a whole number or nothing, not text", CORRECT),
        ({"torch": {"ready": 1}}, "torch.ready: must be true or false, not a whole number", CORRECT),
        ({"torch": {"pair": [1]}}, "torch.pair: must be a list of length 2, not 1", CORRECT),
        (
            {"torch": {"colour": "blue"}},
            "torch.colour: the value 'blue' is not one of those allowed",
            CORRECT,
        ),
        ({"torch": {"device": "gpu"}}, "torch.device: the value 'gpu' is not one of those allowed", CORRECT),
        ({"torch": {"version": "new"}}, "torch.version: Invalid version: 'new'", CORRECT),
        ({"torch": {"version": 2.7}}, "torch.version: must be text, not a number", QUOTE),
        ({"torch": {"version": None}}, "torch.version: must be text, not nothing", CORRECT),
        (
            {"torch": {}, "models": [{}, {}, {"share": "x"}]},
            "models[2].share: must be a number, not text",
            CORRECT,
        ),
        (
            {"torch": {}, "named": {"a": {}, "b.c": {"ready": "x"}}},
            "named.b.c.ready: must be true or false, not text",
            CORRECT,
        ),
        (
            {
                "torch": {},
                "nested": {"a": {"b": [{}]}, "c": {"d": [], "e": [{}, {"share": "x"}]}, "f": {"g": [{}]}},
            },
            "nested.c.e[1].share: must be a number, not text",
            CORRECT,
        ),
        ({"torch": {}, "named": {"a": 1, "b": 1}}, "named.a: must be a mapping, not a whole number", CORRECT),
        ({"torch": {}, "named": {7: {}}}, "named: must be text, not a whole number", QUOTE),
    ],
)
def test_what_is_not_valid_is_named_by_its_key_path(data, message, hint):
    assert refuse(lambda: convert(data, Whole, where="dir/f.yaml")) == (f"dir/f.yaml: {message}", hint)
