"""The stacks that the active generation was verified with, for an apply that repairs it or reads in it again."""

from __future__ import annotations

import tempfile
from pathlib import Path

from provision.actions.candidate import load_stack_lock
from provision.actions.context import Context
from provision.actions.lock_stack import ResolvedStack
from provision.actions.resolve import ResolvedSet
from provision.actions.situation import Situation
from provision.actions.torch_source import TorchChoice, choose_torch
from provision.actions.uv_setup import build_uv, load_package_settings
from provision.core.lock_text import parse_lock_text
from provision.core.models import StackSpec
from provision.model.packages import StackLock
from provision.model.state import GenerationRecord, StackRecord
from provision.system.store import Store


def resolve_active(ctx: Context, store: Store, situation: Situation) -> ResolvedSet | None:
    """The active generation's own stacks, where it is what is wanted; None where it is not, or a lock was lost.

    An update has gone beyond the profile's pins: a repair must not go back to them. Raises DownloadError when
    no source serves torch.
    """
    active = situation.active
    if active is None or active.fingerprint != situation.fingerprint:
        return None
    locks = [load_active_lock(store, active, record) for record in active.stacks]
    whole = [lock for lock in locks if lock is not None]
    if len(whole) != len(locks):
        return None
    needed = any("torchvision" in lock.versions for lock in whole)
    torch = _choose_torch(ctx, situation, torchvision_needed=needed)
    if any(lock.versions.get("torch") != torch.offer.torch for lock in whole):
        return None
    stacks = zip(active.stacks, whole, strict=True)
    return ResolvedSet(
        stacks=tuple(_build_stack(situation, record, lock, torch) for record, lock in stacks),
        separations=(),
    )


def load_active_lock(store: Store, active: GenerationRecord, record: StackRecord) -> StackLock | None:
    """The lock that a stack of `active` was built from; None where it was lost. Raises BadFileError."""
    text = load_stack_lock(store, active, record)
    if text is None:
        return None
    wheels = parse_lock_text(text, where=f"the lock of stack {record.name}").wheels
    return StackLock(text=text, sha256=record.lock_sha256, wheels=wheels)


def _choose_torch(ctx: Context, situation: Situation, *, torchvision_needed: bool) -> TorchChoice:
    platform = situation.detection.facts.host.platform
    with tempfile.TemporaryDirectory(prefix="provision-active-") as work:
        uv = build_uv(ctx, load_package_settings(ctx), Path(work))
        return choose_torch(ctx, uv, situation.build, platform, torchvision_needed=torchvision_needed)


def _build_stack(
    situation: Situation, record: StackRecord, lock: StackLock, torch: TorchChoice
) -> ResolvedStack:
    versions = lock.versions
    named = [name for name in situation.profile.packages if name in versions]
    return ResolvedStack(
        spec=StackSpec(
            name=record.name,
            models=record.models,
            requirements=tuple(sorted(f"{name}=={versions[name]}" for name in named)),
            torchvision_needed="torchvision" in versions,
        ),
        lock=lock,
        offer=torch.offer,
        torch_source=torch.source,
        sources=torch.sources,
        attempts=torch.attempts,
    )
