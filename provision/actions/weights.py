"""Brings a model's weights to where they stay: embedded ones are copied, the others fetched from the Hub."""

from __future__ import annotations

import shutil
from pathlib import Path

from msgspec import Struct

from provision.actions.context import Context
from provision.errors import DownloadError, StateError
from provision.model.catalogue import ModelSpec
from provision.system.files import hash_folder
from provision.system.hub import fetch_model
from provision.system.resources import find_embedded_model
from provision.system.store import Store

# What describes an embedded model and is not part of it: a better sentence is no new revision.
DOCUMENTS = ("README.md", "evaluation.json")
UNPINNED = "unpinned"


class ModelFiles(Struct, frozen=True, kw_only=True):
    """Where a model lies and which revision it is: a Hub commit, or the hash of an embedded folder."""

    folder: Path
    revision: str


def identify_revision(ctx: Context, model: ModelSpec) -> str:
    """The revision that `model` is configured at, without fetching anything; UNPINNED where none is known."""
    if model.embedded is not None:
        return hash_folder(find_embedded_model(ctx.data_dir, model.embedded), leave_out=DOCUMENTS)
    return model.revision or UNPINNED


def ensure_weights(ctx: Context, store: Store, model: ModelSpec) -> ModelFiles:
    """Make the weights of `model` present. Raises DownloadError or StateError."""
    revision = identify_revision(ctx, model)
    if revision == UNPINNED:
        raise DownloadError(
            f"{model.key}: no revision of {model.repo_id} is known to us, and none is taken unseen",
            hint="write the commit that you trust as `revision:` of the model in profiles/models.yaml",
        )
    if model.embedded is None:
        ctx.reporter.detail(f"{model.repo_id} at {revision[:12]}")
        return ModelFiles(folder=fetch_model(str(model.repo_id), revision, env=ctx.env), revision=revision)
    folder = store.weights_dir / f"{model.embedded}-{revision[:12]}"
    if not folder.exists() or hash_folder(folder, leave_out=DOCUMENTS) != revision:
        _copy_whole(find_embedded_model(ctx.data_dir, model.embedded), folder)
    return ModelFiles(folder=folder, revision=revision)


def _copy_whole(source: Path, folder: Path) -> None:
    """Copy beside the target, then rename: a folder of that name is complete or not there."""
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(source, partial, ignore=shutil.ignore_patterns(*DOCUMENTS))
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except OSError as error:
        raise StateError(
            f"{folder}: {error.strerror or error}", hint="df -h .   # is the disk full?"
        ) from error
