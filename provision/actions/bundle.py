"""Packs wheels, weights and locks for a machine that has no network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from shlex import quote

from msgspec import Struct
from msgspec.structs import replace

from provision import __version__
from provision.actions.bundle_parts import Part, collect_weights, collect_wheels, estimate_weights
from provision.actions.bundle_tool import collect_tool
from provision.actions.context import Context
from provision.actions.lock_stack import ResolvedStack
from provision.actions.package_policy import build_policy
from provision.actions.resolve import resolve_models
from provision.actions.situation import Situation, survey
from provision.core.bundle import README_MEMBER, TOOL_DIR, build_readme, find_problem, render_manifest
from provision.core.bundle_target import LockedFile, describe_gpus
from provision.errors import StateError
from provision.model.bundle import (
    BundledModel,
    BundledStack,
    BundledWheel,
    BundleManifest,
    BundleTarget,
    Member,
)
from provision.model.facts import Probe
from provision.system.bundle import compute_archive_bytes
from provision.system.bundle_writer import check_destination, write_bundle
from provision.system.resolution_cache import find_cache_dir
from provision.system.spaces import find_spaces
from provision.system.store import Store


class BundlePlan(Struct, frozen=True, kw_only=True):
    """What a bundle would hold. Sizes are of what is packed; `wheels_dir` keeps what is fetched for it."""

    situation: Situation
    target: BundleTarget
    stacks: tuple[ResolvedStack, ...]
    with_weights: bool
    with_tool: bool
    exclude_newer: str | None
    wheels_bytes: int
    weights_bytes: int
    wheels_dir: Path

    @property
    def content_bytes(self) -> int:
        """About the size of the archive."""
        return self.wheels_bytes + self.weights_bytes


class Bundled(Struct, frozen=True, kw_only=True):
    """A bundle that was written. `sha256` is of the whole file."""

    path: Path
    manifest: BundleManifest
    archive_bytes: int
    sha256: str


def plan_bundle(
    ctx: Context,
    profile_name: str,
    requested: Sequence[str],
    *,
    probe: Probe | None = None,
    with_weights: bool = True,
    with_tool: bool = True,
    exclude_newer: str | None = None,
) -> BundlePlan:
    """Resolve what the machine of `probe` needs, or this one; fetches nothing and changes nothing.

    Raises what surveying and resolving raise.
    """
    ctx.reporter.step("looking at the machine")
    situation = survey(ctx, Store(ctx.root), profile_name, requested, probe, building=True)
    for assumption in situation.assumptions:
        ctx.reporter.warn(assumption)
    ctx.reporter.step(f"resolving packages for profile {situation.profile.name}")
    policy = build_policy(ctx, exclude_newer)
    resolved = resolve_models(
        ctx,
        situation.selection.models,
        situation.profile,
        situation.build,
        situation.detection.facts,
        target=situation.target,
        policy=policy,
    )
    # A package that several stacks lock alike is one file.
    wheels = {wheel.hashes: wheel.size_bytes or 0 for stack in resolved.stacks for wheel in stack.lock.wheels}
    models = situation.selection.models if with_weights else ()
    cache = find_cache_dir(ctx.env)
    return BundlePlan(
        situation=situation,
        target=_describe_target(situation),
        stacks=resolved.stacks,
        with_weights=with_weights,
        with_tool=with_tool,
        exclude_newer=policy.exclude_newer,
        wheels_bytes=sum(wheels.values()),
        weights_bytes=sum(estimate_weights(ctx, model) for model in models),
        wheels_dir=(cache or ctx.root / ".provision") / "wheels",
    )


def _describe_target(situation: Situation) -> BundleTarget:
    facts, profile = situation.detection.facts, situation.profile
    fit = next((fit for fit in situation.detection.fits if fit.name == profile.name), None)
    return BundleTarget(
        profile=profile.name,
        platform=facts.host.platform,
        python=".".join(facts.host.python_version.split(".")[:2]),
        # A profile that was named although it does not fit here is for a machine that is not known.
        gpus=describe_gpus(facts) if fit is not None and fit.fits else (),
    )


def make_bundle(ctx: Context, plan: BundlePlan, path: Path) -> Bundled:
    """Fetch, verify and pack everything into `path`, which appears whole or not at all.

    Raises UsageError for a `path` that may not be replaced, StateError where the disk is too small,
    DownloadError or ToolError.
    """
    check_destination(path)
    _check_space(plan, path)
    ctx.reporter.step("fetching the wheels")
    situation = plan.situation
    files, wheels = collect_wheels(ctx, plan.stacks, situation.target, plan.wheels_dir)
    tool = []
    if plan.with_tool:
        ctx.reporter.step("fetching provision itself")
        tool = collect_tool(ctx, plan.stacks[0], situation.target, plan.wheels_dir, plan.exclude_newer)
    weights: list[tuple[BundledModel, list[Part]]] = []
    if plan.with_weights:
        ctx.reporter.step("bringing the weights")
        weights = [collect_weights(ctx, model) for model in situation.selection.models]
    locks = [_build_text_part(f"locks/{stack.spec.name}.txt", stack.lock.text) for stack in plan.stacks]
    parts = [*locks, *(part for _, own in weights for part in own), *tool, *wheels]
    manifest = BundleManifest(
        provision=__version__,
        created=ctx.timestamp(),
        target=plan.target,
        models=tuple(model.key for model in situation.selection.models),
        stacks=tuple(_describe_stack(stack, files) for stack in plan.stacks),
        weights=tuple(model for model, _ in weights),
        members=(),
    )
    return _write(ctx, path, manifest, parts)


def _write(ctx: Context, path: Path, manifest: BundleManifest, parts: Sequence[Part]) -> Bundled:
    tool = any(part.member.name.startswith(f"{TOOL_DIR}/") for part in parts)
    readme = _build_text_part(README_MEMBER, build_readme(manifest, tool=tool))
    parts = [readme, *parts]
    manifest = replace(manifest, members=tuple(part.member for part in parts))
    problem = find_problem(manifest)
    if problem is not None:
        raise StateError(f"nothing is packed: {problem}", hint="provision plan   # shows what is locked")
    head = render_manifest(manifest)
    total_bytes = compute_archive_bytes(head, manifest.members)
    ctx.reporter.step(f"packing {len(parts)} files")
    contents = [(part.member, part.content) for part in parts]
    sha256 = write_bundle(path, head, contents, count_tenths(ctx, total_bytes, "packed"))
    return Bundled(path=path, manifest=manifest, archive_bytes=total_bytes, sha256=sha256)


def count_tenths(ctx: Context, total_bytes: int, done: str) -> Callable[[int], None]:
    """Tells of each tenth of something that takes seconds: what takes less is not worth a line."""
    step = max(total_bytes // 10, 2**28)
    told = 0

    def report(done_bytes: int) -> None:
        nonlocal told
        if done_bytes // step > told:
            told = done_bytes // step
            ctx.reporter.progress(f"{done} {done_bytes / 1e9:.1f} of {total_bytes / 1e9:.1f} GB")

    return report


def _build_text_part(name: str, text: str) -> Part:
    data = text.encode()
    digest = hashlib.sha256(data).hexdigest()
    return Part(member=Member(name=name, size_bytes=len(data), sha256=digest), content=data)


def _describe_stack(stack: ResolvedStack, files: Mapping[str, Sequence[LockedFile]]) -> BundledStack:
    return BundledStack(
        name=stack.spec.name,
        models=stack.spec.models,
        requirements=stack.spec.requirements,
        torchvision_needed=stack.spec.torchvision_needed,
        torch=stack.offer.torch,
        torchvision=stack.offer.torchvision,
        tag=stack.offer.tag,
        lock_sha256=stack.lock.sha256,
        wheels=tuple(
            BundledWheel(name=file.name, version=file.version, member=f"wheels/{file.filename}")
            for file in files[stack.spec.name]
        ),
    )


def _check_space(plan: BundlePlan, path: Path) -> None:
    """The wheels are kept beside the archive: what they need is counted per file system."""
    kept_bytes = sum(file.stat().st_size for file in plan.wheels_dir.glob("*") if file.is_file())
    needs = {"bundle": plan.content_bytes, "wheels": max(0, plan.wheels_bytes - kept_bytes)}
    spaces = find_spaces({"bundle": path.parent.resolve(), "wheels": plan.wheels_dir})
    for device in {space.device for space in spaces}:
        here = [space for space in spaces if space.device == device]
        needed_bytes = sum(needs[space.purpose] for space in here)
        if needed_bytes > here[0].free_bytes:
            raise StateError(
                f"{here[0].path} has {here[0].free_bytes / 1e9:.1f} GB free, "
                f"the bundle and what is fetched for it need {needed_bytes / 1e9:.1f} GB",
                hint=f"df -h {quote(str(here[0].path))}   # PROVISION_CACHE_DIR names another place for the wheels",
            )
