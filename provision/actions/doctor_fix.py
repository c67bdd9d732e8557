"""`provision doctor --fix`: repairs of what is the tool's own, shown first and checked afterwards.

Nothing of the system's is touched: a driver and a variable stay commands to be typed. Of caches goes only what
is altered, since a stack that is built again would get it from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

from msgspec import Struct

from provision.actions.context import Context
from provision.actions.repairs import (
    apply_again,
    declare_stacks_altered,
    finish_activation,
    list_leftovers,
    list_models,
    load_readable,
    name_pending,
    remove_left,
    remove_weights,
    take_lock,
    write_config,
)
from provision.errors import ProvisionError
from provision.model.finding import Examination, Finding, Severity
from provision.system.store import Store


class RepairKind(StrEnum):
    """In the order in which they are done: each may need what the one before brings."""

    RECOVER = "recover"
    LOCK = "lock"
    LEFTOVERS = "leftovers"
    CONFIG = "config"
    STACKS = "stacks"
    WEIGHTS = "weights"
    APPLY = "apply"


class Repair(Struct, frozen=True, kw_only=True):
    """One thing to be done. `findings` are the ids that it is for; `title` says what will change."""

    kind: RepairKind
    title: str
    findings: tuple[str, ...]


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of a repair: `error` is None when it was done, `done` False also for a dry run."""

    kind: RepairKind
    title: str
    findings: tuple[str, ...]
    done: bool
    error: str | None = None


_KINDS: dict[str, RepairKind] = {
    "state.lock": RepairKind.LOCK,
    "state.leftovers": RepairKind.LEFTOVERS,
    "state.into": RepairKind.RECOVER,
    "config.valid": RepairKind.CONFIG,
    "config.drift": RepairKind.CONFIG,
    "stack.complete": RepairKind.APPLY,
    "stack.interpreter": RepairKind.APPLY,
    "stack.interrupted-install": RepairKind.APPLY,
    "stack.duplicates": RepairKind.APPLY,
    "stack.requirements": RepairKind.APPLY,
    "stack.files": RepairKind.STACKS,
    "weights.present": RepairKind.APPLY,
    "weights.hashes": RepairKind.WEIGHTS,
}
# These make room; an apply then fills it.
_BEFORE_APPLY = (RepairKind.STACKS, RepairKind.WEIGHTS)


def plan_repairs(ctx: Context, findings: Sequence[Finding]) -> tuple[Repair, ...]:
    """What can be repaired of `findings`, in order. Changes nothing."""
    store = Store(ctx.root)
    wrong = {
        finding.id: finding
        for finding in findings
        if finding.severity in (Severity.FAIL, Severity.WARN) and _is_ours(finding)
    }
    kinds: dict[RepairKind, list[str]] = {}
    for name in wrong:
        if (kind := _choose_kind(store, name)) is not None:
            kinds.setdefault(kind, []).append(name)
    for kind in _BEFORE_APPLY:
        if kind in kinds:
            kinds.setdefault(RepairKind.APPLY, []).extend(kinds[kind])
    if RepairKind.APPLY in kinds:
        # An apply writes config.yaml too.
        kinds[RepairKind.APPLY] += kinds.pop(RepairKind.CONFIG, [])
    return tuple(
        Repair(kind=kind, title=_describe(store, kind, wrong), findings=tuple(kinds[kind]))
        for kind in RepairKind
        if kind in kinds
    )


def _is_ours(finding: Finding) -> bool:
    """An environment that the user named with --into is theirs to mend."""
    return finding.subject is None or finding.subject.startswith("stack ")


def _choose_kind(store: Store, name: str) -> RepairKind | None:
    if name == "state.whole":
        if name_pending(store).exists():
            return RepairKind.RECOVER
        return RepairKind.APPLY if load_readable(store) is None else None
    if name == "config.valid" and store.config_path.exists():
        # It cannot be read: what it was meant to say is the user's to tell.
        return None
    return _KINDS.get(name)


_TITLES = {
    RepairKind.RECOVER: "finish or undo what was cut short, an activation or a change of an environment of yours; "
    "forget an activation whose record is damaged",
    RepairKind.LOCK: "forget the holder of the lock, who has ended",
    RepairKind.STACKS: "declare altered stacks unfinished, and have uv's cache forget the packages that were altered",
    RepairKind.WEIGHTS: "remove weights whose content is not what their revision names",
}


def _describe(store: Store, kind: RepairKind, wrong: dict[str, Finding]) -> str:
    active = load_readable(store)
    if kind in _TITLES:
        return _TITLES[kind]
    if kind is RepairKind.LEFTOVERS:
        return f"remove {', '.join(list_leftovers(store))}"
    if active is None:
        reasons = "; ".join(wrong[name].evidence for name in wrong if _KINDS.get(name) is kind)
        return f"apply auto, which makes a new generation ({reasons or 'the former one cannot be read'})"
    if kind is RepairKind.CONFIG:
        return f"write the keys that generation {active.number} owns into {store.config_path.name} again"
    return (
        f"apply profile {active.profile} for {', '.join(list_models(active))}, which builds what is missing"
    )


def carry_out(ctx: Context, repairs: Sequence[Repair]) -> tuple[Outcome, ...]:
    """Do them in order. One that fails is told, and the next are tried."""
    actions: dict[RepairKind, Callable[[Context, Store], None]] = {
        RepairKind.RECOVER: finish_activation,
        RepairKind.LOCK: take_lock,
        RepairKind.LEFTOVERS: remove_left,
        RepairKind.CONFIG: write_config,
        RepairKind.STACKS: declare_stacks_altered,
        RepairKind.WEIGHTS: remove_weights,
        RepairKind.APPLY: apply_again,
    }
    store = Store(ctx.root)
    outcomes = []
    for repair in repairs:
        ctx.reporter.step(repair.title)
        error = None
        try:
            actions[repair.kind](ctx, store)
        except (ProvisionError, OSError) as problem:
            error = problem.message if isinstance(problem, ProvisionError) else str(problem)
            ctx.reporter.warn(error)
        outcomes.append(_conclude(repair, done=error is None, error=error))
    return tuple(outcomes)


def describe_dry_run(repairs: Sequence[Repair]) -> tuple[Outcome, ...]:
    """The repairs as what was not done."""
    return tuple(_conclude(repair, done=False, error=None) for repair in repairs)


def compare(before: Examination, after: Examination) -> tuple[tuple[Finding, Finding | None], ...]:
    """Every finding that was wrong before, with what it says now."""
    now = {(finding.id, finding.subject): finding for finding in after.findings}
    return tuple(
        (finding, now.get((finding.id, finding.subject)))
        for finding in before.findings
        if finding.severity in (Severity.FAIL, Severity.WARN)
    )


def _conclude(repair: Repair, *, done: bool, error: str | None) -> Outcome:
    return Outcome(kind=repair.kind, title=repair.title, findings=repair.findings, done=done, error=error)
