"""Tries newer versions aside, and makes them active only if every model reads as well as before."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from provision.actions.activate import build_record, keeping_state, promote
from provision.actions.build import build_stack, name_stack_dir
from provision.actions.context import Context
from provision.actions.lock import refresh_lock
from provision.actions.lock_stack import ResolvedStack
from provision.actions.package_policy import Policy
from provision.actions.plan import Prepared, plan_stack
from provision.actions.prospect import Prospect, check_current, find_prospect
from provision.actions.settle import settle
from provision.actions.smoke import Subject, smoke_stack
from provision.actions.verify import verify_imports
from provision.actions.weights import ModelFiles, ensure_weights
from provision.core.child_env import build_worker_env
from provision.core.deep_checks import DEEP_CHECKS, judge_deep
from provision.core.planner import build_plan
from provision.core.update import (
    add_trial,
    compare_results,
    find_new_faults,
    judge_models,
    render_changes,
)
from provision.errors import ProvisionError, StateError, ToolError
from provision.model.finding import Finding
from provision.model.plan import Plan
from provision.model.smoke import SmokeResult
from provision.model.state import GenerationRecord
from provision.model.update import Trial, TrialRecord, TrialVerdict
from provision.system.built import load_built
from provision.system.deep import run_deep
from provision.system.resources import find_worker
from provision.system.spaces import find_full, find_temporary_dir
from provision.system.stack_folder import find_interpreter, remove_stack
from provision.system.store import Store, build_holder
from provision.system.trials import load_trials, save_trials


class Updated(Struct, frozen=True, kw_only=True):
    """What an update came to. `trial` is None when there was nothing to try; `generation` is the active one."""

    prospect: Prospect
    trial: Trial | None
    generation: GenerationRecord


class _Tried(Struct, frozen=True, kw_only=True):
    """A trial with what its promotion needs."""

    trial: Trial
    files: dict[str, ModelFiles]
    results: tuple[SmokeResult, ...]


def update(
    ctx: Context,
    models: Sequence[str],
    policy: Policy,
    *,
    retry: bool = False,
    agree: Callable[[Prospect], None] = lambda _prospect: None,
) -> Updated:
    """Build what is newer aside, let all models read in it, and make it active or remove it again.

    `agree` is shown what would be tried, and raises to stop. What was tried before and discarded is tried again
    only with `retry`. However it ends, but for a promotion, the active generation and config.yaml are as they
    were. Raises StateError when the active generation is no longer what an apply would make, besides what the
    steps raise.
    """
    store = Store(ctx.root)
    if not store.state_dir.is_dir():
        raise StateError(f"nothing was applied in {ctx.root}", hint="provision apply auto")
    with store.locked(build_holder("provision update", ctx.timestamp())):
        settle(ctx, store)
        prospect = find_prospect(ctx, store, models, policy)
        if not prospect.available or (prospect.tried is not None and not retry):
            return Updated(prospect=prospect, trial=None, generation=prospect.active)
        check_current(prospect)
        agree(prospect)
        with keeping_state(ctx):
            updated = _carry_out(ctx, store, prospect)
        if updated.generation is not prospect.active:
            refresh_lock(ctx)
    return updated


def _carry_out(ctx: Context, store: Store, prospect: Prospect) -> Updated:
    """Whatever ends the trial before its promotion, an error or Ctrl-C, takes the trial's stacks away."""
    generation = prospect.active
    try:
        tried = _try(ctx, store, prospect)
        if tried.trial.verdict is TrialVerdict.PROMOTED:
            generation = _activate(ctx, store, prospect, tried)
    finally:
        if generation is prospect.active:
            _remove_trial(ctx, store, prospect)
    _remember(ctx, store, prospect, tried.trial)
    return Updated(prospect=prospect, trial=tried.trial, generation=generation)


def _try(ctx: Context, store: Store, prospect: Prospect) -> _Tried:
    for stack in prospect.resolved:
        ctx.reporter.step(f"building stack {stack.spec.name} aside")
        build_stack(ctx, store, stack)
    new = [s for s, news in zip(prospect.resolved, prospect.stacks, strict=True) if not news.kept]
    findings: list[Finding] = []
    try:
        for stack in new:
            ctx.reporter.step(f"importing what stack {stack.spec.name} holds")
            interpreter = find_interpreter(name_stack_dir(store, stack))
            verify_imports(ctx, interpreter, stack.spec.requirements, prospect.situation.build)
            ctx.reporter.step(f"computing in stack {stack.spec.name}")
            found = _compute(ctx, interpreter)
            findings += found
            if faults := _find_faults(ctx, store, prospect, found):
                reason = "; ".join(f"{fault.id}: {fault.evidence}" for fault in faults)
                return _Tried(trial=Trial(reason=reason, findings=tuple(findings)), files={}, results=())
        ctx.reporter.step("letting the models read")
        files = {
            model.key: ensure_weights(ctx, store, model) for model in prospect.situation.selection.models
        }
        results = _smoke(ctx, store, prospect, files)
    except ToolError as error:
        if find_full(ctx.root, find_temporary_dir(ctx.env)) is not None:
            raise  # which says nothing about what is tried
        return _Tried(trial=Trial(reason=error.message, findings=tuple(findings)), files={}, results=())
    compared = compare_results(prospect.active.smoke, results)
    trial = Trial(reason=judge_models(compared), findings=tuple(findings), models=compared)
    return _Tried(trial=trial, files=files, results=results)


def _compute(ctx: Context, interpreter: Path) -> tuple[Finding, ...]:
    """Attention and products of matrices against float64, on the first GPU or the CPU."""
    with tempfile.TemporaryDirectory(prefix="provision-deep-") as work:
        answer = run_deep(
            interpreter,
            tuple(DEEP_CHECKS),
            worker_path=find_worker(ctx.data_dir).with_name("deep.py"),
            env=build_worker_env(ctx.env),
            work_dir=Path(work),
        )
    return judge_deep(answer)


def _find_faults(
    ctx: Context, store: Store, prospect: Prospect, found: tuple[Finding, ...]
) -> tuple[Finding, ...]:
    """What the active stacks compute right and the trial does not; those are asked only where something fails."""
    faults = find_new_faults((), found)
    for record in prospect.active.stacks:
        if not faults:
            break
        faults = find_new_faults(_compute(ctx, find_interpreter(store.state_dir / record.path)), faults)
    return faults


def _smoke(
    ctx: Context, store: Store, prospect: Prospect, files: dict[str, ModelFiles]
) -> tuple[SmokeResult, ...]:
    models = {model.key: model for model in prospect.situation.selection.models}
    results: list[SmokeResult] = []
    for stack in prospect.resolved:
        interpreter = find_interpreter(name_stack_dir(store, stack))
        subjects = [
            Subject(key=key, model=models[key], folder=files[key].folder) for key in stack.spec.models
        ]
        results += smoke_stack(ctx, prospect.situation.profile, stack.spec.name, interpreter, subjects)
    return tuple(results)


def _activate(ctx: Context, store: Store, prospect: Prospect, tried: _Tried) -> GenerationRecord:
    """As apply does, with the fingerprint that the next apply computes: it then finds nothing to do."""
    plan = _build_plan(store, prospect)
    prepared = Prepared(situation=prospect.situation, plan=plan, resolved=prospect.resolved)
    ctx.reporter.step(f"activating generation {plan.generation}")
    record = build_record(ctx, store, prepared, plan, tried.files, tried.results)
    promote(store, record, {stack.spec.name: stack.lock.text for stack in prospect.resolved})
    return record


def _build_plan(store: Store, prospect: Prospect) -> Plan:
    situation = prospect.situation
    return build_plan(
        profile=situation.profile,
        models=situation.selection.models,
        fingerprint=situation.fingerprint,
        stacks=[plan_stack(store, stack, prospect.active) for stack in prospect.resolved],
        generation=store.next_number(),
        basis=situation.basis,
    )


def _remove_trial(ctx: Context, store: Store, prospect: Prospect) -> None:
    """Remove the stacks of the trial, but for those that a generation or a build for another machine uses."""
    try:
        used = _list_used(store)
    except StateError as error:
        ctx.reporter.warn(f"{error.message}; the stacks of the trial stay: provision gc")
        return
    for stack in prospect.resolved:
        _remove_unused(ctx, store, stack, used)


def _list_used(store: Store) -> set[str]:
    """Stacks by their path relative to the state folder. Raises StateError when not all can be known."""
    records = [store.load_generation(number) for number in store.list_numbers()]
    built = [stack for one in load_built(store.state_dir) for stack in one.stacks]
    return {stack.path for stack in (*(stack for record in records for stack in record.stacks), *built)}


def _remove_unused(ctx: Context, store: Store, stack: ResolvedStack, used: set[str]) -> None:
    folder = name_stack_dir(store, stack)
    if folder.relative_to(store.state_dir).as_posix() in used:
        return
    try:
        remove_stack(folder)
    except (ProvisionError, OSError) as error:
        ctx.reporter.warn(f"{error}; provision gc removes it later")


def _remember(ctx: Context, store: Store, prospect: Prospect, trial: Trial) -> None:
    try:
        former = load_trials(store.state_dir)
    except StateError:
        former = ()
    record = TrialRecord(
        date=ctx.timestamp(),
        fingerprint=prospect.situation.fingerprint,
        locks=prospect.locks,
        verdict=trial.verdict,
        reason=trial.reason,
        packages=tuple(render_changes(prospect.stacks)),
    )
    save_trials(store.state_dir, add_trial(former, record))
