"""Where the active generation is damaged and a former one is whole, returning to that is the cure."""

from __future__ import annotations

import pytest

from provision.core.checks.check import Checkup
from provision.core.checks.state import check_stacks, check_state, check_weights
from provision.model.checkup import StackState, StateView
from provision.model.finding import Severity
from tests.support.checkups import make_checkup
from tests.support.machines import make_facts


def look(former: int | None, **changes: object) -> Checkup:
    state = StateView(generation=3, problem=changes.pop("problem", None), former=former)  # type: ignore[arg-type]
    return make_checkup(make_facts(), state=state, **changes)


@pytest.mark.parametrize(("former", "cure"), [(2, "provision rollback 2"), (None, "provision apply auto")])
def test_a_generation_that_cannot_be_read(former: int | None, cure: str) -> None:
    result = check_state(look(former, problem="generation.json is damaged"))
    assert (result.severity, result.evidence, result.cure) == (
        Severity.FAIL,
        "generation.json is damaged",
        cure,
    )


@pytest.mark.parametrize(
    ("former", "cure"),
    [
        (2, "provision doctor --fix   # or at once: provision rollback 2"),
        (None, "provision doctor --fix"),
    ],
)
def test_a_stack_or_weights_that_are_not_whole(former: int | None, cure: str) -> None:
    stack = StackState(name="main", path="stacks/main-1", problem="it is missing", packages=0)
    assert check_stacks(look(former, stacks=(stack,))).cure == cure
    assert check_weights(look(former, weights_problems=("a: x is missing",))).cure == cure
