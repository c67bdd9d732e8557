"""The models of a lock: their revisions, their files with hashes, and how they read in the active generation."""

from __future__ import annotations

from collections.abc import Sequence

from provision.actions.context import Context
from provision.actions.situation import Situation
from provision.actions.weights import DOCUMENTS, identify_revision
from provision.errors import UsageError
from provision.model.catalogue import ModelSpec
from provision.model.lockfile import ExpectedSmoke, LockedFile, LockedModel, LockedStack
from provision.model.state import GenerationRecord
from provision.system.lockfile import inspect_cached_model, inspect_folder
from provision.system.resources import find_embedded_model


def build_locked_models(
    ctx: Context, situation: Situation, stacks: Sequence[LockedStack]
) -> tuple[LockedModel, ...]:
    """Every selected model. Files are those that this machine has; nothing is fetched for a lock.

    Raises BadFileError when an embedded model is missing, UsageError for a model without a known commit.
    """
    places = {key: stack.name for stack in stacks for key in stack.models}
    return tuple(
        _lock_model(ctx, situation.active, model, places[model.key])
        for model in situation.selection.models
        if model.key in places
    )


def _lock_model(ctx: Context, active: GenerationRecord | None, model: ModelSpec, stack: str) -> LockedModel:
    revision = _choose_revision(ctx, active, model)
    files = list_model_files(ctx, model, revision)
    return LockedModel(
        key=model.key,
        stack=stack,
        repo_id=model.repo_id if model.embedded is None else None,
        embedded=model.embedded,
        revision=revision,
        smoke=None if active is None else _find_smoke(active, model.key, revision),
        files=tuple(file for file in files if not _is_code(file)),
        remote_code=tuple(file for file in files if _is_code(file)),
    )


def _choose_revision(ctx: Context, active: GenerationRecord | None, model: ModelSpec) -> str:
    """The catalogue's commit, else the one that the active generation fetched."""
    if model.embedded is not None or model.revision is not None:
        return identify_revision(ctx, model)
    fetched = active.models if active is not None else ()
    found = next((record.revision for record in fetched if record.key == model.key), None)
    if found is None:
        raise UsageError(
            f"{model.key} cannot be locked: no commit of {model.repo_id} is known yet",
            hint=f"provision apply auto --models {model.key}   # fetches one, which is then locked",
        )
    return found


def list_model_files(ctx: Context, model: ModelSpec, revision: str) -> tuple[LockedFile, ...]:
    """The files of a model at `revision` as this machine has them; none where it has not."""
    if model.embedded is not None:
        return inspect_folder(find_embedded_model(ctx.data_dir, model.embedded), leave_out=DOCUMENTS)
    return inspect_cached_model(str(model.repo_id), revision, env=ctx.env)


def _is_code(file: LockedFile) -> bool:
    return file.path.endswith(".py")


def _find_smoke(active: GenerationRecord, key: str, revision: str) -> ExpectedSmoke | None:
    """How the model read in the active generation, if that had it at the same revision."""
    if all((model.key, model.revision) != (key, revision) for model in active.models):
        return None
    result = next((result for result in active.smoke if result.model == key), None)
    if result is None:
        return None
    return ExpectedSmoke(
        verdict=result.verdict, dtype=result.dtype, attention=result.attention, cer=result.cer
    )
