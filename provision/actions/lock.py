"""Writes `provision.lock`: what an apply would use, or what the active generation uses already."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from provision.actions.context import Context
from provision.actions.known_locks import load_lock_document
from provision.actions.lock_subject import LockRequest, look_at_active, prepare_lock
from provision.actions.locked_models import build_locked_models
from provision.actions.locked_stacks import find_cutoff, lock_kept, lock_resolved
from provision.actions.package_policy import build_policy
from provision.actions.plan import Prepared
from provision.core.lock_diff import compare_locks, find_altered_files, keep_former
from provision.core.lockfile import NewerLockError, render_lockfile, render_stack_text
from provision.errors import BadFileError, ProvisionError, StateError
from provision.model.lockfile import SCHEMA, LockChange, LockDocument, Lockfile
from provision.system.lockfile import LOCKFILE_NAME, save_lock_texts
from provision.system.store import Store


class LockOutcome(Struct, frozen=True, kw_only=True):
    """`changes` are from the lock that was there to `document`; `existed` whether there was one.

    `written` is False where nothing had to be, or nothing was to be.
    """

    prepared: Prepared
    document: LockDocument
    path: Path
    changes: tuple[LockChange, ...]
    existed: bool
    written: bool

    @property
    def is_current(self) -> bool:
        """The lock that was there binds just this."""
        return self.existed and not self.changes


def lock(ctx: Context, request: LockRequest) -> LockOutcome:
    """Resolve as a plan does and bind the outcome; the active generation's own locks where it is what is wanted.

    Raises StateError when a model's file has another content than the lock says while its revision is the same,
    besides what a plan raises.
    """
    former = _load_former(ctx, request)
    latest, prepared = _make_latest(ctx, request, former)
    if former is not None:
        _refuse_altered(former.lockfile, latest.lockfile)
        kept = keep_former(former.lockfile, latest.lockfile)
        if request.exclude_newer is not None:
            kept = replace(kept, exclude_newer=latest.lockfile.exclude_newer)
        latest = replace(latest, lockfile=kept)
    changes = () if former is None else compare_locks(former, latest)
    text = render_lockfile(latest.lockfile)
    due = former is None or bool(changes) or render_lockfile(former.lockfile) != text
    written = due and not request.check
    if written:
        names = [stack.name for stack in latest.lockfile.stacks]
        save_lock_texts(ctx.root, text, {name: render_stack_text(latest, name) for name in names})
    return LockOutcome(
        prepared=prepared,
        document=latest,
        path=ctx.root / LOCKFILE_NAME,
        changes=changes,
        existed=former is not None,
        written=written,
    )


def _make_latest(
    ctx: Context, request: LockRequest, former: LockDocument | None
) -> tuple[LockDocument, Prepared]:
    """What the lock is to bind now, and what it was made from."""
    store = Store(ctx.root)
    unreadable = former is None and (ctx.root / LOCKFILE_NAME).exists()
    policy = replace(build_policy(ctx, request.exclude_newer), fresh=request.anew or unreadable)
    if request.from_active:
        prepared = look_at_active(ctx, store)
    else:
        own = None if former is None else former.lockfile
        prepared = prepare_lock(ctx, store, own, request, policy)
    pairs = list(lock_resolved(prepared) if prepared.resolved else lock_kept(ctx, store, prepared))
    host = prepared.situation.detection.facts.host
    stacks = tuple(stack for stack, _ in pairs)
    lockfile = Lockfile(
        schema=SCHEMA,
        profile=prepared.situation.profile.name,
        platform=host.platform,
        python=".".join(host.python_version.split(".")[:2]),
        exclude_newer=policy.exclude_newer if request.anew else find_cutoff(ctx, prepared, policy, former),
        stacks=stacks,
        models=build_locked_models(ctx, prepared.situation, stacks),
    )
    return LockDocument(lockfile=lockfile, locks={stack.name: own for stack, own in pairs}), prepared


def refresh_lock(ctx: Context) -> None:
    """Let provision.lock, where there is one, name what the active generation is built of.

    An update or a rollback would else be taken back by the next apply. A lock that cannot be written is told:
    what is active is not wrong because of it.
    """
    try:
        if load_lock_document(ctx.root) is None:
            return
        outcome = lock(ctx, LockRequest(from_active=True))
    except (ProvisionError, OSError) as error:
        ctx.reporter.warn(
            f"provision.lock still names the former packages: {error}; to have it name those that are active now, "
            "remove it, then: provision lock"
        )
        return
    if outcome.written:
        ctx.reporter.detail("provision.lock names the packages of the generation that is active now")


def _load_former(ctx: Context, request: LockRequest) -> LockDocument | None:
    """The lock that is there; one that cannot be read, after a merge say, is written anew and so counts as none."""
    try:
        return load_lock_document(ctx.root)
    except NewerLockError:
        raise
    except BadFileError as error:
        if request.check:
            raise
        ctx.reporter.warn(f"{error.message}; it is written anew")
        return None


def _refuse_altered(former: Lockfile, latest: Lockfile) -> None:
    altered = find_altered_files(former, latest)
    if altered:
        key, path = altered[0]
        more = f" and {len(altered) - 1} more" if len(altered) > 1 else ""
        raise StateError(
            f"{path}{more} of {key} is not the file that {LOCKFILE_NAME} binds, although its revision is the same",
            hint="provision doctor --deep   # tells whether the copy here is damaged",
        )
