"""Builds a stack aside: environment, packages, inventory, and the manifest last."""

from __future__ import annotations

import tempfile
from pathlib import Path

from provision.actions.context import Context
from provision.actions.lock_stack import ResolvedStack
from provision.actions.uv_setup import build_uv, load_package_settings
from provision.actions.wholeness import check_stack
from provision.core.install_progress import InstallProgress
from provision.errors import StateError
from provision.model.state import StackManifest
from provision.system.files import write_atomic
from provision.system.stack_folder import (
    LOCK_NAME,
    find_interpreter,
    load_manifest,
    place_stack,
    remove_stack,
    save_manifest,
    take_inventory,
)
from provision.system.store import Store

_BUILDING = ".building-"


def name_stack_dir(store: Store, stack: ResolvedStack) -> Path:
    """Stacks are content-addressed: the same lock is the same folder, in whichever generation."""
    folder = store.stacks_dir / f"{stack.spec.name}-{stack.lock.sha256[:12]}"
    if folder.parent != store.stacks_dir or folder.name != folder.name.strip("."):
        raise StateError(f"{stack.spec.name!r} is no name of a stack")
    return folder


def build_stack(ctx: Context, store: Store, stack: ResolvedStack) -> StackManifest:
    """Make the stack complete and give its manifest; one that is complete and whole is kept as it is.

    It is built under another name and renamed when it is whole, so that whoever still writes into a build
    that was killed cannot reach it. Raises ToolError with uv's words.
    """
    folder = name_stack_dir(store, stack)
    manifest = load_manifest(folder)
    if manifest is not None and check_stack(folder) is None:
        return manifest
    _sweep(ctx, store)
    building = store.stacks_dir / f"{_BUILDING}{folder.name}-{ctx.random.getrandbits(32):08x}"
    try:
        manifest = _build(ctx, building, folder, stack)
        place_stack(building, folder)
    except BaseException:
        remove_stack(building)
        raise
    return manifest


def _sweep(ctx: Context, store: Store) -> None:
    """What killed builds left goes; where a program of theirs still writes, `gc` finds it later."""
    for left in store.stacks_dir.glob(f"{_BUILDING}*"):
        try:
            remove_stack(left)
        except StateError as error:
            ctx.reporter.detail(error.message)


def _build(ctx: Context, building: Path, folder: Path, stack: ResolvedStack) -> StackManifest:
    settings = load_package_settings(ctx)
    progress = InstallProgress(stack.lock)
    with tempfile.TemporaryDirectory(prefix="provision-build-") as work:
        uv = build_uv(ctx, settings, Path(work))
        uv.create_venv(building, python=ctx.python)
        lock_path = building / LOCK_NAME
        write_atomic(lock_path, stack.lock.text.encode())

        def show(line: str) -> None:
            for said in progress.read(line, ctx.now().timestamp()):
                (ctx.reporter.progress if said.passing else ctx.reporter.detail)(said.text)

        uv.sync(
            lock_path,
            python=find_interpreter(building),
            sources=stack.sources,
            torch_source=stack.torch_source,
            on_line=show,
        )
    inventory = take_inventory(building)
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
    save_manifest(building, manifest)
    return manifest
