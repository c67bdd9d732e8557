"""Locks stacks: one for given requirements, or the fewest that serve a set of models."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from provision.actions.context import Context
from provision.actions.knowledge import load_flash_knowledge, load_known_pairs
from provision.actions.known_locks import KnownLocks, load_known_locks
from provision.actions.torch_source import TorchChoice, choose_torch, hide_location
from provision.core.bad_pairs import find_bad_pairs
from provision.core.flash_attention import FlashDecision, choose_flash_attention
from provision.core.flash_wheels import build_flash_target
from provision.core.locks import build_lock, find_undated, parse_resolution
from provision.core.models import StackSpec, build_requirements, name_stack
from provision.core.partition import Group, Refused, Separation, build_need, choose_groups
from provision.core.pip_settings import parse_package_settings
from provision.core.sources import Offer
from provision.core.targets import Target, list_tags
from provision.errors import DownloadError, UsageError
from provision.model.catalogue import ModelSpec
from provision.model.facts import Facts
from provision.model.flash_attention import FlashKnowledge
from provision.model.lockfile import LockWanted
from provision.model.packages import PackageSettings, Source, SourceAttempt, StackLock
from provision.model.profile import FlashChoice, Profile, TorchBuild
from provision.system.index import fetch_sizes
from provision.system.pip_files import list_wheels, load_pip_files
from provision.system.resolution_cache import (
    KeptResolution,
    ResolutionCache,
    find_cache_dir,
    hash_question,
)
from provision.system.uv import Resolution, Uv, find_uv
from provision.system.uv_settings import hash_uv_settings

if TYPE_CHECKING:
    from packaging.tags import Tag

# Malicious uploads are mostly found within days:
# https://blog.yossarian.net/2025/11/21/We-should-all-be-using-dependency-cooldowns
COOLDOWN = timedelta(days=7)
ANY_AGE = "never"
_DURATION = re.compile(r"(\d{1,4}) ?(day|week)s?")
_FILTERED = "was filtered by `exclude-newer`"
# uv's words for a project that an index does not have, or has without a file.
_NOTHING_THERE = ("was not found in the package registry", "there are no versions of ")


class Policy(Struct, frozen=True, kw_only=True):
    """How packages are chosen.

    `exclude_newer` is an ISO date and time after which nothing may have been uploaded, None for no limit.
    `bounds` replaces the profile's pins by ranges, for an update. `flash_attn` is the user's choice, which goes
    before the profile's. `fresh` leaves locks that were made before aside; `dated` leaves those that ship, since
    the user named a date.
    """

    exclude_newer: str | None = None
    bounds: dict[str, str] | None = None
    flash_attn: FlashChoice | None = None
    fresh: bool = False
    dated: bool = False


class ResolvedStack(Struct, frozen=True, kw_only=True):
    """A stack's lock, the offer of torch in it, and what was asked to get there.

    `sources` are those of the user's that answered, for the installation to use in turn.
    """

    spec: StackSpec
    lock: StackLock
    offer: Offer
    torch_source: Source
    sources: tuple[Source, ...]
    attempts: tuple[SourceAttempt, ...]
    flash_attn: FlashDecision | None = None


class ResolvedSet(Struct, frozen=True, kw_only=True):
    """The fewest stacks that serve the models, the profile's own first, and why the others stand apart."""

    stacks: tuple[ResolvedStack, ...]
    separations: tuple[Separation, ...]


class _Resolver(Struct, frozen=True, kw_only=True):
    """What every resolution of one run shares."""

    ctx: Context
    uv: Uv
    build: TorchBuild
    torch: TorchChoice
    target: Target | None
    policy: Policy
    cache: ResolutionCache | None
    platform: str
    python: str = ""
    known: KnownLocks | None = None


def load_package_settings(ctx: Context) -> PackageSettings:
    """What the user's pip configuration and environment name."""
    return parse_package_settings(load_pip_files(ctx.env), ctx.env, base=str(Path.cwd()))


def build_uv(ctx: Context, settings: PackageSettings, folder: Path, target: Target | None = None) -> Uv:
    """uv as this run uses it. `folder` lies outside any project, so that none's settings are read."""
    asked = None if target is None else (target.uv_platform, target.python)
    return Uv(binary=find_uv(), env=ctx.env, settings=settings, cwd=folder, target=asked)


def build_policy(
    ctx: Context, exclude_newer: str | None = None, flash_attn: FlashChoice | None = None
) -> Policy:
    """The policy for what the user asked: an ISO date, days or weeks, ANY_AGE, or None for the cool-down.

    uv's own variable holds where nothing is asked. Raises UsageError for what is no date.
    """
    name, asked = "--exclude-newer", exclude_newer
    if asked is None and (from_env := ctx.env.get("UV_EXCLUDE_NEWER")):
        name, asked = "UV_EXCLUDE_NEWER", from_env
    policy = Policy(flash_attn=flash_attn, dated=asked is not None)
    if asked is None:
        return replace(policy, exclude_newer=_count_back(ctx, COOLDOWN))
    if asked == ANY_AGE:
        return policy
    if duration := _DURATION.fullmatch(asked.strip()):
        days = int(duration[1]) * (7 if duration[2] == "week" else 1)
        return replace(policy, exclude_newer=_count_back(ctx, timedelta(days=days)))
    try:
        moment = datetime.fromisoformat(asked)
    except ValueError as error:
        raise UsageError(
            f"{name}: {asked!r} is no date",
            hint=f"--exclude-newer 2026-01-31, --exclude-newer '3 days', or --exclude-newer {ANY_AGE}",
        ) from error
    return replace(
        policy, exclude_newer=_render_time(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    )


def _count_back(ctx: Context, age: timedelta) -> str:
    """Midnight UTC that long ago, so that all resolutions of a day agree."""
    midnight = ctx.now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return _render_time(midnight - age)


def resolve_models(
    ctx: Context,
    models: Sequence[ModelSpec],
    profile: Profile,
    build: TorchBuild,
    facts: Facts,
    *,
    target: Target | None = None,
    policy: Policy | None = None,
) -> ResolvedSet:
    """The fewest stacks for `models` on the machine of `facts`, each proved by uv; torch is the same in all.

    Raises DownloadError when no source serves torch or a source fails, UsageError for a model that has no
    environment under this profile, with the resolver's reason.
    """
    catalogue = {model.key: model for model in models}
    needed = any(model.needs_torchvision for model in models)
    policy = policy or build_policy(ctx)
    pairs, flash = load_known_pairs(ctx), load_flash_knowledge(ctx)
    known = None if policy.fresh or policy.bounds else load_known_locks(ctx, shipped=not policy.dated)
    with _open(ctx, build, facts.host.platform, target, policy, torchvision_needed=needed) as opened:
        python = ".".join(facts.host.python_version.split(".")[:2])
        resolver = replace(opened, known=known, python=python)

        def prove(group: Group) -> ResolvedStack | Refused:
            chosen = [catalogue[key] for key in group.models]
            answer: ResolvedStack | Refused = Refused(reason="")
            bounded = build_requirements(
                chosen, profile, preferred=group.preferred, bounds=profile.bounds or None
            )[0]
            for requirements in build_requirements(
                chosen, profile, preferred=group.preferred, bounds=policy.bounds
            ):
                spec = StackSpec(
                    name="",
                    models=group.models,
                    requirements=requirements,
                    torchvision_needed=any(model.needs_torchvision for model in chosen),
                )
                answer = _resolve(resolver, spec, bounded=bounded)
                if isinstance(answer, ResolvedStack):
                    bad = find_bad_pairs(answer.lock.versions, facts, pairs.bad_pairs)
                    known = next((pair for pair in bad if pair.severity == "fail"), None)
                    return answer if known is None else Refused(reason=f"{known.what} ({known.source})")
            return answer

        pins = policy.bounds or {name: f"=={version}" for name, version in profile.packages.items()}
        found = choose_groups([build_need(model) for model in models], pins, prove)
        if not isinstance(found, Refused):
            finish = partial(_decide_flash_attention, resolver, profile, facts, flash)
            found = tuple((group, finish(stack)) for group, stack in found[0]), found[1]
    if isinstance(found, Refused):
        names = ", ".join(catalogue)
        raise UsageError(
            f"profile {profile.name} has no environment for a model of {names}: {found.reason}",
            hint=f"leave it out: provision apply {profile.name} --models …",
        )
    groups, separations = found
    return ResolvedSet(stacks=tuple(_name(groups)), separations=separations)


def _decide_flash_attention(
    resolver: _Resolver, profile: Profile, facts: Facts, knowledge: FlashKnowledge, stack: ResolvedStack
) -> ResolvedStack:
    """`stack` with flash-attn or the Hub's kernels where that was chosen, fits and resolves; else without."""
    offer, host = resolver.torch.offer, facts.host
    gpu = facts.gpus[0] if facts.gpus else None
    target = build_flash_target(
        torch=offer.torch,
        cuda=resolver.build.cuda,
        python=".".join(host.python_version.split(".")[:2]),
        platform=host.platform,
        capability=gpu.best_compute_capability if gpu else None,
    )
    decision = choose_flash_attention(
        profile.flash_attn,
        target,
        stack.lock.versions["transformers"],
        knowledge,
        found=list_wheels(resolver.torch.sources, "flash_attn"),
        asked=resolver.policy.flash_attn,
    )
    if decision.requirement is None:
        return replace(stack, flash_attn=decision)
    requirements = tuple(sorted((*stack.spec.requirements, decision.requirement)))
    answer = _resolve(resolver, replace(stack.spec, requirements=requirements))
    if isinstance(answer, Refused):
        reason = f"{decision.requirement} does not resolve beside the others: {answer.reason}"
        return replace(stack, flash_attn=FlashDecision(choice=FlashChoice.ABSENT, reason=reason))
    return replace(answer, flash_attn=decision)


def _name(groups: Sequence[tuple[Group, ResolvedStack]]) -> Iterator[ResolvedStack]:
    taken: list[str] = []
    for _, stack in groups:
        taken.append(name_stack(stack.lock.versions, taken))
        yield replace(stack, spec=replace(stack.spec, name=taken[-1]))


def resolve_stack(
    ctx: Context,
    spec: StackSpec,
    build: TorchBuild,
    platform: str,
    target: Target | None = None,
    policy: Policy | None = None,
) -> ResolvedStack:
    """Find torch and lock everything that `spec` needs, for `target` where it is not this machine.

    Raises DownloadError when no source serves the build, saying what each answered, or nothing resolves.
    """
    policy = policy or build_policy(ctx)
    needed = spec.torchvision_needed
    with _open(ctx, build, platform, target, policy, torchvision_needed=needed) as resolver:
        answer = _resolve(resolver, spec)
    if isinstance(answer, Refused):
        raise DownloadError(
            f"the packages of stack {spec.name} cannot be resolved: {answer.reason}",
            hint="provision doctor --network   # shows which sources answer",
        )
    return answer


@contextmanager
def _open(
    ctx: Context,
    build: TorchBuild,
    platform: str,
    target: Target | None,
    policy: Policy,
    *,
    torchvision_needed: bool,
) -> Iterator[_Resolver]:
    settings = load_package_settings(ctx)
    folder = find_cache_dir(ctx.env)
    with tempfile.TemporaryDirectory(prefix="provision-resolve-") as work:
        uv = build_uv(ctx, settings, Path(work), target)
        yield _Resolver(
            ctx=ctx,
            uv=uv,
            build=build,
            torch=choose_torch(ctx, uv, build, platform, torchvision_needed=torchvision_needed),
            target=target,
            policy=policy,
            platform=platform,
            cache=None if folder is None else ResolutionCache(folder=folder / "resolutions"),
        )


def _resolve(
    resolver: _Resolver, spec: StackSpec, *, bounded: tuple[str, ...] = ()
) -> ResolvedStack | Refused:
    """The stack that `spec` describes, or why there is none; a day's same question is asked once."""
    offer, build = resolver.torch.offer, resolver.build
    # Arbitrary equality: with two signs, `2.13.0+cpu` would do for `2.13.0` and be preferred.
    pair = [f"torch==={offer.torch}"]
    if offer.torchvision is not None:
        pair.append(f"torchvision==={offer.torchvision}")
    companions = build.companions if offer.tag == build.tag else ()
    if lock := _find_known(resolver, spec, bounded):
        return _build(resolver, spec, lock)
    wanted = (*pair, *companions, *spec.requirements)
    key = _hash(resolver, wanted)
    kept = resolver.cache.load(key) if resolver.cache and resolver.policy.exclude_newer else None
    if kept is None:
        kept, lasting = _ask_uv(resolver, wanted)
        if lasting and resolver.cache is not None:
            resolver.cache.save(key, kept)
    if kept.lock is None:
        return Refused(reason=kept.refusal or "")
    return _build(resolver, spec, kept.lock)


def _find_known(resolver: _Resolver, spec: StackSpec, bounded: tuple[str, ...]) -> StackLock | None:
    offer = resolver.torch.offer
    if resolver.known is None:
        return None
    wanted = LockWanted(
        requirements=spec.requirements,
        bounded=bounded,
        platform=resolver.platform,
        python=resolver.python,
        torch=offer.torch,
        torchvision=offer.torchvision,
        torchvision_needed=spec.torchvision_needed,
        tag=offer.tag,
    )
    return resolver.known.find(resolver.ctx, wanted)


def _build(resolver: _Resolver, spec: StackSpec, lock: StackLock) -> ResolvedStack:
    return ResolvedStack(
        spec=spec,
        lock=lock,
        offer=resolver.torch.offer,
        torch_source=resolver.torch.source,
        sources=resolver.torch.sources,
        attempts=resolver.torch.attempts,
    )


def _hash(resolver: _Resolver, wanted: Sequence[str]) -> str:
    question: dict[str, object] = {
        "requirements": list(wanted),
        "exclude_newer": resolver.policy.exclude_newer,
        "python": str(resolver.ctx.python.resolve()),
        "target": resolver.uv.target,
        "no_index": resolver.uv.settings.no_index,
        "settings": hash_uv_settings(resolver.ctx.env),
        "day": resolver.ctx.now().astimezone(UTC).date().isoformat(),
    }
    return hash_question(question, [resolver.torch.source, *resolver.torch.sources])


def _ask_uv(resolver: _Resolver, wanted: Sequence[str]) -> tuple[KeptResolution, bool]:
    """uv's answer, and whether it holds for the rest of the day: it does where every file has a date."""
    ctx, uv, source = resolver.ctx, resolver.uv, resolver.torch.source
    ctx.reporter.detail(f"resolving {', '.join(wanted)}")
    resolution, dated = _compile(resolver, wanted)
    if resolution.text is None:
        reason = hide_location(source, resolution.error)
        if not resolution.lacks:
            raise DownloadError(
                f"the packages cannot be resolved: {reason}",
                hint="provision doctor --network   # shows which sources answer",
            )
        if _FILTERED in resolution.output:
            reason += f"; files uploaded after {resolver.policy.exclude_newer} are not taken"
        # A page that is missing or empty is the source's state of the moment, not a property of versions.
        passing = any(words in resolution.output for words in _NOTHING_THERE)
        return KeptResolution(refusal=reason), dated and not passing
    resolved = parse_resolution(resolution.text, _list_tags(resolver.target))
    _check_torch(resolver.torch.offer, {wheel.name: wheel.version for wheel in resolved})
    unknown = {wheel.name: wheel.url for wheel in resolved if wheel.size_bytes is None and wheel.url}
    sizes = fetch_sizes(unknown, certificate=uv.settings.certificate, env=ctx.env)
    return KeptResolution(lock=build_lock(resolved, sizes)), dated


def _compile(resolver: _Resolver, wanted: Sequence[str]) -> tuple[Resolution, bool]:
    """Resolve under the policy's date, and say whether every file had one.

    What is pinned was judged by whoever pinned it, and may be of any age. So may what comes from a source that
    gives no dates, which is said.
    """
    pinned = {text.partition("=")[0] for text in wanted if "==" in text}
    undated: frozenset[str] = frozenset()
    while True:
        resolution = resolver.uv.compile(
            wanted,
            python=resolver.ctx.python,
            sources=resolver.torch.sources,
            torch_source=resolver.torch.source,
            exclude_newer=resolver.policy.exclude_newer,
            any_age=pinned | undated,
        )
        found = find_undated(resolution.output) - undated - pinned
        if resolution.text is not None or not found:
            break
        undated |= found
    if undated:
        names = sorted(undated)
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        resolver.ctx.reporter.warn(
            f"the source of {', '.join(names[:3])}{more} does not say when files were uploaded: "
            "the newest are taken, however young"
        )
    return resolution, not undated


def _check_torch(offer: Offer, locked: Mapping[str, str]) -> None:
    if (locked.get("torch"), locked.get("torchvision", offer.torchvision)) == (
        offer.torch,
        offer.torchvision,
    ):
        return
    raise DownloadError(
        f"the sources do not agree on torch {offer.torch}: resolving all packages gave "
        f"torch {locked.get('torch')} and torchvision {locked.get('torchvision')}",
        hint="provision doctor --network   # shows what each source offers",
    )


def _list_tags(target: Target | None) -> Iterator[Tag]:
    from packaging.tags import sys_tags

    return iter(sys_tags() if target is None else list_tags(target))


def _render_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
