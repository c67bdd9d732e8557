"""Locks one stack: what is known already, what was answered today, else uv."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from provision.actions.context import Context
from provision.actions.known_locks import KnownLocks
from provision.actions.package_policy import Policy, build_policy
from provision.actions.torch_source import TorchChoice, choose_torch, hide_location
from provision.actions.uv_setup import build_uv, load_package_settings
from provision.core.flash_attention import FlashDecision
from provision.core.locks import build_lock, find_undated, parse_resolution
from provision.core.models import StackSpec
from provision.core.partition import Refused
from provision.core.sources import Offer
from provision.core.targets import Target, list_tags
from provision.errors import DownloadError
from provision.model.lockfile import LockWanted
from provision.model.packages import Source, SourceAttempt, StackLock
from provision.model.profile import TorchBuild
from provision.system.index import fetch_sizes
from provision.system.resolution_cache import (
    KeptResolution,
    ResolutionCache,
    find_cache_dir,
    hash_question,
)
from provision.system.uv import Resolution, Uv
from provision.system.uv_settings import hash_uv_settings

if TYPE_CHECKING:
    from packaging.tags import Tag

# uv's words for a project that an index does not have, or has without a file.
_NOTHING_THERE = ("was not found in the package registry", "there are no versions of ")
_FILTERED = "was filtered by `exclude-newer`"


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


class Resolver(Struct, frozen=True, kw_only=True):
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
    with open_resolver(ctx, build, platform, target, policy, torchvision_needed=needed) as resolver:
        answer = resolve_requirements(resolver, spec)
    if isinstance(answer, Refused):
        raise DownloadError(
            f"the packages of stack {spec.name} cannot be resolved: {answer.reason}",
            hint="provision doctor --network   # shows which sources answer",
        )
    return answer


@contextmanager
def open_resolver(
    ctx: Context,
    build: TorchBuild,
    platform: str,
    target: Target | None,
    policy: Policy,
    *,
    torchvision_needed: bool,
) -> Iterator[Resolver]:
    """Find torch, and give what every resolution of one run shares. Raises DownloadError when nobody serves it."""
    settings = load_package_settings(ctx)
    folder = find_cache_dir(ctx.env)
    with tempfile.TemporaryDirectory(prefix="provision-resolve-") as work:
        uv = build_uv(ctx, settings, Path(work), target)
        yield Resolver(
            ctx=ctx,
            uv=uv,
            build=build,
            torch=choose_torch(ctx, uv, build, platform, torchvision_needed=torchvision_needed),
            target=target,
            policy=policy,
            platform=platform,
            cache=None if folder is None else ResolutionCache(folder=folder / "resolutions"),
        )


def resolve_requirements(
    resolver: Resolver, spec: StackSpec, *, bounded: tuple[str, ...] = ()
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


def _find_known(resolver: Resolver, spec: StackSpec, bounded: tuple[str, ...]) -> StackLock | None:
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


def _build(resolver: Resolver, spec: StackSpec, lock: StackLock) -> ResolvedStack:
    return ResolvedStack(
        spec=spec,
        lock=lock,
        offer=resolver.torch.offer,
        torch_source=resolver.torch.source,
        sources=resolver.torch.sources,
        attempts=resolver.torch.attempts,
    )


def _hash(resolver: Resolver, wanted: Sequence[str]) -> str:
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


def _ask_uv(resolver: Resolver, wanted: Sequence[str]) -> tuple[KeptResolution, bool]:
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


def _compile(resolver: Resolver, wanted: Sequence[str]) -> tuple[Resolution, bool]:
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
