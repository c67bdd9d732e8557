"""Whether a plan that came from a file goes together; nothing in it may lead out of the state folder."""

from __future__ import annotations

import re
from collections.abc import Iterator

from packaging.requirements import InvalidRequirement, Requirement

from provision.model.plan import Plan

# What `core/models.name_stack` gives.
_NAME = re.compile(r"main|transformers-[0-9a-z]{1,20}(\.[0-9a-z]{1,20})?(-[0-9]{1,4})?", re.ASCII)


def find_plan_problem(plan: Plan) -> str | None:
    """What is wrong with `plan`, as the end of a sentence; None when nothing is."""
    return next(_list_problems(plan), None)


def _list_problems(plan: Plan) -> Iterator[str]:
    names = [stack.name for stack in plan.stacks]
    if not names:
        yield "it has no stack"
    yield from (f"{name!r} is no name of a stack" for name in names if not _NAME.fullmatch(name))
    if len(set(names)) != len(names):
        yield "a stack stands twice"
    served = [model for stack in plan.stacks for model in stack.models]
    whole = sorted(served) == sorted(plan.models) and len(set(served)) == len(served)
    if not whole or not all(stack.models for stack in plan.stacks):
        yield "its stacks do not serve each of its models once"
    for text in (text for stack in plan.stacks for text in stack.requirements):
        yield from _judge(text)


def _judge(text: str) -> Iterator[str]:
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        yield f"{text!r} is no requirement"
        return
    if requirement.url is not None:
        yield f"{text!r} names an address"
