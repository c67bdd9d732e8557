"""What a plan from a file may not say."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from provision.actions.plan_file import load_plan_file, save_plan_file
from provision.core.lock_text import parse_lock_text
from provision.core.plan_check import find_plan_problem
from provision.core.planner import compare_basis
from provision.errors import BadFileError
from provision.model.plan import Plan, PlannedStack
from tests.support.sources import make_context

LOCK = parse_lock_text(f"numpy==2.4.6 \\\n    --hash=sha256:{'0' * 64}\n", where="a test")
STACK = PlannedStack(
    name="main",
    models=("a",),
    lock=LOCK,
    path="/app/.provision/stacks/main-1",
    tag="cpu",
    torch="2.13.0",
    torchvision=None,
    attempts=(),
    complete=False,
    requirements=("transformers==5.22.2",),
)
PLAN = Plan(profile="cpu", models=("a",), fingerprint="f", stacks=(STACK,), steps=(), generation=1)


@pytest.mark.parametrize(
    ("plan", "problem"),
    [
        (PLAN, None),
        (replace(PLAN, stacks=()), "it has no stack"),
        (replace(PLAN, stacks=(replace(STACK, name="../../etc"),)), "'../../etc' is no name of a stack"),
        (replace(PLAN, stacks=(replace(STACK, name="/abs/x"),)), "'/abs/x' is no name of a stack"),
        (replace(PLAN, stacks=(replace(STACK, name="main\0"),)), "'main\\x00' is no name of a stack"),
        (replace(PLAN, stacks=(STACK, STACK)), "a stack stands twice"),
        (replace(PLAN, models=("a", "b")), "its stacks do not serve each of its models once"),
        (
            replace(PLAN, stacks=(replace(STACK, models=("a", "a")),)),
            "its stacks do not serve each of its models once",
        ),
        (
            replace(PLAN, models=(), stacks=(replace(STACK, models=()),)),
            "its stacks do not serve each of its models once",
        ),
        (
            replace(PLAN, stacks=(replace(STACK, requirements=("x @ file:///x",)),)),
            "'x @ file:///x' names an address",
        ),
        (
            replace(PLAN, stacks=(replace(STACK, requirements=("--index x",)),)),
            "'--index x' is no requirement",
        ),
    ],
)
def test_what_does_not_go_together_is_told(plan: Plan, problem: str | None) -> None:
    assert find_plan_problem(plan) == problem


def test_a_plan_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    save_plan_file(make_context(tmp_path, {}), PLAN, path)
    assert load_plan_file(path) == PLAN


@pytest.mark.parametrize(
    ("lock", "message"),
    [
        (replace(LOCK, text=LOCK.text.replace("numpy", "evil")), "the lock of stack main was altered"),
        (replace(LOCK, wheels=()), "the lock of stack main was altered"),
        (replace(LOCK, text="evil @ file:///x --hash=sha256:0\n"), "a URL has no place in a lock"),
    ],
)
def test_a_lock_holds_versions_and_hashes_and_is_what_is_shown(
    tmp_path: Path, lock: object, message: str
) -> None:
    path = tmp_path / "plan.json"
    plan = replace(PLAN, stacks=(replace(STACK, lock=lock),))
    save_plan_file(make_context(tmp_path, {}), plan, path)
    with pytest.raises(BadFileError, match=message):
        load_plan_file(path)


def test_everything_that_a_plan_rests_on_is_compared() -> None:
    assert compare_basis({"driver": "580", "profile": "a 1"}, {"driver": "581", "profile": "a 2"}) == [
        "driver was 580, is 581",
        "profile changed",
    ]
    assert compare_basis({}, {"driver": "581"}) == ["driver was not told, is 581"]
    assert compare_basis({"driver": "581"}, {"driver": "581"}) == []
