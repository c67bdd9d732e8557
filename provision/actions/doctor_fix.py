"""`provision doctor --fix`: repairs of what is the tool's own, shown first and checked afterwards.

Nothing of the system's is touched: a driver, a variable and the user's caches stay commands to be typed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

from msgspec import Struct

from provision.actions.apply import apply
from provision.actions.context import Context
from provision.actions.recover import recover
from provision.actions.situation import read_config_text
from provision.core.config_doc import merge_config
from provision.errors import ProvisionError, StateError
from provision.model.finding import Examination, Finding, Severity
from provision.model.plan import Plan
from provision.model.state import GenerationRecord
from provision.system.files import write_atomic
from provision.system.leftovers import find_leftovers, remove_leftovers
from provision.system.store import Store, build_holder

_COMMAND = "provision doctor --fix"


class RepairKind(StrEnum):
    """In the order in which they are done: each may need what the one before brings."""

    RECOVER = "recover"
    LOCK = "lock"
    LEFTOVERS = "leftovers"
    CONFIG = "config"
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
    "config.valid": RepairKind.CONFIG,
    "config.drift": RepairKind.CONFIG,
    "stack.complete": RepairKind.APPLY,
    "weights.present": RepairKind.APPLY,
    "weights.hashes": RepairKind.APPLY,
}


def plan_repairs(ctx: Context, findings: Sequence[Finding]) -> tuple[Repair, ...]:
    """What can be repaired of `findings`, in order. Changes nothing."""
    store = Store(ctx.root)
    wrong = {
        finding.id: finding for finding in findings if finding.severity in (Severity.FAIL, Severity.WARN)
    }
    kinds: dict[RepairKind, list[str]] = {}
    for name in wrong:
        if (kind := _choose_kind(store, name)) is not None:
            kinds.setdefault(kind, []).append(name)
    if RepairKind.APPLY in kinds:
        # An apply writes config.yaml too.
        kinds[RepairKind.APPLY] += kinds.pop(RepairKind.CONFIG, [])
    return tuple(
        Repair(kind=kind, title=_describe(store, kind, wrong), findings=tuple(kinds[kind]))
        for kind in RepairKind
        if kind in kinds
    )


def _choose_kind(store: Store, name: str) -> RepairKind | None:
    if name == "state.whole":
        return RepairKind.APPLY if _load_active(store) is None else RepairKind.RECOVER
    if name == "config.valid" and store.config_path.exists():
        # It cannot be read: what it was meant to say is the user's to tell.
        return None
    return _KINDS.get(name)


def _describe(store: Store, kind: RepairKind, wrong: dict[str, Finding]) -> str:
    active = _load_active(store)
    match kind:
        case RepairKind.RECOVER:
            return "finish or undo the activation that was cut short"
        case RepairKind.LOCK:
            return "forget the holder of the lock, who has ended"
        case RepairKind.LEFTOVERS:
            return f"remove {', '.join(_list_leftovers(store))}"
        case RepairKind.CONFIG if active is not None:
            return f"write the keys that generation {active.number} owns into {store.config_path.name} again"
        case RepairKind.APPLY if active is not None:
            return f"apply profile {active.profile} for {', '.join(_list_models(active))}, which builds what is missing"
    reasons = "; ".join(wrong[name].evidence for name in wrong if _KINDS.get(name) is kind)
    return f"apply auto, which makes a new generation ({reasons or 'the former one cannot be read'})"


def carry_out(ctx: Context, repairs: Sequence[Repair]) -> tuple[Outcome, ...]:
    """Do them in order. One that fails is told, and the next are tried."""
    actions: dict[RepairKind, Callable[[Context, Store], None]] = {
        RepairKind.RECOVER: _recover,
        RepairKind.LOCK: _take_lock,
        RepairKind.LEFTOVERS: _remove_leftovers,
        RepairKind.CONFIG: _write_config,
        RepairKind.APPLY: _apply,
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


def _recover(ctx: Context, store: Store) -> None:
    with store.locked(build_holder(_COMMAND, ctx.timestamp())):
        recover(ctx, store)


def _take_lock(ctx: Context, store: Store) -> None:
    """Holding the lock once writes a new holder and takes it away again."""
    with store.locked(build_holder(_COMMAND, ctx.timestamp())):
        return


def _remove_leftovers(ctx: Context, store: Store) -> None:
    with store.locked(build_holder(_COMMAND, ctx.timestamp())):
        remove_leftovers(store.state_dir, _list_leftovers(store))


def _write_config(ctx: Context, store: Store) -> None:
    """What an apply writes, without resolving and smoking anew: the active generation was verified."""
    with store.locked(build_holder(_COMMAND, ctx.timestamp())):
        active = store.load_active()
        if active is None:
            raise StateError("no generation is active", hint="provision apply auto")
        text = read_config_text(store, store.load_config())
        merged = merge_config(text, active.config, where=str(store.config_path))
        write_atomic(store.config_path, merged.encode())


def _apply(ctx: Context, store: Store) -> None:
    active = _load_active(store)
    profile, models = ("auto", ()) if active is None else (active.profile, _list_models(active))

    def show(plan: Plan) -> None:
        for step in plan.steps:
            ctx.reporter.detail(step.title)

    apply(ctx, profile, models, show_plan=show)


def _list_models(active: GenerationRecord) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys([*(model.key for model in active.models), *(one.model for one in active.smoke)])
    )


def _list_leftovers(store: Store) -> tuple[str, ...]:
    needed = {stack.path for number in store.list_numbers() for stack in store.load_generation(number).stacks}
    return find_leftovers(store.state_dir, needed=needed)


def _load_active(store: Store) -> GenerationRecord | None:
    try:
        return store.load_active()
    except StateError:
        return None
