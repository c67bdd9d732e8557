"""The fewest stacks, held against trying every division."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from provision.core.partition import (
    Group,
    Need,
    Refused,
    can_meet,
    choose_groups,
    find_clash,
)

PINS = {"transformers": "==5.22.2"}
SIX = {
    "qwen_vl_2b": ">=4.45",
    "qwen3_vl_2b": ">=4.57",
    "got_ocr_hf": ">=4.49",
    "dots_ocr": "==4.51.3",
    "deepseek_ocr": ">=4.46.3,<4.48",
    "phi3_vision": ">=4.46.3,<4.49",
}


def make_needs(ranges: dict[str, str]) -> list[Need]:
    return [Need(model=model, ranges={"transformers": SpecifierSet(text)}) for model, text in ranges.items()]


def accept(group: Group) -> str:
    return f"lock of {' '.join(group.models)}"


def test_the_six_models_need_three_stacks_and_most_get_the_verified_pins() -> None:
    found = choose_groups(make_needs(SIX), PINS, accept)
    assert not isinstance(found, Refused)
    groups, separations = found
    assert [(group.models, group.preferred) for group, _ in groups] == [
        (("qwen_vl_2b", "qwen3_vl_2b", "got_ocr_hf"), True),
        (("deepseek_ocr", "phi3_vision"), False),
        (("dots_ocr",), False),
    ]
    assert [proof for _, proof in groups][2] == "lock of dots_ocr"
    assert [(item.model, item.other, item.reason) for item in separations] == [
        (
            "deepseek_ocr",
            "qwen3_vl_2b",
            "deepseek_ocr needs transformers <4.48,>=4.46.3, qwen3_vl_2b needs transformers >=4.57",
        ),
        (
            "phi3_vision",
            "qwen3_vl_2b",
            "phi3_vision needs transformers <4.49,>=4.46.3, qwen3_vl_2b needs transformers >=4.57",
        ),
        (
            "dots_ocr",
            "qwen3_vl_2b",
            "dots_ocr needs transformers ==4.51.3, qwen3_vl_2b needs transformers >=4.57",
        ),
    ]


def test_one_model_of_an_old_version_is_one_stack_with_a_newer_one_that_can() -> None:
    """qwen_vl_2b runs with 4.47 too: two models, one stack."""
    chosen = {key: SIX[key] for key in ("qwen_vl_2b", "phi3_vision")}
    found = choose_groups(make_needs(chosen), PINS, accept)
    assert not isinstance(found, Refused)
    assert [(group.models, group.preferred) for group, _ in found[0]] == [
        (("qwen_vl_2b", "phi3_vision"), False)
    ]
    assert found[1] == ()


def test_what_the_resolver_refuses_is_divided_again_and_said() -> None:
    needs = make_needs({"a": ">=5", "b": ">=5", "c": ">=5"})

    def prove(group: Group) -> str | Refused:
        return Refused(reason="numpy<2 and numpy>=2") if {"a", "c"} <= set(group.models) else "lock"

    needs[2] = Need(model="c", ranges={**needs[2].ranges, "numpy": SpecifierSet("<2")})
    found = choose_groups(needs, PINS, prove)
    assert not isinstance(found, Refused)
    assert [(group.models, group.preferred) for group, _ in found[0]] == [(("a", "b"), True), (("c",), True)]
    assert [(item.model, item.reason) for item in found[1]] == [("c", "c: numpy<2 and numpy>=2")]


def test_a_model_that_the_pins_do_not_suit_gets_versions_of_its_own() -> None:
    asked: list[Group] = []

    def prove(group: Group) -> str | Refused:
        asked.append(group)
        return Refused(reason="no wheel") if group.preferred else "lock"

    found = choose_groups(make_needs({"a": ">=5"}), PINS, prove)
    assert not isinstance(found, Refused)
    assert asked == [Group(models=("a",), preferred=True), Group(models=("a",), preferred=False)]


def test_a_model_without_any_environment_is_the_resolvers_word() -> None:
    found = choose_groups(
        make_needs({"a": ">=5", "b": "==9"}), PINS, lambda _: Refused(reason="no such version")
    )
    assert found == Refused(reason="no such version")


def test_more_kinds_than_can_be_tried_are_still_divided() -> None:
    needs = make_needs({f"m{number}": f"=={number}.0" for number in range(1, 15)} | {"n": ">=3,<5"})
    found = choose_groups(needs, PINS, accept)
    assert not isinstance(found, Refused)
    assert len(found[0]) == 14
    assert ("m3", "n") in [group.models for group, _ in found[0]]


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ((">=1", "<1"), False),
        ((">=1", "<=1"), True),
        (("<2", "!=1"), True),
        ((">4.46", "<4.46.1"), True),
        (("==4.51.*", ">=4.51.3"), True),
        (("==4.51.*", ">=4.52"), False),
        (("~=4.46.3", "==4.47"), False),
        (("==1!2.0", ">=3"), True),
        (("==1!2.0", "<3"), False),
        (("", ""), True),
    ],
)
def test_ranges_meet_or_not(ranges: tuple[str, ...], expected: bool) -> None:
    assert can_meet([SpecifierSet(text) for text in ranges]) is expected


VERSIONS = [
    Version(f"{major}.{minor}.{micro}") for major in (4, 5) for minor in (0, 7, 9) for micro in (0, 3)
]
SPECIFIERS = st.builds(
    lambda operator, version: f"{operator}{version}",
    st.sampled_from([">=", "<=", "<", ">", "==", "!="]),
    st.sampled_from(VERSIONS),
)
RANGES = st.lists(SPECIFIERS, min_size=0, max_size=2).map(",".join)


@given(st.lists(RANGES, min_size=1, max_size=3))
def test_ranges_that_a_version_lies_in_meet(texts: list[str]) -> None:
    """Never wrongly False, or a stack would be split for nothing."""
    together = SpecifierSet(",".join(filter(None, texts)))
    if any(together.contains(version) for version in VERSIONS):
        assert can_meet([SpecifierSet(text) for text in texts])


def divide(items: Sequence[str]) -> Iterator[list[list[str]]]:
    """Every division of `items`."""
    if not items:
        yield []
        return
    for rest in divide(items[1:]):
        yield [[items[0]], *rest]
        for index, block in enumerate(rest):
            yield [*rest[:index], [items[0], *block], *rest[index + 1 :]]


@given(st.dictionaries(st.sampled_from("abcdef"), RANGES, min_size=1))
def test_no_division_has_fewer_stacks(ranges: dict[str, str]) -> None:
    """The resolver here knows exactly the versions of VERSIONS."""

    def serve(models: Sequence[str], pins: str = "") -> bool:
        together = SpecifierSet(",".join(filter(None, [*(ranges[model] for model in models), pins])))
        return any(together.contains(version) for version in VERSIONS)

    def prove(group: Group) -> str | Refused:
        pins = "==5.7.3" if group.preferred else ""
        return "lock" if serve(group.models, pins) else Refused(reason="none")

    found = choose_groups(make_needs(ranges), {"transformers": "==5.7.3"}, prove)
    if isinstance(found, Refused):
        assert not all(serve([model]) for model in ranges)
        return
    groups = [group for group, _ in found[0]]
    assert sorted(model for group in groups for model in group.models) == sorted(ranges)
    fewest = min(len(blocks) for blocks in divide(sorted(ranges)) if all(serve(block) for block in blocks))
    assert len(groups) == fewest


def test_a_clash_names_the_package_and_both_ranges() -> None:
    one = Need(model="one", ranges={"numpy": SpecifierSet("<2"), "pillow": SpecifierSet(">1")})
    other = Need(model="other", ranges={"pillow": SpecifierSet(">1"), "numpy": SpecifierSet(">=2")})
    assert find_clash(one, other) == "one needs numpy <2, other needs numpy >=2"
    assert find_clash(one, one) is None
