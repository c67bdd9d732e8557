"""Takes models out: a new generation of what is there, without resolving, building or reading anything anew."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from provision.actions.candidate import find_snapshot, load_stack_lock
from provision.actions.context import Context
from provision.actions.settle import settle
from provision.actions.situation import Situation, read_config_text, survey
from provision.actions.weights import identify_revision
from provision.core.config_doc import merge_config, wanted_models
from provision.core.planner import build_fingerprint
from provision.errors import ApplyFailedError, ProvisionError, StateError, UsageError
from provision.model.catalogue import ModelSpec
from provision.model.config import ConfigPatch
from provision.model.state import GenerationRecord
from provision.system.files import hash_bytes
from provision.system.store import Store, build_holder


class Removed(Struct, frozen=True, kw_only=True):
    """What a removal comes to. `dropped` are stacks that only the removed models used; gc frees them.

    `commands` remove the weights from the Hub's cache, which other applications may use.
    """

    former: int
    generation: GenerationRecord
    models: tuple[str, ...]
    dropped: tuple[str, ...]
    commands: tuple[str, ...]


def remove(ctx: Context, names: Sequence[str], *, approve: Callable[[Removed], None]) -> Removed:
    """Make a generation without the models `names` active. `approve` is shown it first and raises to stop.

    Raises UsageError for a model that is not there and for the last one, StateError without an active
    generation, ApplyFailedError when a file cannot be written; what was active before then still is.
    """
    store = Store(ctx.root)
    if not store.state_dir.is_dir():
        raise StateError(f"nothing was applied in {ctx.root}", hint="provision apply auto")
    with store.locked(build_holder(f"provision remove {' '.join(names)}", ctx.timestamp())):
        settle(ctx, store)
        active = store.load_active()
        if active is None:
            raise StateError(f"nothing was applied in {ctx.root}", hint="provision apply auto")
        gone = tuple(dict.fromkeys(names))
        _check(active, gone)
        record = _build_record(ctx, store, active, gone)
        removed = _describe(active, record, gone)
        approve(removed)
        try:
            _promote(store, active, record, gone)
        except OSError as error:
            raise ApplyFailedError(
                f"remove stopped: {error.strerror or error}: {error.filename or ctx.root}",
                hint="df -h .   # what was active before still is",
            ) from error
    return removed


def _check(active: GenerationRecord, gone: Sequence[str]) -> None:
    known = active.asked_models
    for name in gone:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}"
            raise UsageError(f"generation {active.number} has no model {name!r}", hint=hint)
    if all(model.key in gone for model in active.models):
        listed = " and ".join(model.key for model in active.models)
        raise UsageError(
            f"no model would be left without {listed}, and a generation needs one that reads",
            hint=f"provision apply {active.profile} --models OTHER   # a generation of other models",
        )


def _build_record(
    ctx: Context, store: Store, active: GenerationRecord, gone: Sequence[str]
) -> GenerationRecord:
    number = store.next_number()
    stacks = tuple(
        replace(stack, models=tuple(key for key in stack.models if key not in gone))
        for stack in active.stacks
        if any(key not in gone for key in stack.models)
    )
    return replace(
        active,
        number=number,
        created=ctx.timestamp(),
        fingerprint=_choose_fingerprint(ctx, store, active, gone),
        stacks=stacks,
        models=tuple(model for model in active.models if model.key not in gone),
        smoke=tuple(result for result in active.smoke if result.model not in gone),
        config=_build_patch(active.config, number, gone),
    )


def _build_patch(config: ConfigPatch, number: int, gone: Sequence[str]) -> ConfigPatch:
    section = config.section
    return replace(
        config,
        entries=tuple(entry for entry in config.entries if entry.key not in gone),
        section=replace(
            section,
            generation=number,
            models={key: model for key, model in section.models.items() if key not in gone},
            excluded={key: reason for key, reason in section.excluded.items() if key not in gone},
        ),
    )


def _choose_fingerprint(ctx: Context, store: Store, active: GenerationRecord, gone: Sequence[str]) -> str:
    """That of the models that stay, so that the next apply finds nothing to do.

    Only where the active generation is what an apply would make of all its models today: what has changed since
    is not verified, and the next apply has to see that.
    """
    if any(stack.is_users for stack in active.stacks):
        # Made by `apply --into`, whose fingerprint no plain apply takes for its own.
        return active.fingerprint
    try:
        situation = survey(ctx, store, active.profile, active.asked_models)
        wanted = wanted_models(read_config_text(store, store.load_config()), where=str(store.config_path))
        asked = {model.key: model for model in situation.selection.models}
        # In the order in which the next apply, to which nobody names them, finds them in config.yaml.
        models = [asked[key] for key in dict.fromkeys([*wanted, *asked]) if key in asked]
        if active.fingerprint in (situation.fingerprint, _fingerprint(ctx, situation, models)):
            return _fingerprint(ctx, situation, [model for model in models if model.key not in gone])
        reason = (
            f"the machine, the profile or a model has changed since generation {active.number} was verified"
        )
    except ProvisionError as error:
        reason = error.message
    ctx.reporter.warn(f"the next apply verifies the models that stay anew: {reason}")
    return active.fingerprint


def _fingerprint(ctx: Context, situation: Situation, models: Sequence[ModelSpec]) -> str:
    """As `survey` computes it for these models."""
    facts = situation.detection.facts
    revisions = {model.key: identify_revision(ctx, model) for model in models}
    return build_fingerprint(
        facts, situation.profile, situation.build, models, revisions, facts.host.python_version
    )


def _describe(active: GenerationRecord, record: GenerationRecord, gone: tuple[str, ...]) -> Removed:
    names = {stack.name for stack in record.stacks}
    used = {model.model_dir for model in record.models}
    snapshots = [
        snapshot
        for model in active.models
        if model.model_dir not in used and (snapshot := find_snapshot(model))
    ]
    return Removed(
        former=active.number,
        generation=record,
        models=gone,
        dropped=tuple(stack.name for stack in active.stacks if stack.name not in names),
        commands=tuple(f"hf cache rm {snapshot.revision}" for snapshot in snapshots),
    )


def _promote(store: Store, active: GenerationRecord, record: GenerationRecord, gone: tuple[str, ...]) -> None:
    """The entries of the removed models go, whoever wrote them: config.before.yaml of the generation keeps them.

    They are not in the record: a model that somebody enters again later is theirs.
    """
    before = store.load_config()
    patch = replace(record.config, taken_out=gone)
    locks = {stack.name: load_stack_lock(store, active, stack) for stack in record.stacks}
    store.promote(
        record,
        config=merge_config(read_config_text(store, before), patch, where=str(store.config_path)).encode(),
        before=before,
        before_sha256=hash_bytes(before),
        locks={name: text for name, text in locks.items() if text is not None},
    )
