"""Builds the stack of a former generation again, from the lock that the generation kept."""

from __future__ import annotations

import tempfile
from pathlib import Path

from provision.actions.build import build_stack
from provision.actions.context import Context
from provision.actions.detect import detect
from provision.actions.lock_stack import ResolvedStack
from provision.actions.torch_source import choose_torch
from provision.actions.uv_setup import build_uv, load_package_settings
from provision.core.lock_text import parse_lock_text
from provision.core.models import StackSpec
from provision.errors import StateError
from provision.model.state import GenerationRecord, StackRecord
from provision.system.store import Store


def rebuild_stack(ctx: Context, target: GenerationRecord, stack: StackRecord, lock_text: str) -> None:
    """Make `stack` of the generation `target` complete, with exactly the packages of `lock_text`.

    Raises StateError when its profile is no more, DownloadError when no source serves its torch, and ToolError
    with uv's words.
    """
    detection = detect(ctx)
    profile = next((one for one in detection.knowledge.profiles if one.name == target.profile), None)
    if profile is None:
        raise StateError(
            f"generation {target.number} is of profile {target.profile}, which there is no more",
            hint="provision profiles   # those there are; --profiles DIR adds a folder",
        )
    build = detection.knowledge.builds[profile.torch]
    lock = parse_lock_text(lock_text, where=f"the lock of stack {stack.name}")
    ctx.reporter.step(f"building stack {stack.name} again")
    with tempfile.TemporaryDirectory(prefix="provision-rebuild-") as work:
        uv = build_uv(ctx, load_package_settings(ctx), Path(work))
        needed = "torchvision" in lock.versions
        torch = choose_torch(ctx, uv, build, detection.facts.host.platform, torchvision_needed=needed)
    spec = StackSpec(name=stack.name, models=stack.models, requirements=(), torchvision_needed=needed)
    build_stack(
        ctx,
        Store(ctx.root),
        ResolvedStack(
            spec=spec,
            lock=lock,
            offer=torch.offer,
            torch_source=torch.source,
            sources=torch.sources,
            attempts=torch.attempts,
        ),
    )
