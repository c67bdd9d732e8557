"""A bundle below the state folder: its wheels as a source, and its weights, which outlive it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath

from msgspec import Struct

from provision.actions.weights import ModelFiles
from provision.errors import BadFileError, StateError
from provision.model.bundle import BundledModel, BundleManifest
from provision.model.packages import Source, SourceKind, StackLock
from provision.system.store import Store


class Bundle(Struct, frozen=True, kw_only=True):
    """A bundle that was unpacked to `folder`, or will be. `locks` are its stacks' by name."""

    path: Path
    folder: Path
    manifest: BundleManifest
    locks: dict[str, StackLock]

    @property
    def wheels_dir(self) -> Path:
        """The folder of all wheels: the only source of packages."""
        return self.folder / "wheels"

    @property
    def source(self) -> Source:
        """`wheels_dir` as a source of packages."""
        return Source(
            kind=SourceKind.FIND_LINKS,
            location=str(self.wheels_dir),
            origin="bundle",
            label=self.path.name,
        )

    def find_model(self, key: str) -> BundledModel | None:
        """The model called `key` when its weights are in the bundle."""
        return next((model for model in self.manifest.weights if model.key == key), None)

    def weights_dir(self, key: str) -> Path | None:
        """The folder of a model's files, None when the bundle has none of it."""
        model = self.find_model(key)
        return None if model is None else self.folder / model.folder


def place_weights(bundle: Bundle, store: Store, key: str, revision: str) -> ModelFiles | None:
    """The bundle's files of a model among the state's weights, where they outlive the bundle; None without any.

    `revision` is the one that this machine's catalogue names. The files are linked, not copied, where the file
    system can. Raises BadFileError when the bundle has another revision, StateError.
    """
    model = bundle.find_model(key)
    if model is None:
        return None
    if model.revision != revision:
        raise BadFileError(
            f"{bundle.path} holds {key} at revision {model.revision[:12]}, here {revision[:12]} is configured",
            hint="make the bundle with the same release of provision",
        )
    source, folder = bundle.folder / model.folder, store.weights_dir / f"{key}-{revision[:12]}"
    members = [item for item in bundle.manifest.members if item.name.startswith(f"{model.folder}/")]
    relative = {str(PurePosixPath(item.name).relative_to(model.folder)): item.size_bytes for item in members}
    try:
        if not _has_sizes(folder, relative):
            partial = folder.with_name(f".{folder.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(source, partial, copy_function=_link_or_copy)
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
    except OSError as error:
        raise StateError(
            f"{folder}: {error.strerror or error}", hint="df -h .   # is the disk full?"
        ) from error
    return ModelFiles(folder=folder, revision=revision)


def _has_sizes(folder: Path, sizes: dict[str, int]) -> bool:
    try:
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except FileNotFoundError:
        return False


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target
