"""Writes `provision.lock`: what an apply would use, or what the active generation uses already."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from provision.actions.context import Context
from provision.actions.known_locks import load_lock_document
from provision.actions.locked_models import build_locked_models
from provision.actions.plan import NetworkSupply, Prepared, Request, prepare
from provision.actions.resolve import ResolvedStack, build_policy
from provision.actions.situation import survey
from provision.core.lock_choice import find_requirements
from provision.core.lock_diff import compare_locks, find_altered_files, keep_former
from provision.core.lock_text import parse_lock_text
from provision.core.lockfile import NewerLockError, render_lockfile, render_stack_text
from provision.errors import BadFileError, ProvisionError, StateError
from provision.model.facts import Probe
from provision.model.lockfile import SCHEMA, LockChange, LockDocument, LockedStack, Lockfile
from provision.model.packages import StackLock
from provision.model.profile import TorchBuild
from provision.model.state import StackManifest, StackRecord
from provision.system.lockfile import LOCKFILE_NAME, load_stack_lock, save_lock_texts
from provision.system.stack_folder import load_manifest
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


class LockRequest(Struct, frozen=True, kw_only=True):
    """What to lock. `profile` and `models` of an existing lock hold where none are named.

    `exclude_newer` as the user wrote it. `check` writes nothing; `upgrade` resolves anew what is locked;
    `from_active` locks what the active generation is built of.
    """

    profile: str | None = None
    models: tuple[str, ...] = ()
    probe: Probe | None = None
    exclude_newer: str | None = None
    check: bool = False
    upgrade: bool = False
    from_active: bool = False


def lock(ctx: Context, request: LockRequest) -> LockOutcome:
    """Resolve as a plan does and bind the outcome; the active generation's own locks where it is what is wanted.

    Raises StateError when a model's file has another content than the lock says while its revision is the same,
    besides what a plan raises.
    """
    former = _load_former(ctx, request)
    unreadable = former is None and (ctx.root / LOCKFILE_NAME).exists()
    store = Store(ctx.root)
    policy = replace(build_policy(ctx, request.exclude_newer), fresh=request.upgrade or unreadable)
    if request.from_active:
        prepared = _look_at_active(ctx, store)
    else:
        prepared = prepare(ctx, store, _build_request(store, former, request, NetworkSupply(policy=policy)))
    resolved = bool(prepared.resolved)
    pairs = list(_lock_resolved(prepared) if resolved else _lock_kept(ctx, store, prepared))
    host = prepared.situation.detection.facts.host
    stacks = tuple(stack for stack, _ in pairs)
    latest = Lockfile(
        schema=SCHEMA,
        profile=prepared.situation.profile.name,
        platform=host.platform,
        python=".".join(host.python_version.split(".")[:2]),
        exclude_newer=policy.exclude_newer if resolved else None,
        stacks=stacks,
        models=build_locked_models(ctx, prepared.situation, stacks),
    )
    if former is not None:
        _refuse_altered(former.lockfile, latest)
        latest = keep_former(former.lockfile, latest)
    document = LockDocument(lockfile=latest, locks={stack.name: own for stack, own in pairs})
    changes = () if former is None else compare_locks(former, document)
    due = former is None or bool(changes) or render_lockfile(former.lockfile) != render_lockfile(latest)
    written = due and not request.check
    if written:
        save_lock_texts(
            ctx.root,
            render_lockfile(latest),
            {stack.name: render_stack_text(document, stack.name) for stack in latest.stacks},
        )
    return LockOutcome(
        prepared=prepared,
        document=document,
        path=ctx.root / LOCKFILE_NAME,
        changes=changes,
        existed=former is not None,
        written=written,
    )


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
            f"provision.lock still names the former packages: {error}; provision lock --upgrade"
        )
        return
    if outcome.written:
        ctx.reporter.detail("provision.lock names the packages of the generation that is active now")


def _look_at_active(ctx: Context, store: Store) -> Prepared:
    """The active generation as what is wanted. Raises StateError without one."""
    active = store.load_active()
    if active is None:
        raise StateError("no generation is active", hint="provision apply auto")
    situation = survey(ctx, store, active.profile, active.asked_models)
    return Prepared(situation=situation, plan=None, resolved=())


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


def _build_request(
    store: Store, former: LockDocument | None, request: LockRequest, supply: NetworkSupply
) -> Request:
    """What an existing lock names stands in for what the user did not."""
    models = request.models
    if not models and former is not None and not store.config_path.exists():
        models = tuple(model.key for model in former.lockfile.models)
    profile = request.profile or (former.lockfile.profile if former else "auto")
    return Request(profile=profile, models=models, probe=request.probe, supply=supply)


def _lock_resolved(prepared: Prepared) -> Iterator[tuple[LockedStack, StackLock]]:
    for stack in prepared.resolved:
        yield build_locked_stack(stack, prepared.situation.build), stack.lock


def build_locked_stack(stack: ResolvedStack, build: TorchBuild) -> LockedStack:
    """A stack that was resolved just now as the lock tells it."""
    return LockedStack(
        name=stack.spec.name,
        models=stack.spec.models,
        requirements=stack.spec.requirements,
        torch=stack.offer.torch,
        torchvision=stack.offer.torchvision,
        tag=stack.offer.tag,
        cuda=_find_cuda(stack.offer.tag, build),
        packages=len(stack.lock.wheels),
        sha256=stack.lock.sha256,
    )


def _lock_kept(ctx: Context, store: Store, prepared: Prepared) -> Iterator[tuple[LockedStack, StackLock]]:
    active, situation = prepared.situation.active, prepared.situation
    if active is None:
        return
    catalogue = {model.key: model for model in situation.selection.models}
    for record in active.stacks:
        own, manifest = load_kept_lock(store, active.number, record), _load_built(store, record)
        models = [catalogue[key] for key in record.models if key in catalogue]
        yield (
            LockedStack(
                name=record.name,
                models=record.models,
                requirements=find_requirements(models, situation.profile, own.versions),
                torch=manifest.torch,
                torchvision=manifest.torchvision,
                tag=manifest.tag,
                cuda=_find_cuda(manifest.tag, situation.build),
                packages=len(own.wheels),
                sha256=own.sha256,
            ),
            own,
        )
    ctx.reporter.detail(f"generation {active.number} is what is wanted: its own locks are taken")


def load_kept_lock(store: Store, number: int, record: StackRecord) -> StackLock:
    """The lock that a stack of a generation was built from. Raises StateError when it is gone or altered."""
    text = store.load_lock(number, record.name)
    if text is None:
        text = load_stack_lock(store.state_dir / record.path)
    place = f"the lock of stack {record.name} in generation {number}"
    hint = "provision apply auto   # makes a new generation"
    if text is None:
        raise StateError(f"{place} was not kept", hint=hint)
    own = parse_lock_text(text, where=place)
    if own.sha256 != record.lock_sha256:
        raise StateError(f"{place} is not the one that it was built from", hint=hint)
    return own


def _load_built(store: Store, record: StackRecord) -> StackManifest:
    manifest = load_manifest(store.state_dir / record.path)
    if manifest is None:
        raise StateError(f"stack {record.name} is not whole", hint="provision apply auto   # repairs it")
    return manifest


def _find_cuda(tag: str, build: TorchBuild) -> str | None:
    """The CUDA version that a tag such as cu130 says."""
    if tag == build.tag:
        return build.cuda
    digits = tag.removeprefix("cu")
    return f"{digits[:-1]}.{digits[-1]}" if tag.startswith("cu") and digits.isdecimal() else None


def _refuse_altered(former: Lockfile, latest: Lockfile) -> None:
    altered = find_altered_files(former, latest)
    if altered:
        key, path = altered[0]
        more = f" and {len(altered) - 1} more" if len(altered) > 1 else ""
        raise StateError(
            f"{path}{more} of {key} is not the file that {LOCKFILE_NAME} binds, although its revision is the same",
            hint="provision doctor --deep   # tells whether the copy here is damaged",
        )
