"""`apply --into`: an environment of the user's is changed in place, verified, and put back when that fails."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from msgspec import Struct
from msgspec.structs import replace

from provision.actions.activate import promote
from provision.actions.context import Context
from provision.actions.into_change import install_lists, open_uv, save_files, stage_packages, write_lists
from provision.actions.into_plan import PreparedChange, check_unchanged, look_at_environment, prepare_change
from provision.actions.into_recover import STACK, recover_into, restore
from provision.actions.into_verify import describe_finished, verify_and_record
from provision.actions.plan import Request, refuse_unreadable
from provision.actions.recover import recover
from provision.actions.weights import ModelFiles
from provision.core.into import FlashJudge
from provision.errors import ApplyFailedError, ProvisionError, RollbackFailedError
from provision.model.into import FinishedChange, IntoPlan, Journal
from provision.model.state import GenerationRecord
from provision.system.environment_change import find_prefix, list_incompatible
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

    @property
    def pending(self) -> bool:
        """Whether something is left to do, which a dry run found."""
        return not self.changed and not self.prepared.is_done


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
    # A mistyped name creates no state folder.
    find_prefix(environment)
    store = Store(ctx.root)
    holder = build_holder(f"provision apply {request.profile} --into {environment}", ctx.timestamp())
    with store.locked(holder):
        recover(ctx, store)
        recover_into(ctx, store)
        found = look_at_environment(ctx, store, environment)
        prepared = prepare_change(ctx, store, found, request, judge)
        active, models = prepared.situation.active, prepared.situation.selection.models
        if dry_run or prepared.is_done:
            return ChangedEnvironment(prepared=prepared, changed=False, generation=active, snapshot=None)
        refuse_unreadable(ctx, models, profile=request.profile)
        agree(prepared.plan)
        ctx.reporter.step("bringing the weights")
        files = {model.key: request.supply.bring_weights(ctx, store, model) for model in models}
        if not prepared.plan.changes:
            record = verify_and_record(ctx, store, prepared, files, before=None)
            IntoStore(store.state_dir, found.prefix).check_owner()
            promote(store, record, {STACK: prepared.stack.lock.text})
            return ChangedEnvironment(prepared=prepared, changed=True, generation=record, snapshot=None)
        return _change(ctx, store, prepared, files)


def _change(
    ctx: Context, store: Store, prepared: PreparedChange, files: dict[str, ModelFiles]
) -> ChangedEnvironment:
    found = prepared.found
    into = IntoStore(store.state_dir, found.prefix)
    folder = into.create_folder()
    journal = Journal(prefix=str(found.prefix), snapshot=folder.name, staging=True)
    into.begin(journal)
    try:
        check_unchanged(ctx, found)
        with open_uv(ctx) as uv:
            before = list_incompatible(uv, found.python)
            write_lists(folder, prepared)
            scope = stage_packages(ctx, uv, folder, prepared)
            snapshot = save_files(ctx, folder, prepared, scope)
    except BaseException:
        # What cannot be cleared away now, the next command clears.
        with contextlib.suppress(OSError):
            into.finish(None)
        raise
    journal = replace(journal, staging=False)
    try:
        into.save_journal(journal)
        with open_uv(ctx) as uv:
            install_lists(ctx, uv, folder, prepared, scope)
        record = verify_and_record(ctx, store, prepared, files, before=before)
        finished = describe_finished(ctx, prepared, journal, record, snapshot)
        into.save_journal(replace(journal, finished=finished))
        promote(store, record, {STACK: prepared.stack.lock.text})
    except BaseException as error:
        if not _stands(ctx, store, into):
            _put_back(ctx, into, journal, error)
    _finish(ctx, into, finished)
    return ChangedEnvironment(prepared=prepared, changed=True, generation=record, snapshot=folder)


def _finish(ctx: Context, into: IntoStore, finished: FinishedChange) -> None:
    """All is verified and active: an error here is told, and takes nothing back."""
    try:
        into.finish(finished)
    except OSError as error:
        ctx.reporter.warn(
            f"the change of {finished.prefix} stands, and its record could not be completed: "
            f"{error.strerror or error}: {error.filename or into.folder}; the next command completes it"
        )


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
