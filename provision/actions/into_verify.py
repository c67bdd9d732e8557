"""Whether a changed environment does what it was changed for, written down as a generation."""

from __future__ import annotations

from provision.actions.activate import record_models
from provision.actions.configure import build_config_patch
from provision.actions.context import Context
from provision.actions.into_change import open_uv
from provision.actions.into_plan import PreparedChange
from provision.actions.into_recover import STACK, load_freeze
from provision.actions.smoke import Subject, smoke_stack
from provision.actions.verify import verify_imports
from provision.actions.weights import ModelFiles
from provision.core.into_conflicts import find_new_conflicts
from provision.core.into_environment import judge_torch
from provision.errors import SmokeFailedError, ToolError
from provision.model.into import FinishedChange, Journal, Snapshot
from provision.model.smoke import SmokeResult, Verdict
from provision.model.state import GenerationRecord, StackRecord
from provision.system.environment_change import list_incompatible
from provision.system.environment_snapshot import list_states
from provision.system.store import Store


def verify_and_record(
    ctx: Context,
    store: Store,
    prepared: PreparedChange,
    files: dict[str, ModelFiles],
    *,
    before: tuple[str, ...] | None,
) -> GenerationRecord:
    """Import, check requirements, and let every model read. Raises ToolError or SmokeFailedError."""
    found, plan, stack = prepared.found, prepared.plan, prepared.stack
    ctx.reporter.step("importing what was installed")
    imports = verify_imports(ctx, found.python, stack.spec.requirements, prepared.situation.build)
    torch = next((item.version for item in imports.packages if item.name == "torch"), None)
    if problem := judge_torch(torch=torch, cuda=imports.cuda, hip=imports.hip, plan=plan):
        raise ToolError(problem, hint="provision doctor --network   # which source gave it?")
    with open_uv(ctx) as uv:
        after = list_incompatible(uv, found.python)
    new = () if before is None else find_new_conflicts(before, after, plan)
    if new:
        raise ToolError(f"requirements that were met are not any more: {'; '.join(new[:3])}")
    ctx.reporter.step("letting the models read")
    subjects = [
        Subject(key=model.key, model=model, folder=files[model.key].folder)
        for model in prepared.situation.selection.models
    ]
    results = smoke_stack(ctx, prepared.situation.profile, STACK, found.python, subjects)
    failed = next((result for result in results if result.verdict is Verdict.FAIL), None)
    if failed is not None:
        raise SmokeFailedError(f"{failed.model}: {failed.reason}", results=results)
    return _build_record(ctx, store, prepared, files, results)


def _build_record(
    ctx: Context,
    store: Store,
    prepared: PreparedChange,
    files: dict[str, ModelFiles],
    results: tuple[SmokeResult, ...],
) -> GenerationRecord:
    """A generation whose one stack is the environment: its path is absolute, so it is none of ours to build."""
    number, created, found = store.next_number(), ctx.timestamp(), prepared.found
    models = tuple(model.key for model in prepared.situation.selection.models)
    return GenerationRecord(
        number=number,
        created=created,
        profile=prepared.situation.profile.name,
        fingerprint=prepared.fingerprint,
        stacks=(
            StackRecord(
                name=STACK,
                path=found.prefix.as_posix(),
                lock_sha256=prepared.stack.lock.sha256,
                models=models,
            ),
        ),
        models=record_models(files, results),
        smoke=results,
        machine=prepared.machine,
        config=build_config_patch(
            prepared.situation,
            generation=number,
            interpreters={STACK: str(found.python)},
            files=files,
            results=results,
            verified=created[:10],
        ),
    )


def describe_finished(
    ctx: Context, prepared: PreparedChange, journal: Journal, record: GenerationRecord, snapshot: Snapshot
) -> FinishedChange:
    """What the change will have been, for `--undo`."""
    prefix = prepared.found.prefix
    return FinishedChange(
        prefix=str(prefix),
        snapshot=journal.snapshot,
        profile=record.profile,
        created=record.created,
        generation=record.number,
        freeze=load_freeze(ctx, prefix),
        after=list_states(prefix, snapshot),
    )
