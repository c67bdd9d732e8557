"""A bundle on the machine that it is for: verified, unpacked, and the supply of an apply without a network."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from msgspec.structs import replace

from provision.actions.bundle import count_tenths
from provision.actions.context import Context
from provision.actions.lock_stack import ResolvedStack
from provision.actions.resolve import ResolvedSet
from provision.actions.situation import Situation
from provision.actions.unpacked_bundle import Bundle, place_weights
from provision.actions.weights import ModelFiles, ensure_weights, identify_revision
from provision.core.bundle import find_lock_problem, parse_manifest
from provision.core.bundle_target import check_machine
from provision.core.lock_text import parse_lock_text
from provision.core.models import StackSpec
from provision.core.sources import Offer
from provision.errors import BadFileError, UsageError
from provision.model.bundle import BundledStack, BundleManifest
from provision.model.catalogue import ModelSpec
from provision.model.packages import Answer, SourceAttempt, StackLock
from provision.system.bundle import extract_bundle, load_manifest_bytes, load_member, verify_bundle
from provision.system.store import Store


class BundleSupply:
    """Locks, packages and weights from the bundle at `path`, in the place of a network.

    Raises BadFileError for a file that is no bundle, altered in its list, or of a newer release.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._data = load_manifest_bytes(path)
        self.manifest = parse_manifest(self._data, where=str(path))
        self._described: Bundle | None = None
        self._is_unpacked = False

    def check(self, situation: Situation) -> None:
        """Raise BadFileError when the bundle is for another machine, UsageError for another profile or model."""
        from packaging.tags import sys_tags

        facts, fits = situation.detection.facts, situation.detection.fits
        check_machine(self.manifest, facts, fits, sys_tags(), where=str(self.path))
        profile = self.manifest.target.profile
        if situation.profile.name != profile:
            raise UsageError(
                f"{self.path} is for profile {profile}, not {situation.profile.name}",
                hint=f"provision apply {profile} --bundle {quote(str(self.path))}",
            )
        self._check_models([model.key for model in situation.selection.models])

    def _check_models(self, requested: Sequence[str]) -> None:
        held = self.manifest.models
        missing = [key for key in requested if key not in held]
        if missing:
            raise UsageError(
                f"{self.path} holds no {', '.join(missing)}, only {', '.join(held)}",
                hint=f"provision apply --bundle {quote(str(self.path))} --models {','.join(held)}",
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
        bundle = self.describe(ctx)
        if not self._is_unpacked:
            ctx.reporter.step(f"unpacking {self.path.name}")
            report = count_tenths(ctx, self.manifest.content_bytes, "unpacked")
            extract_bundle(self.path, self._data, self.manifest.members, bundle.folder, report)
            self._is_unpacked = True
        return bundle

    def describe(self, ctx: Context) -> Bundle:
        """The bundle with its locks, which are read from the file itself: nothing is unpacked or written.

        Raises BadFileError for a file that is cut short, or a lock that is altered.
        """
        if self._described is None:
            # The list holds the hash of every file, so its own stands for all.
            name = hashlib.sha256(self._data).hexdigest()[:16]
            self._described = Bundle(
                path=self.path,
                folder=Store(ctx.root).state_dir / "bundles" / name,
                manifest=self.manifest,
                locks={stack.name: self._load_lock(stack) for stack in self.manifest.stacks},
            )
        return self._described

    def prepare(self, ctx: Context) -> None:
        """Unpack it: what was planned is agreed to, and building and reading need the files. Raises as `open`."""
        self.open(ctx)

    def resolve(self, ctx: Context, situation: Situation) -> ResolvedSet:
        """The bundle's stacks that serve the wanted models; nobody is asked, and nothing is unpacked yet."""
        bundle = self.describe(ctx)
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

    def _load_lock(self, stack: BundledStack) -> StackLock:
        members = self.manifest.members
        data = load_member(self.path, self._data, members, stack.lock_member)
        return _parse_lock(data, self.path, self.manifest, stack)


def _parse_lock(data: bytes, path: Path, manifest: BundleManifest, stack: BundledStack) -> StackLock:
    where = f"{path}: {stack.lock_member}"
    sizes = {member.name: member.size_bytes for member in manifest.members}
    files = {wheel.name: sizes[wheel.member] for wheel in stack.wheels}
    try:
        text = data.decode("utf-8")
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
