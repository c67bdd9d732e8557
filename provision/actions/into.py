"""`apply --into`: an environment of the user's is changed in place, verified, and put back when that fails."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from msgspec import Struct
from msgspec.structs import replace

from provision.actions.activate import promote, record_models
from provision.actions.configure import build_config_patch
from provision.actions.context import Context
from provision.actions.into_change import install_lists, open_uv, save_files, stage_packages, write_lists
from provision.actions.into_plan import PreparedChange, look_at_environment, prepare_change
from provision.actions.into_recover import STACK, end_leftovers, load_freeze, recover_into, restore
from provision.actions.plan import Request
from provision.actions.recover import recover
from provision.actions.smoke import Subject, smoke_stack
from provision.actions.verify import verify_imports
from provision.actions.weights import ModelFiles
from provision.core.into import FlashJudge
from provision.core.into_conflicts import find_new_conflicts
from provision.core.into_environment import judge_torch
from provision.errors import (
    ApplyFailedError,
    ProvisionError,
    RollbackFailedError,
    SmokeFailedError,
    ToolError,
)
from provision.model.into import FinishedChange, IntoPlan, Journal, Snapshot
from provision.model.smoke import SmokeResult, Verdict
from provision.model.state import GenerationRecord, StackRecord
from provision.system.environment_change import list_incompatible
from provision.system.environment_snapshot import list_states
from provision.system.into_store import IntoStore
from provision.system.store import Store, build_holder

_LAST_LINES = 12


class ChangedEnvironment(Struct, frozen=True, kw_only=True):
    """What an `apply --into` came to. `changed` is False after a dry run and when nothing was to do.

    `generation` is what was written to config.yaml; `snapshot` is where the environment's former files lie.
    """

    prepared: PreparedChange
    changed: bool
    generation: GenerationRecord | None
    snapshot: Path | None

    @property
    def plan(self) -> IntoPlan:
        """What was planned."""
        return self.prepared.plan


def apply_into(
    ctx: Context,
    request: Request,
    environment: Path,
    *,
    dry_run: bool = False,
    agree: Callable[[IntoPlan], None] = lambda _plan: None,
    judge: FlashJudge | None = None,
) -> ChangedEnvironment:
    """Make the environment hold what the profile wants, let the models read in it, and write config.yaml.

    `agree` is called with the plan before anything changes, and stops everything by raising. `judge` decides about
    an installed flash-attn. Raises ApplyFailedError when a step failed and the environment is exactly what it was,
    RollbackFailedError when it is not, besides what looking and resolving raise before anything changed.
    """
    store = Store(ctx.root)
    holder = build_holder(f"provision apply {request.profile} --into {environment}", ctx.timestamp())
    with store.locked(holder):
        recover(ctx, store)
        recover_into(ctx, store)
        found = look_at_environment(ctx, store, environment)
        prepared = prepare_change(ctx, store, found, request, judge)
        active = prepared.situation.active
        done = not prepared.plan.changes and _is_active(prepared, active)
        if dry_run or done:
            return ChangedEnvironment(prepared=prepared, changed=False, generation=active, snapshot=None)
        agree(prepared.plan)
        ctx.reporter.step("bringing the weights")
        models = prepared.situation.selection.models
        files = {model.key: request.supply.bring_weights(ctx, store, model) for model in models}
        if not prepared.plan.changes:
            record = _verify_and_record(ctx, store, prepared, files, before=None)
            promote(store, record, {STACK: prepared.stack.lock.text})
            return ChangedEnvironment(prepared=prepared, changed=True, generation=record, snapshot=None)
        return _change(ctx, store, prepared, files)


def _is_active(prepared: PreparedChange, active: GenerationRecord | None) -> bool:
    drift = prepared.situation.drift
    return active is not None and active.fingerprint == _build_fingerprint(prepared) and not drift


def _build_fingerprint(prepared: PreparedChange) -> str:
    """Of a generation in a user's environment: an apply that builds stacks never takes it for its own."""
    parts = (prepared.situation.fingerprint, "into", str(prepared.found.prefix), prepared.found.view.version)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _change(
    ctx: Context, store: Store, prepared: PreparedChange, files: dict[str, ModelFiles]
) -> ChangedEnvironment:
    found = prepared.found
    into = IntoStore(store.state_dir, found.prefix)
    # A run that was killed before it changed anything left no journal, but maybe a uv that still unpacks.
    end_leftovers(ctx, into, found.prefix)
    folder = into.create_folder()
    journal = Journal(prefix=str(found.prefix), snapshot=folder.name)
    try:
        with open_uv(ctx) as uv:
            before = list_incompatible(uv, found.python)
            write_lists(folder, prepared)
            scope = stage_packages(ctx, uv, folder, prepared)
            snapshot = save_files(ctx, folder, prepared, scope)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    try:
        into.begin(journal)
        with open_uv(ctx) as uv:
            install_lists(ctx, uv, folder, prepared, scope)
        record = _verify_and_record(ctx, store, prepared, files, before=before)
        finished = _describe_finished(ctx, prepared, journal, record, snapshot)
        into.save_journal(replace(journal, finished=finished))
        promote(store, record, {STACK: prepared.stack.lock.text})
    except BaseException as error:
        if not _stands(ctx, store, into):
            _put_back(ctx, into, journal, error)
    into.finish(finished)
    return ChangedEnvironment(prepared=prepared, changed=True, generation=record, snapshot=folder)


def _stands(ctx: Context, store: Store, into: IntoStore) -> bool:
    """Whether the new generation was active already when an interruption came: then all was verified, and stays."""
    journal = into.load_journal()
    if journal is None or journal.finished is None:
        return False
    recover(ctx, store)
    return store.load_active_number() == journal.finished.generation


def _put_back(ctx: Context, into: IntoStore, journal: Journal, error: BaseException) -> NoReturn:
    """Restore and tell why."""
    reason = "it was interrupted"
    if isinstance(error, ProvisionError):
        reason = error.message
    elif isinstance(error, OSError):
        reason = f"{error.strerror or error}: {error.filename or journal.prefix}"
    elif isinstance(error, Exception):
        reason = f"a bug in provision: {type(error).__name__}: {error}"
    for line in getattr(error, "output", "").strip().splitlines()[-_LAST_LINES:]:
        ctx.reporter.detail(line)
    ctx.reporter.step(f"putting {journal.prefix} back")
    try:
        restore(ctx, into, journal)
    except RollbackFailedError as failure:
        message = f"the change failed ({reason}), and {failure.message}"
        raise RollbackFailedError(message, hint=failure.hint) from error
    raise ApplyFailedError(
        f"{journal.prefix} is as it was before: {reason}",
        hint=getattr(error, "hint", None) or f"provision doctor --into {journal.prefix}",
    ) from error


def _verify_and_record(
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
        fingerprint=_build_fingerprint(prepared),
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
        config=build_config_patch(
            prepared.situation,
            generation=number,
            interpreters={STACK: str(found.python)},
            files=files,
            results=results,
            verified=created[:10],
        ),
    )


def _describe_finished(
    ctx: Context, prepared: PreparedChange, journal: Journal, record: GenerationRecord, snapshot: Snapshot
) -> FinishedChange:
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
