"""What the checks of the state folder, of weights and of config.yaml look at."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from provision.actions.candidate import find_whole_former
from provision.actions.context import Context
from provision.actions.into_recover import find_cut_changes
from provision.actions.wholeness import find_problem
from provision.errors import BadFileError, StateError
from provision.model.checkup import ConfigView, StateView
from provision.model.state import GenerationRecord, ModelRecord
from provision.system.files import list_sizes
from provision.system.leftovers import find_leftovers, inspect_lock
from provision.system.store import Store


class Active(Struct, frozen=True, kw_only=True):
    """The active generation, or why it cannot be read; the number of an activation that was cut short."""

    record: GenerationRecord | None = None
    problem: str | None = None
    pending: int | None = None
    pending_problem: str | None = None


def name_root(ctx: Context) -> str | None:
    """The application's folder, where a command of ours would not take it by itself."""
    named = ctx.env.get("PROVISION_ROOT")
    usual = Path(named).resolve() if named else Path.cwd()
    return None if ctx.root == usual else str(ctx.root)


def load_active(store: Store) -> Active:
    """Each of the two may be damaged, and says so without hiding the other."""
    pending, pending_problem = None, None
    try:
        found = store.load_pending()
        pending = found.number if found else None
    except StateError as error:
        pending_problem = error.message
    try:
        number = store.load_active_number()
        if number is not None and pending_problem is None and number not in store.list_numbers():
            problem = f"generation {number} is named as the active one, and it is not there"
            return Active(problem=problem, pending=pending, pending_problem=pending_problem)
        return Active(record=store.load_active(), pending=pending, pending_problem=pending_problem)
    except StateError as error:
        return Active(problem=error.message, pending=pending, pending_problem=pending_problem)


def look_at_state(store: Store, active: Active) -> StateView:
    """The state folder: what is active, who works in it, what was left in it."""
    lock, holder = inspect_lock(store.state_dir)
    needed: set[str] = set()
    unreadable: list[int] = []
    # Which generations are finished is not known while the record of an activation cannot be read.
    numbers = [] if active.pending_problem else store.list_numbers()
    for number in numbers:
        try:
            needed |= {stack.path for stack in store.load_generation(number).stacks}
        except StateError:
            unreadable.append(number)
    # The stacks of a generation that cannot be read are not known, so nothing may be taken for a leftover.
    whole = not active.problem and not active.pending_problem and not unreadable
    return StateView(
        generation=active.record.number if active.record else None,
        profile=active.record.profile if active.record else None,
        problem=active.problem,
        pending=active.pending,
        pending_problem=active.pending_problem,
        unreadable=tuple(unreadable),
        lock=lock,
        lock_holder=holder,
        leftovers=find_leftovers(store.state_dir, needed=needed) if whole else (),
        cut_changes=find_cut_changes(store),
        former=find_whole_former(store) if _is_damaged(store, active) else None,
    )


def _is_damaged(store: Store, active: Active) -> bool:
    if active.problem is not None:
        return True
    return active.record is not None and find_problem(store, active.record) is not None


def look_at_config(store: Store, active: GenerationRecord | None) -> ConfigView:
    """config.yaml, and what of it is not as `active` wrote it."""
    path = str(store.config_path)
    try:
        config = store.load_config()
        if config is None:
            return ConfigView(exists=False, path=path)
        from provision.core.config_doc import check_config, diff_config

        text = config.decode("utf-8")
        check_config(text, where=path)
        drift = diff_config(text, active.config) if active else ()
    except UnicodeDecodeError as error:
        return ConfigView(exists=True, path=path, problem=f"{path}: not UTF-8 at byte {error.start}")
    except (BadFileError, StateError) as error:
        return ConfigView(exists=True, path=path, problem=error.message)
    changes = tuple(f"{item.key_path} is {item.found}" for item in drift)
    return ConfigView(exists=True, path=path, drift=changes)


def find_wrong_size(model: ModelRecord) -> str | None:
    """The first file that has not the size that it had when the model was verified."""
    found = list_sizes(Path(model.model_dir))
    return next((name for name, size in model.files.items() if found.get(name) != size), None)
