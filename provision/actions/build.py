"""Builds a stack aside: environment, packages, inventory, and the manifest last."""

from __future__ import annotations

import tempfile
from pathlib import Path

from provision.actions.context import Context
from provision.actions.resolve import ResolvedStack, build_uv, load_package_settings
from provision.actions.wholeness import check_stack
from provision.model.state import StackManifest
from provision.system.files import write_atomic
from provision.system.stack_folder import (
    LOCK_NAME,
    find_interpreter,
    load_manifest,
    save_manifest,
    set_aside,
    take_inventory,
)
from provision.system.store import Store


def name_stack_dir(store: Store, stack: ResolvedStack) -> Path:
    """Stacks are content-addressed: the same lock is the same folder, in whichever generation."""
    return store.stacks_dir / f"{stack.spec.name}-{stack.lock.sha256[:12]}"


def build_stack(ctx: Context, store: Store, stack: ResolvedStack) -> StackManifest:
    """Make the stack complete and give its manifest; one that is complete and whole is kept as it is.

    What an interrupted build left is removed first, and what somebody altered is set aside until the new one
    is complete: uv's cache makes building again cheap. Raises ToolError with uv's words.
    """
    folder = name_stack_dir(store, stack)
    manifest = load_manifest(folder)
    if manifest is not None and check_stack(folder) is None:
        return manifest
    with set_aside(folder):
        return _build(ctx, folder, stack)


def _build(ctx: Context, folder: Path, stack: ResolvedStack) -> StackManifest:
    settings = load_package_settings(ctx)
    with tempfile.TemporaryDirectory(prefix="provision-build-") as work:
        uv = build_uv(ctx, settings, Path(work))
        uv.create_venv(folder, python=ctx.python)
        lock_path = folder / LOCK_NAME
        write_atomic(lock_path, stack.lock.text.encode())
        uv.sync(
            lock_path,
            python=find_interpreter(folder),
            sources=stack.sources,
            torch_source=stack.torch_source,
            on_line=lambda line: None if line.lstrip().startswith("+ ") else ctx.reporter.detail(line),
        )
    inventory = take_inventory(folder)
    manifest = StackManifest(
        name=stack.spec.name,
        lock_sha256=stack.lock.sha256,
        python=str(find_interpreter(folder)),
        torch=stack.offer.torch,
        torchvision=stack.offer.torchvision,
        tag=stack.offer.tag,
        torch_source=stack.torch_source.label,
        packages=inventory.packages,
        files=inventory.files,
        installed_bytes=inventory.installed_bytes,
        created=ctx.timestamp(),
    )
    save_manifest(folder, manifest)
    return manifest
