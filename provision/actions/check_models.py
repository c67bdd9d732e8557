"""`provision smoke`: models read again, in their stack or in an interpreter of the user's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from provision.actions.context import Context
from provision.actions.detect import detect
from provision.actions.knowledge import load_catalogue, load_knowledge
from provision.actions.smoke import Subject, smoke_stack
from provision.core.models import PRIMARY_STACK, choose_models, find_family, find_model
from provision.core.profiles import AUTO, choose_profile
from provision.errors import StateError, UsageError
from provision.model.profile import Profile
from provision.model.smoke import SmokeResult
from provision.model.state import GenerationRecord
from provision.system.resources import find_embedded_model, load_text
from provision.system.stack_folder import find_interpreter
from provision.system.store import Store

_APPLY_FIRST = "provision apply auto"


def check_models(
    ctx: Context, requested: Sequence[str], *, model_path: Path | None, interpreter: Path | None
) -> tuple[SmokeResult, ...]:
    """Smoke the configured models, those of them that are named, or the one at `model_path`; change nothing.

    With `interpreter` an environment of the user's is used, which must have torch and transformers, and no
    generation is needed. Raises StateError when nothing is configured, UsageError for an unknown model.
    """
    active = Store(ctx.root).load_active()
    if model_path is not None and requested:
        raise UsageError("either models are named or --model-path is given", hint="provision smoke --help")
    if model_path is not None:
        subjects = [_describe_folder(ctx, model_path)]
        stacks = {subjects[0].key: _choose_stack(active, interpreter)}
    elif interpreter is not None:
        subjects = _list_embedded(ctx, requested)
        stacks = dict.fromkeys((subject.key for subject in subjects), "environment")
    else:
        subjects, stacks = _list_configured(ctx, active, requested)
    profile = _choose_profile(ctx, active, interpreter)
    results: list[SmokeResult] = []
    for stack in dict.fromkeys(stacks.values()):
        python = interpreter or _find_stack_interpreter(ctx, active, stack)
        ctx.reporter.step(f"letting the models of stack {stack} read")
        mine = [subject for subject in subjects if stacks[subject.key] == stack]
        results += smoke_stack(ctx, profile, stack, python, mine)
    return tuple(results)


def _describe_folder(ctx: Context, folder: Path) -> Subject:
    """The model in `folder`, asked as the catalogue's model of the same architecture is."""
    config_path = folder / "config.json"
    try:
        config = msgspec.json.decode(load_text(config_path), type=dict)
    except msgspec.DecodeError as error:
        raise UsageError(f"{config_path}: not JSON: {error}", hint=f"ls {folder}") from error
    model = find_family(config.get("model_type"), load_catalogue(ctx), where=str(config_path))
    return Subject(key=folder.resolve().name, model=model, folder=folder.resolve())


def _choose_stack(active: GenerationRecord | None, interpreter: Path | None) -> str:
    if interpreter is not None:
        return "environment"
    return active.stacks[0].name if active is not None else PRIMARY_STACK


def _list_embedded(ctx: Context, requested: Sequence[str]) -> list[Subject]:
    models = choose_models(requested, (), load_catalogue(ctx)).models
    foreign = [model.key for model in models if model.embedded is None]
    if foreign:
        raise UsageError(
            f"{foreign[0]} has no weights beside this tool",
            hint="provision smoke --python PATH --model-path FOLDER",
        )
    return [
        Subject(key=model.key, model=model, folder=find_embedded_model(ctx.data_dir, str(model.embedded)))
        for model in models
    ]


def _list_configured(
    ctx: Context, active: GenerationRecord | None, requested: Sequence[str]
) -> tuple[list[Subject], dict[str, str]]:
    if active is None:
        raise StateError(f"nothing was applied in {ctx.root}", hint=_APPLY_FIRST)
    catalogue = load_catalogue(ctx)
    records = {record.key: record for record in active.models}
    for key in requested:
        if find_model(key, catalogue).key not in records:
            raise UsageError(f"{key} is not configured here", hint=f"provision apply auto --models {key}")
    chosen = [records[key] for key in dict.fromkeys(requested)] if requested else list(records.values())
    subjects = [
        Subject(key=record.key, model=find_model(record.key, catalogue), folder=Path(record.model_dir))
        for record in chosen
    ]
    return subjects, {record.key: record.stack for record in chosen}


def _choose_profile(ctx: Context, active: GenerationRecord | None, interpreter: Path | None) -> Profile:
    if active is not None and interpreter is None:
        knowledge = load_knowledge(ctx)
        known = [profile for profile in knowledge.profiles if profile.name == active.profile]
        if known:
            return known[0]
    detection = detect(ctx)
    return choose_profile(AUTO, detection.fits, detection.knowledge.profiles, detection.facts)


def _find_stack_interpreter(ctx: Context, active: GenerationRecord | None, stack: str) -> Path:
    if active is None:
        raise StateError(f"nothing was applied in {ctx.root}", hint=_APPLY_FIRST)
    record = next(record for record in active.stacks if record.name == stack)
    python = find_interpreter(Store(ctx.root).state_dir / record.path)
    if not python.exists():
        hint = f"provision apply {active.profile} --into {record.path}" if record.is_users else _APPLY_FIRST
        raise StateError(f"stack {stack} is missing: {python}", hint=hint)
    return python
