"""The transaction: build aside, fetch, let the models read, and only then change what is active."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from provision.actions.activate import build_record, keeping_state, promote
from provision.actions.build import build_stack, name_stack_dir
from provision.actions.context import Context
from provision.actions.plan import Prepared, Request, Supply, prepare, refuse_unreadable
from provision.actions.settle import settle
from provision.actions.smoke import Subject, smoke_stack
from provision.actions.weights import ModelFiles
from provision.errors import SmokeFailedError
from provision.model.plan import Plan
from provision.model.smoke import SmokeResult, Verdict
from provision.model.state import GenerationRecord
from provision.system.stack_folder import find_interpreter
from provision.system.store import Store, build_holder


class Applied(Struct, frozen=True, kw_only=True):
    """What an apply came to. `plan` is None and `changed` False when there was nothing to do.

    `generation` is None after a dry run of a machine that had none.
    """

    prepared: Prepared
    plan: Plan | None
    changed: bool
    generation: GenerationRecord | None

    @property
    def failed_models(self) -> tuple[tuple[str, str], ...]:
        """(key, reason) of every wanted model that did not pass and so is not configured."""
        results = self.generation.smoke if self.generation else ()
        return tuple((result.model, result.reason) for result in results if result.verdict is Verdict.FAIL)


def apply(
    ctx: Context,
    request: Request,
    *,
    dry_run: bool = False,
    agree: Callable[[Plan], None] = lambda _plan: None,
) -> Applied:
    """Make the wanted generation the active one.

    `agree` is called with the plan before anything changes, and stops everything by raising. Any failure before
    the last step leaves the former generation and config.yaml as they were. Raises SmokeFailedError when no
    model passes, besides what the steps raise.
    """
    store = Store(ctx.root)
    with store.locked(build_holder(f"provision apply {request.profile}", ctx.timestamp())):
        settle(ctx, store)
        prepared = prepare(ctx, store, request)
        plan, record = prepared.plan, prepared.situation.active
        changed = plan is not None and not dry_run
        if plan is not None and changed:
            refuse_unreadable(ctx, prepared.situation.selection.models, profile=request.profile)
            agree(plan)
            request.supply.prepare(ctx)
            with keeping_state(ctx):
                record = _carry_out(ctx, store, prepared, plan, request.supply)
    return Applied(prepared=prepared, plan=plan, changed=changed, generation=record)


def _carry_out(
    ctx: Context, store: Store, prepared: Prepared, plan: Plan, supply: Supply
) -> GenerationRecord:
    for stack, planned in zip(prepared.resolved, plan.stacks, strict=True):
        ctx.reporter.step(f"{'keeping' if planned.complete else 'building'} stack {stack.spec.name}")
        build_stack(ctx, store, stack)
    ctx.reporter.step("bringing the weights")
    models = prepared.situation.selection.models
    files = {model.key: supply.bring_weights(ctx, store, model) for model in models}
    ctx.reporter.step("letting the models read")
    results = _smoke(ctx, store, prepared, files)
    failed = [result for result in results if result.verdict is Verdict.FAIL]
    if len(failed) == len(results):
        raise SmokeFailedError(
            f"no model passed: {failed[0].model}: {failed[0].reason}",
            hint="provision doctor   # the former generation and config.yaml are unchanged",
            results=tuple(results),
        )
    for result in failed:
        ctx.reporter.warn(f"{result.model} failed and is not configured: {result.reason}")
    ctx.reporter.step(f"activating generation {plan.generation}")
    record = build_record(ctx, store, prepared, plan, files, results)
    locks = {stack.spec.name: stack.lock.text for stack in prepared.resolved}
    promote(store, record, locks)
    return record


def _smoke(ctx: Context, store: Store, prepared: Prepared, files: dict[str, ModelFiles]) -> list[SmokeResult]:
    models = {model.key: model for model in prepared.situation.selection.models}
    results: list[SmokeResult] = []
    for stack in prepared.resolved:
        subjects = [
            Subject(key=key, model=models[key], folder=files[key].folder) for key in stack.spec.models
        ]
        interpreter = find_interpreter(name_stack_dir(store, stack))
        results += smoke_stack(ctx, prepared.situation.profile, stack.spec.name, interpreter, subjects)
    return results
