"""The bill of materials of the active generation, or of `provision.lock` where nothing was applied."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from shlex import quote

from provision.actions.context import Context
from provision.actions.knowledge import load_catalogue
from provision.actions.known_locks import load_lock_document
from provision.actions.locked_stacks import load_kept_lock
from provision.core.sbom import render_bill
from provision.errors import StateError, ToolError, UsageError
from provision.model.catalogue import Catalogue
from provision.model.sbom import Bill, BilledModel, BilledStack
from provision.model.state import GenerationRecord
from provision.system.files import write_atomic
from provision.system.lockfile import LOCKFILE_NAME, inspect_folder
from provision.system.package_metadata import load_package_metadata
from provision.system.store import Store


def build_bill(ctx: Context, *, use_lockfile: bool = False) -> Bill:
    """What is installed, from the state folder and the stacks; licences and needs where a stack is built.

    Raises UsageError when there is nothing to bill.
    """
    store, catalogue = Store(ctx.root), load_catalogue(ctx)
    active = None if use_lockfile else store.load_active()
    return _bill_lockfile(ctx, catalogue) if active is None else _bill_generation(store, active, catalogue)


def render_sbom(bill: Bill) -> str:
    """The CycloneDX document. Raises ToolError when its library is not installed."""
    if importlib.util.find_spec("cyclonedx") is None:
        raise ToolError(
            "cyclonedx-python-lib is not installed", hint="python -m pip install 'provision[trust]'"
        )
    return render_bill(bill)


def check_folder(path: Path) -> None:
    """Whether the folder of `path` is there: a mistyped one is not made. Raises UsageError."""
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such folder", hint=f"mkdir -p {quote(str(path.parent))}")


def save_sbom(path: Path, text: str) -> None:
    """Write the document whole or not at all. Raises UsageError without its folder, StateError."""
    check_folder(path)
    try:
        write_atomic(path, text.encode())
    except OSError as error:
        raise StateError(
            f"{path}: {error.strerror or error}", hint=f"ls -ld {quote(str(path.parent))}"
        ) from error


def _bill_generation(store: Store, active: GenerationRecord, catalogue: Catalogue) -> Bill:
    stacks = []
    for record in active.stacks:
        own = load_kept_lock(store, active.number, record)
        stacks.append(
            BilledStack(
                name=record.name,
                models=record.models,
                lock=own,
                installed=load_package_metadata(store.state_dir / record.path),
            )
        )
    models = []
    for model in active.models:
        known = catalogue.get(model.key)
        models.append(
            BilledModel(
                key=model.key,
                stack=model.stack,
                repo_id=known.repo_id if known else None,
                revision=model.revision,
                licence=known.licence if known else None,
                files=inspect_folder(Path(model.model_dir)),
            )
        )
    return Bill(
        subject=f"generation {active.number}",
        profile=active.profile,
        created=active.created,
        stacks=tuple(stacks),
        models=tuple(models),
    )


def _bill_lockfile(ctx: Context, catalogue: Catalogue) -> Bill:
    document = load_lock_document(ctx.root)
    if document is None:
        raise UsageError(
            f"nothing was applied here yet, and there is no {LOCKFILE_NAME}", hint="provision lock"
        )
    lockfile = document.lockfile
    return Bill(
        subject=LOCKFILE_NAME,
        profile=lockfile.profile,
        created=None,
        stacks=tuple(
            BilledStack(
                name=stack.name,
                models=stack.models,
                lock=document.locks[stack.name],
                installed={},
            )
            for stack in lockfile.stacks
        ),
        models=tuple(
            BilledModel(
                key=model.key,
                stack=model.stack,
                repo_id=model.repo_id,
                revision=model.revision,
                licence=known.licence if (known := catalogue.get(model.key)) else None,
                files=(*model.files, *model.remote_code),
            )
            for model in lockfile.models
        ),
    )
