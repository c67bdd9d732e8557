"""The stacks of a lock: as they were resolved just now, or as the active generation was built."""

from __future__ import annotations

from collections.abc import Iterator

from provision.actions.context import Context
from provision.actions.known_locks import load_shipped_locks
from provision.actions.lock_stack import ResolvedStack
from provision.actions.package_policy import Policy
from provision.actions.plan import Prepared
from provision.core.lock_choice import find_requirements
from provision.core.lock_text import parse_lock_text
from provision.core.shipped_locks import NO_CUTOFF
from provision.errors import StateError
from provision.model.lockfile import LockDocument, LockedStack
from provision.model.packages import StackLock
from provision.model.profile import TorchBuild
from provision.model.state import StackManifest, StackRecord
from provision.system.lockfile import load_stack_lock
from provision.system.stack_folder import load_manifest
from provision.system.store import Store


def lock_resolved(prepared: Prepared) -> Iterator[tuple[LockedStack, StackLock]]:
    """The stacks that were resolved just now, with their packages."""
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


def lock_kept(ctx: Context, store: Store, prepared: Prepared) -> Iterator[tuple[LockedStack, StackLock]]:
    """The stacks of the active generation with the packages they were built from. Raises StateError."""
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


def find_cutoff(ctx: Context, prepared: Prepared, policy: Policy, former: LockDocument | None) -> str | None:
    """The time after which nothing in the stacks was uploaded; None where that is not known.

    A stack that was locked before keeps the time of that lock: the existing one, or one that ships.
    """
    if not prepared.resolved:
        return None
    known: dict[str, str | None] = {}
    if not policy.fresh and not policy.dated:
        shipped = load_shipped_locks(ctx.data_dir)
        known = {
            one.lock.sha256: None if one.exclude_newer == NO_CUTOFF else one.exclude_newer for one in shipped
        }
    active = prepared.situation.active
    known |= {stack.lock_sha256: None for stack in active.stacks} if active is not None else {}
    if former is not None:
        known |= {own.sha256: former.lockfile.exclude_newer for own in former.locks.values()}
    dates = [known.get(stack.lock.sha256, policy.exclude_newer) for stack in prepared.resolved]
    whole = [date for date in dates if date is not None]
    return max(whole) if len(whole) == len(dates) else None
