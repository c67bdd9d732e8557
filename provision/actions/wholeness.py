"""Whether what a generation refers to is on disk as it was verified: files and sizes, no hashes."""

from __future__ import annotations

from pathlib import Path

from provision.errors import ToolError
from provision.model.state import GenerationRecord, ModelRecord, StackRecord
from provision.system.files import list_sizes
from provision.system.stack_folder import load_manifest, take_inventory
from provision.system.store import Store


def find_problem(store: Store, record: GenerationRecord) -> str | None:
    """What of a generation's stacks and weights is missing or has another size than it had; None if nothing."""
    for stack in record.stacks:
        problem = check_recorded(store, record.number, stack)
        if problem is not None:
            return f"stack {stack.name}: {problem}"
    for model in record.models:
        problem = check_weights(model)
        if problem is not None:
            return f"weights of {model.key}: {problem}"
    return None


def check_recorded(store: Store, generation: int, stack: StackRecord) -> str | None:
    """Why a stack of a generation is not what was verified, one of the user's too; None when it is."""
    if not stack.is_users:
        return check_stack(store.state_dir / stack.path)
    from provision.actions.into_recover import check_environment_stack

    return check_environment_stack(store, generation, Path(stack.path))


def check_stack(folder: Path) -> str | None:
    """Why the stack in `folder` is not what was installed; None when every listed file has its size."""
    manifest = load_manifest(folder)
    if manifest is None:
        return "it is missing or was not finished"
    try:
        installed = take_inventory(folder).packages
    except ToolError as error:
        return error.message
    return None if installed == manifest.packages else "its packages are not those that were installed"


def check_weights(model: ModelRecord) -> str | None:
    """Why the files of `model` are not those that were verified; None when all have their size."""
    found = list_sizes(Path(model.model_dir))
    wrong = [name for name, size in model.files.items() if found.get(name) != size]
    return f"{wrong[0]} is missing or has another size" if wrong else None
