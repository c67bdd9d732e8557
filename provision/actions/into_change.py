"""The steps of changing a user's environment: fetch aside, save what will change, remove and install."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from provision.actions.context import Context
from provision.actions.into_plan import PreparedChange
from provision.actions.into_recover import load_freeze
from provision.actions.uv_setup import build_uv, load_package_settings
from provision.core.into import select_requirements
from provision.core.into_environment import check_scope
from provision.errors import StateError, UsageError
from provision.model.into import ChangeKind, Scope, Snapshot
from provision.system.environment_change import install_packages, remove_folders, remove_packages
from provision.system.environment_scope import find_read_only, find_scope
from provision.system.environment_snapshot import estimate_copied_bytes, take_snapshot
from provision.system.stack_folder import find_interpreter
from provision.system.uv import Uv

_REMOVE_LIST, _INSTALL_LIST, _STAGE = "remove.txt", "install.txt", "stage"
_OUTGOING = (ChangeKind.CHANGE, ChangeKind.REPAIR, ChangeKind.REMOVE)
# The packages one by one, and what of the lock lies not beside the new ones but in the environment already.
_NOT_SHOWN = ("+ ", "- ", "warning: The package `")


@contextmanager
def open_uv(ctx: Context) -> Iterator[Uv]:
    with tempfile.TemporaryDirectory(prefix="provision-into-") as work:
        yield build_uv(ctx, load_package_settings(ctx), Path(work))


def write_lists(folder: Path, prepared: PreparedChange) -> None:
    plan = prepared.plan
    installed = plan.list_changes(ChangeKind.ADD, ChangeKind.CHANGE, ChangeKind.REPAIR)
    names = "".join(f"{change.name}\n" for change in plan.list_changes(*_OUTGOING))
    (folder / _REMOVE_LIST).write_text(names, encoding="utf-8")
    text = select_requirements(prepared.stack.lock, (change.name for change in installed))
    (folder / _INSTALL_LIST).write_text(text, encoding="utf-8")


def stage_packages(ctx: Context, uv: Uv, folder: Path, prepared: PreparedChange) -> Scope:
    """Fetch and unpack what is new beside the environment, which tells every path that it will have.

    A download that fails has touched nothing then, and what comes after it is done from uv's cache.
    """
    ctx.reporter.step("fetching the new packages")
    found, stage = prepared.found, folder / _STAGE
    uv.create_venv(stage, python=found.python)
    if (folder / _INSTALL_LIST).stat().st_size:
        uv.sync(
            folder / _INSTALL_LIST,
            python=find_interpreter(stage),
            sources=prepared.stack.sources,
            torch_source=prepared.stack.torch_source,
            on_line=_show(ctx),
        )
    scope = find_scope(
        found.prefix,
        outgoing={change.name for change in prepared.plan.list_changes(*_OUTGOING)},
        stage=stage,
        site_dirs=[Path(site) for site in found.view.site_dirs],
        scripts_dir=Path(found.view.scripts_dir),
    )
    shutil.rmtree(stage)
    return scope


def _show(ctx: Context) -> Callable[[str], None]:
    return lambda line: None if line.lstrip().startswith(_NOT_SHOWN) else ctx.reporter.detail(line)


def save_files(ctx: Context, folder: Path, prepared: PreparedChange, scope: Scope) -> Snapshot:
    """Check that all can be written, then save what will be changed."""
    prefix = prepared.found.prefix
    paths = scope.unlinked | scope.written
    check_scope(sorted(paths))
    locked = find_read_only(prefix, paths)
    if locked is not None:
        raise UsageError(f"{locked} may not be written to", hint=f"ls -ld {locked}")
    needed, free = estimate_copied_bytes(prefix, folder, scope), shutil.disk_usage(folder).free
    if needed > free:
        raise StateError(
            f"a snapshot of {prefix} needs {_megabytes(needed)} in {folder}, and {_megabytes(free)} are free",
            hint=f"df -h {folder}",
        )
    ctx.reporter.step(f"saving what will change in {prefix}")
    freeze = load_freeze(ctx, prefix)
    snapshot = take_snapshot(prefix, folder, scope, freeze=freeze, created=ctx.timestamp())
    kept = len(snapshot.entries)
    ctx.reporter.detail(
        f"{kept} paths: {_megabytes(snapshot.copied_bytes)} copied, "
        f"{_megabytes(snapshot.linked_bytes)} kept by a second name"
    )
    return snapshot


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def install_lists(ctx: Context, uv: Uv, folder: Path, prepared: PreparedChange, scope: Scope) -> None:
    """Remove first, then install.

    nvidia-cudnn-cu12 and -cu13 own the same files, and the one that goes would take them along. Nor does uv replace
    torch 2.11.0+cu126 by a torch 2.11.0 that is built for another CUDA: to it that one satisfies the pin.
    """
    found = prepared.found
    ctx.reporter.step(f"changing {found.prefix}")
    if (folder / _REMOVE_LIST).stat().st_size:
        remove_packages(uv, folder / _REMOVE_LIST, python=found.python)
        # uv removes what RECORD lists: one more file in it, and the folder would count as a second torch.
        remove_folders(found.prefix, scope.info_dirs)
    if (folder / _INSTALL_LIST).stat().st_size:
        install_packages(
            uv,
            folder / _INSTALL_LIST,
            python=found.python,
            sources=prepared.stack.sources,
            torch_source=prepared.stack.torch_source,
            on_line=_show(ctx),
        )
