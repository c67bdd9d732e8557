"""Whether a generation can be returned to: what it lacks on disk, and what of that can be brought back."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec import Struct

from provision.actions.wholeness import check_recorded, check_weights
from provision.errors import StateError
from provision.model.state import GenerationRecord, ModelRecord, StackRecord
from provision.system.files import hash_bytes
from provision.system.stack_folder import LOCK_NAME
from provision.system.store import Store

_SNAPSHOT = re.compile(r"models--([^/\\]{1,200})[/\\]snapshots[/\\]([0-9a-f]{40})")


class BrokenStack(Struct, frozen=True, kw_only=True):
    """A stack that is not as it was verified, why, and the lock that it was built from."""

    record: StackRecord
    problem: str
    lock: str


class Candidate(Struct, frozen=True, kw_only=True):
    """A generation that may become active. `obstacle` is what keeps it from that, `hint` what would help."""

    record: GenerationRecord
    broken: tuple[BrokenStack, ...] = ()
    obstacle: str | None = None
    hint: str | None = None


class HubSnapshot(Struct, frozen=True, kw_only=True):
    """One revision of a model in the Hub's cache."""

    repo_id: str
    revision: str


def inspect_generation(store: Store, record: GenerationRecord, *, can_build: bool) -> Candidate:
    """What stands between this generation and being active. Looks at files and sizes, no hashes."""
    for model in record.models:
        problem = check_weights(model)
        if problem is not None:
            return Candidate(
                record=record, obstacle=f"weights of {model.key}: {problem}", hint=_suggest_weights(model)
            )
    broken = []
    for stack in record.stacks:
        problem = check_recorded(store, record.number, stack)
        if problem is None:
            continue
        if stack.is_users:
            return Candidate(
                record=record,
                obstacle=f"environment {stack.path}: {problem}",
                hint=f"provision apply {record.profile} --into {stack.path}",
            )
        lock = load_stack_lock(store, record, stack)
        if lock is None or not can_build:
            lost = ", and the lock that it was built from was not kept" if lock is None else ""
            return Candidate(
                record=record,
                obstacle=f"stack {stack.name}: {problem}{lost}",
                hint=f"provision apply {record.profile} --models {','.join(record.asked_models)}",
            )
        broken.append(BrokenStack(record=stack, problem=problem, lock=lock))
    return Candidate(record=record, broken=tuple(broken))


def find_whole_former(store: Store) -> int | None:
    """The newest generation before the active one that could be active at once; None where there is none."""
    try:
        active = store.load_active_number()
    except StateError:
        active = None
    for number in reversed(store.list_numbers()):
        if active is not None and number >= active:
            continue
        try:
            found = inspect_generation(store, store.load_generation(number), can_build=False)
        except StateError:
            continue
        if found.obstacle is None:
            return number
    return None


def load_stack_lock(store: Store, record: GenerationRecord, stack: StackRecord) -> str | None:
    """The very lock of a stack: the generation's own copy, else the one in the stack's folder; None without one."""
    path = store.state_dir / stack.path / LOCK_NAME
    kept = store.load_lock(record.number, stack.name)
    found = kept.encode() if kept is not None else None
    for data in (found, path.read_bytes() if path.is_file() else None):
        if data is not None and hash_bytes(data) == stack.lock_sha256:
            return data.decode()
    return None


def find_snapshot(model: ModelRecord) -> HubSnapshot | None:
    """Which revision of which repository of the Hub a model was configured with; None for an embedded one."""
    found = _SNAPSHOT.search(model.model_dir)
    if found is None:
        return None
    return HubSnapshot(repo_id=found[1].replace("--", "/"), revision=found[2])


def _suggest_weights(model: ModelRecord) -> str:
    snapshot = find_snapshot(model)
    if snapshot is None:
        return f"provision apply auto --models {model.key}   # {Path(model.model_dir).name} is copied anew"
    return f"hf download {snapshot.repo_id} --revision {snapshot.revision}"
