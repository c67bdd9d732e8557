"""What each repair of `provision doctor --fix` does to the state folder, under its lock."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from provision.actions.apply import apply
from provision.actions.context import Context
from provision.actions.plan import Request
from provision.actions.settle import settle
from provision.actions.situation import read_config_text
from provision.actions.weight_hashes import list_altered
from provision.core.config_doc import merge_config
from provision.errors import StateError
from provision.model.environment import FaultKind
from provision.model.plan import Plan
from provision.model.state import GenerationRecord
from provision.system.environment import inspect_environment
from provision.system.files import write_atomic
from provision.system.leftovers import find_leftovers, remove_leftovers
from provision.system.stack_folder import load_manifest, save_manifest
from provision.system.store import Store, build_holder
from provision.system.uv_cache import remove_from_cache

_COMMAND = "provision doctor --fix"


def finish_activation(ctx: Context, store: Store) -> None:
    """What a damaged record was to say is not known: the pointer alone decides which generation is active."""
    with store.locked(build_holder(_COMMAND, ctx.timestamp())):
        try:
            store.load_pending()
        except StateError:
            pending_path = name_pending(store)
            pending_path.rename(pending_path.with_suffix(".damaged"))
        settle(ctx, store)


def take_lock(ctx: Context, store: Store) -> None:
    """Holding the lock once writes a new holder and takes it away again."""
    with store.locked(build_holder(_COMMAND, ctx.timestamp())):
        return


def remove_left(ctx: Context, store: Store) -> None:
    """Remove what `list_leftovers` names."""
    with store.locked(build_holder(_COMMAND, ctx.timestamp())):
        remove_leftovers(store.state_dir, list_leftovers(store))


def write_config(ctx: Context, store: Store) -> None:
    """What an apply writes, without resolving and smoking anew: the active generation was verified."""
    with store.locked(build_holder(_COMMAND, ctx.timestamp())):
        active = store.load_active()
        if active is None:
            raise StateError("no generation is active", hint="provision apply auto")
        text = read_config_text(store, store.load_config())
        merged = merge_config(text, active.config, where=str(store.config_path))
        write_atomic(store.config_path, merged.encode())


def declare_stacks_altered(ctx: Context, store: Store) -> None:
    """An apply looks at sizes only, and sets aside what its manifest does not fit until the new one is complete."""
    with store.locked(build_holder(_COMMAND, ctx.timestamp())):
        active = store.load_active()
        poisoned: set[str] = set()
        for stack in active.stacks if active else ():
            if stack.is_users:
                continue
            folder = store.state_dir / stack.path
            report = inspect_environment(folder, verify_files=True)
            faulty = [item for item in report.distributions if item.fault_count]
            manifest = load_manifest(folder)
            if faulty and manifest is not None:
                save_manifest(folder, replace(manifest, packages=()))
            # A file of another content may be a hard link to uv's own copy; one that is gone is not.
            poisoned |= {
                item.name
                for item in faulty
                if any(fault.kind in (FaultKind.SIZE, FaultKind.HASH) for fault in item.faults)
            }
        if poisoned:
            remove_from_cache(poisoned, env=ctx.env)


def remove_weights(ctx: Context, store: Store) -> None:
    """Remove the files that an apply would take for whole by their sizes, the Hub's blobs behind links too."""
    with store.locked(build_holder(_COMMAND, ctx.timestamp())):
        active = store.load_active()
        for model in active.models if active else ():
            for path in list_altered(model):
                path.resolve().unlink(missing_ok=True)
                path.unlink(missing_ok=True)


def apply_again(ctx: Context, store: Store) -> None:
    """Apply what is active anew, or `auto` where that cannot be read."""
    active = load_readable(store)
    profile, models = ("auto", ()) if active is None else (active.profile, list_models(active))
    for stack in active.stacks if active is not None else ():
        if stack.is_users:
            raise StateError(
                f"what is active runs in {stack.path}, which is yours and is changed only when you say so",
                hint=f"provision apply {profile} --into {stack.path}",
            )

    def show(plan: Plan) -> None:
        for step in plan.steps:
            ctx.reporter.detail(step.title)

    apply(ctx, Request(profile=profile, models=models), agree=show)


def list_models(active: GenerationRecord) -> tuple[str, ...]:
    """Every model that the generation was asked for, those that failed their smoke too."""
    return tuple(
        dict.fromkeys([*(model.key for model in active.models), *(one.model for one in active.smoke)])
    )


def list_leftovers(store: Store) -> tuple[str, ...]:
    """What interrupted runs left, by paths relative to the state folder."""
    needed = {stack.path for number in store.list_numbers() for stack in store.load_generation(number).stacks}
    return find_leftovers(store.state_dir, needed=needed)


def name_pending(store: Store) -> Path:
    """The record of an activation that is under way."""
    return store.state_dir / "pending.json"


def load_readable(store: Store) -> GenerationRecord | None:
    """The active generation; None also where it cannot be read."""
    try:
        return store.load_active()
    except StateError:
        return None
