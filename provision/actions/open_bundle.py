"""A bundle on the machine that it is for: verified, unpacked, and the supply of an apply without a network."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from msgspec import Struct
from msgspec.structs import replace

from provision.actions.bundle import count_tenths
from provision.actions.context import Context
from provision.actions.resolve import ResolvedSet, ResolvedStack
from provision.actions.situation import Situation
from provision.actions.weights import ModelFiles, ensure_weights, identify_revision
from provision.core.bundle import find_lock_problem, parse_manifest
from provision.core.bundle_target import check_machine
from provision.core.lock_text import parse_lock_text
from provision.core.models import StackSpec
from provision.core.sources import Offer
from provision.errors import BadFileError, StateError, UsageError
from provision.model.bundle import BundledModel, BundledStack, BundleManifest
from provision.model.catalogue import ModelSpec
from provision.model.packages import Answer, Source, SourceAttempt, SourceKind, StackLock
from provision.system.bundle import extract_bundle, load_manifest_bytes, verify_bundle
from provision.system.store import Store


class Bundle(Struct, frozen=True, kw_only=True):
    """A bundle that was unpacked to `folder`. `locks` are its stacks' by name."""

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


class BundleSupply:
    """Locks, packages and weights from the bundle at `path`, in the place of a network.

    Raises BadFileError for a file that is no bundle, altered in its list, or of a newer release.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._data = load_manifest_bytes(path)
        self.manifest = parse_manifest(self._data, where=str(path))
        self._opened: Bundle | None = None

    def check(self, situation: Situation) -> None:
        """Raise BadFileError when the bundle is for another machine, UsageError for another profile or model."""
        from packaging.tags import sys_tags

        facts, fits = situation.detection.facts, situation.detection.fits
        check_machine(self.manifest, facts, fits, sys_tags(), where=str(self.path))
        profile = self.manifest.target.profile
        if situation.profile.name != profile:
            raise UsageError(
                f"{self.path} is for profile {profile}, not {situation.profile.name}",
                hint=f"provision apply {profile} --bundle {self.path}",
            )
        self._check_models([model.key for model in situation.selection.models])

    def _check_models(self, requested: Sequence[str]) -> None:
        held = self.manifest.models
        missing = [key for key in requested if key not in held]
        if missing:
            raise UsageError(
                f"{self.path} holds no {', '.join(missing)}, only {', '.join(held)}",
                hint=f"provision apply --bundle {self.path} --models {','.join(held)}",
            )

    def verify(self, ctx: Context) -> None:
        """Read the whole file and compare it with its list, on whichever machine. Raises BadFileError."""
        members = self.manifest.members
        ctx.reporter.step(f"verifying {len(members)} files")
        verify_bundle(
            self.path, self._data, members, count_tenths(ctx, self.manifest.content_bytes, "verified")
        )

    def open(self, ctx: Context) -> Bundle:
        """Unpack below the state folder what is not there yet, and verify all of it.

        Raises BadFileError for a file that is cut short or altered, StateError without space.
        """
        if self._opened is None:
            # The list holds the hash of every file, so its own stands for all.
            name = hashlib.sha256(self._data).hexdigest()[:16]
            folder = Store(ctx.root).state_dir / "bundles" / name
            ctx.reporter.step(f"unpacking {self.path.name}")
            report = count_tenths(ctx, self.manifest.content_bytes, "unpacked")
            extract_bundle(self.path, self._data, self.manifest.members, folder, report)
            locks = {
                stack.name: _load_lock(self.path, folder, self.manifest, stack)
                for stack in self.manifest.stacks
            }
            self._opened = Bundle(path=self.path, folder=folder, manifest=self.manifest, locks=locks)
        return self._opened

    def resolve(self, ctx: Context, situation: Situation) -> ResolvedSet:
        """The bundle's stacks that serve the wanted models; nobody is asked. Unpacks the bundle."""
        bundle = self.open(ctx)
        wanted = {model.key for model in situation.selection.models}
        stacks = tuple(
            _build_stack(bundle, stack, tuple(key for key in stack.models if key in wanted))
            for stack in self.manifest.stacks
            if wanted & set(stack.models)
        )
        return ResolvedSet(stacks=stacks, separations=())

    def bring_weights(self, ctx: Context, store: Store, model: ModelSpec) -> ModelFiles:
        """The bundle's files of `model`, else those that this machine has."""
        revision = identify_revision(ctx, model)
        return place_weights(self.open(ctx), store, model.key, revision) or ensure_weights(ctx, store, model)


def _load_lock(path: Path, folder: Path, manifest: BundleManifest, stack: BundledStack) -> StackLock:
    where = f"{path}: {stack.lock_member}"
    sizes = {member.name: member.size_bytes for member in manifest.members}
    files = {wheel.name: sizes[wheel.member] for wheel in stack.wheels}
    try:
        text = (folder / stack.lock_member).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadFileError(f"{where}: not UTF-8 at byte {error.start}", hint=_HINT) from error
    lock = parse_lock_text(text, where=where)
    wheels = tuple(replace(wheel, size_bytes=files.get(wheel.name)) for wheel in lock.wheels)
    lock = replace(lock, wheels=wheels)
    problem = find_lock_problem(stack, lock, manifest.members)
    if problem is None and lock.sha256 != stack.lock_sha256:
        problem = f"the lock of stack {stack.name!r} is not written as a lock is"
    if problem is not None:
        raise BadFileError(f"{path} is refused: {problem}", hint=_HINT)
    return lock


_HINT = "make it again: provision bundle FILE"


def _build_stack(bundle: Bundle, stack: BundledStack, models: tuple[str, ...]) -> ResolvedStack:
    source = bundle.source
    pair = f"torch {stack.torch}" + (f" and torchvision {stack.torchvision}" if stack.torchvision else "")
    return ResolvedStack(
        spec=StackSpec(
            name=stack.name,
            models=models,
            requirements=stack.requirements,
            torchvision_needed=stack.torchvision_needed,
        ),
        lock=bundle.locks[stack.name],
        offer=Offer(torch=stack.torch, torchvision=stack.torchvision, tag=stack.tag),
        torch_source=source,
        sources=(source,),
        attempts=(
            SourceAttempt(
                source=source,
                answer=Answer.SERVES,
                detail=pair,
                torch=stack.torch,
                torchvision=stack.torchvision,
            ),
        ),
    )


def isolate(ctx: Context) -> Context:
    """`ctx` for programs that must not look for a network: uv and the Hub's library."""
    offline = {"PIP_NO_INDEX": "1", "UV_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    return replace(ctx, env={**ctx.env, **offline})


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
