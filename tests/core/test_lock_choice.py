"""Which lock is for what is wanted."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from provision.core.lock_choice import LockTerms, find_lock, find_requirements
from provision.core.models import build_requirements
from provision.core.shipped_locks import (
    ShippedLock,
    choose_shipped_lock,
    parse_shipped_lock,
    render_shipped_lock,
)
from provision.errors import BadFileError
from provision.model.catalogue import Generation, ModelSpec
from provision.model.lockfile import LockWanted, NoLock
from tests.support.locks import REQUIREMENTS, make_document, make_lock
from tests.support.profiles import PROFILES

WANTED = LockWanted(
    requirements=REQUIREMENTS,
    platform="linux-x86_64",
    python="3.12",
    torch="2.13.0",
    torchvision="0.28.0",
    torchvision_needed=False,
    tag="cu130",
)
SHIPPED = ShippedLock(
    build="torch-2.13-cu130",
    terms=LockTerms(
        requirements=tuple(sorted(REQUIREMENTS)),
        platform="linux-x86_64",
        pythons=("3.11", "3.12"),
        torch="2.13.0",
        torchvision=None,
        tag="cu130",
    ),
    exclude_newer="2026-11-14T00:00:00Z",
    lock=make_lock(),
)
CASES = [
    ({"platform": "linux-aarch64"}, "is for linux-x86_64, not for linux-aarch64"),
    ({"tag": "cu126"}, "holds torch for cu130, not for cu126"),
    ({"torch": "2.14.1"}, "holds torch 2.13.0, not 2.14.1"),
    ({"torchvision_needed": True}, "holds no torchvision, and 0.28.0 is needed"),
    (
        {"requirements": ("transformers==4.51.3", "pillow==13.0.0", "a", "b", "c")},
        "was not resolved for a, b, c and 1 more and was resolved for transformers==5.22.2 too",
    ),
]


def test_the_lock_for_the_same_things_is_found_in_any_order_of_them() -> None:
    document = make_document()
    assert find_lock(document, WANTED) == document.locks["main"]
    assert find_lock(document, replace(WANTED, requirements=REQUIREMENTS[::-1])) == document.locks["main"]
    assert find_lock(document, replace(WANTED, torch="2.13.0+cu130")) == document.locks["main"]


def test_a_cpu_profile_takes_any_build() -> None:
    assert not isinstance(find_lock(make_document(), replace(WANTED, tag="cpu")), NoLock)


@pytest.mark.parametrize(("change", "reason"), CASES)
def test_the_reason_says_what_differs(change: dict[str, object], reason: str) -> None:
    found = find_lock(make_document(), replace(WANTED, **change))
    assert found == NoLock(
        reason=f"stack main of provision.lock {reason.replace('torch 2.13.0,', 'torch 2.13.0+cu130,')}"
    )
    shipped = choose_shipped_lock([SHIPPED], replace(WANTED, **change))
    assert shipped == NoLock(reason=f"the nearest shipped lock {reason}")


def test_a_python_that_was_not_resolved_for_is_refused() -> None:
    wanted = replace(WANTED, python="3.13")
    assert find_lock(make_document(), wanted) == NoLock(
        reason="stack main of provision.lock is for Python 3.12, not for 3.13"
    )
    assert choose_shipped_lock([SHIPPED], wanted) == NoLock(
        reason="the nearest shipped lock is for Python 3.11, 3.12, not for 3.13"
    )


def test_no_lock_at_all() -> None:
    assert find_lock(make_document(stacks=(), models=()), WANTED) == NoLock(
        reason="provision.lock has no stack"
    )
    assert choose_shipped_lock([], WANTED) == NoLock(reason="no lock is shipped")


def test_of_shipped_locks_the_newest_is_taken() -> None:
    newer = replace(SHIPPED, exclude_newer="2026-12-01T00:00:00Z")
    assert choose_shipped_lock([SHIPPED, newer, SHIPPED], WANTED) == newer


def test_a_shipped_lock_reads_as_it_was_written() -> None:
    text = render_shipped_lock(SHIPPED)
    assert text.startswith(
        "# provision stack lock 1\n# build: torch-2.13-cu130\n# platform: linux-x86_64\n# python: 3.11 3.12\n"
        "# torch: 2.13.0\n# torchvision: none\n# tag: cu130\n# exclude-newer: 2026-11-14T00:00:00Z\n"
        "# requires: pillow==13.0.0\n# requires: transformers==5.22.2\n\nnumpy==2.4.6 \\\n"
    )
    assert parse_shipped_lock(text, where="x.txt") == SHIPPED


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("stack lock 1", "stack lock 2", "x.txt, line 1: must be `# provision stack lock 1`"),
        ("# tag: cu130\n", "", "x.txt: the field `tag` is missing"),
        ("# tag: cu130\n", "# tag: a\n# tag: b\n", "x.txt, line 8: is no field, or stands twice"),
        ("# tag: cu130\n", "# index: x\n", "x.txt, line 7: is no field, or stands twice"),
    ],
)
def test_a_shipped_lock_is_read_strictly(old: str, new: str, message: str) -> None:
    text = render_shipped_lock(SHIPPED)
    assert old in text
    with pytest.raises(BadFileError) as caught:
        parse_shipped_lock(text.replace(old, new), where="x.txt")
    assert caught.value.message == message


def test_what_was_asked_for_a_stack_is_told_from_what_it_holds() -> None:
    models = [make_model("a", ">=4.57"), make_model("b", "<5")]
    cpu = next(profile for profile in PROFILES if profile.name == "cpu")
    profile = replace(cpu, packages={"transformers": "5.22.2", "pillow": "13.0.0"})
    (asked,) = build_requirements(models[:1], profile, preferred=True)
    assert asked == ("pillow==13.0.0", "transformers==5.22.2")
    held = {"transformers": "5.22.2", "pillow": "13.0.0", "numpy": "2.4.6"}
    assert find_requirements(models[:1], profile, held) == asked
    loose = find_requirements(models, profile, held | {"transformers": "4.57.1"})
    assert loose == ("pillow==13.0.0", "transformers<5,>=4.57")
    assert find_requirements(models, profile, {"numpy": "2.4.6"}) == ()


def make_model(key: str, transformers: str) -> ModelSpec:
    return ModelSpec(
        key=key,
        name=key,
        family="qwen_vl",
        model_type="qwen2_vl",
        transformers=transformers,
        generation=Generation(prompt="Read.", max_new_tokens=9),
        licence="mit",
        weights_bytes=1,
        context_length=1,
        production=True,
    )
