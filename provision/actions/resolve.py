"""Asks the sources of packages for torch, takes the first that serves, and locks a stack."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from provision.actions.context import Context
from provision.core.locks import build_lock, parse_pins, parse_resolution
from provision.core.models import StackSpec
from provision.core.pip_settings import parse_package_settings
from provision.core.sources import Offer, Refusal, TorchQuery, build_queries, build_sources, judge_offer
from provision.core.targets import Target, list_tags
from provision.errors import DownloadError
from provision.model.packages import Answer, PackageSettings, Source, SourceAttempt, SourceKind, StackLock
from provision.model.profile import TorchBuild
from provision.system.index import fetch_sizes
from provision.system.pip_files import load_pip_files
from provision.system.uv import Resolution, Uv, find_uv


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


def load_package_settings(ctx: Context) -> PackageSettings:
    """What the user's pip configuration and environment name."""
    return parse_package_settings(load_pip_files(ctx.env), ctx.env, base=str(Path.cwd()))


def build_uv(ctx: Context, settings: PackageSettings, folder: Path, target: Target | None = None) -> Uv:
    """uv as this run uses it. `folder` lies outside any project, so that none's settings are read."""
    asked = None if target is None else (target.uv_platform, target.python)
    return Uv(binary=find_uv(), env=ctx.env, settings=settings, cwd=folder, target=asked)


def resolve_stack(
    ctx: Context, spec: StackSpec, build: TorchBuild, platform: str, target: Target | None = None
) -> ResolvedStack:
    """Find torch and lock everything that `spec` needs, for `target` where it is not this machine.

    Raises DownloadError when no source serves the build, saying what each answered.
    """
    settings = load_package_settings(ctx)
    with tempfile.TemporaryDirectory(prefix="provision-resolve-") as folder:
        uv = build_uv(ctx, settings, Path(folder), target)
        attempts = find_torch(ctx, uv, spec, build, platform)
        chosen = next((attempt for attempt in attempts if attempt.answer is Answer.SERVES), None)
        if chosen is None or chosen.torch is None:
            raise _no_source(build, attempts)
        offer = judge_offer(build, platform, torch=chosen.torch, torchvision=chosen.torchvision)
        assert isinstance(offer, Offer)  # noqa: S101 - find_torch marks nothing else as serving
        alive = tuple(attempt.source for attempt in attempts if attempt.answer is not Answer.UNREACHABLE)
        needs = (*(build.companions if offer.tag == build.tag else ()), *spec.requirements)
        lock = _lock(ctx, uv, replace(spec, requirements=needs), offer, chosen.source, alive, target)
    return ResolvedStack(
        spec=spec, lock=lock, offer=offer, torch_source=chosen.source, sources=alive, attempts=tuple(attempts)
    )


def find_torch(
    ctx: Context, uv: Uv, spec: StackSpec, build: TorchBuild, platform: str
) -> list[SourceAttempt]:
    """Ask each source in turn; once one serves, only the user's own are still asked: do they answer?"""
    attempts: list[SourceAttempt] = []
    served = False
    for source in build_sources(uv.settings, build):
        if served and source.kind in (SourceKind.PYTORCH, SourceKind.DEFAULT):
            attempts.append(
                SourceAttempt(source=source, answer=Answer.NOT_ASKED, detail="an earlier source serves")
            )
            continue
        attempt = _ask(ctx, uv, source, spec, build, platform)
        if served and attempt.answer is Answer.SERVES:
            attempt = SourceAttempt(source=source, answer=Answer.NOT_ASKED, detail="an earlier source serves")
        served = served or attempt.answer is Answer.SERVES
        attempts.append(attempt)
    return attempts


def _ask(
    ctx: Context, uv: Uv, source: Source, spec: StackSpec, build: TorchBuild, platform: str
) -> SourceAttempt:
    ctx.reporter.detail(f"asking {source.label} ({source.origin}) for torch {build.torch}")
    elapsed_s = 0.0
    detail = ""
    for query in build_queries(build, torchvision_needed=spec.torchvision_needed):
        answer = uv.ask(source, query.requirements, python=ctx.python)
        elapsed_s += answer.elapsed_s
        if answer.text is None and not answer.lacks:
            detail = _hide(source, answer.error)
            return SourceAttempt(source=source, answer=Answer.UNREACHABLE, detail=detail, elapsed_s=elapsed_s)
        offer = _read_offer(answer, query, build, platform)
        if isinstance(offer, Offer):
            return SourceAttempt(
                source=source,
                answer=Answer.SERVES,
                detail=_describe(offer, build),
                torch=offer.torch,
                torchvision=offer.torchvision,
                elapsed_s=elapsed_s,
            )
        if isinstance(offer, Refusal):
            detail = offer.reason
    missing = f"it has no torch {build.torch} for this Python and platform"
    return SourceAttempt(source=source, answer=Answer.LACKS, detail=detail or missing, elapsed_s=elapsed_s)


def _read_offer(
    answer: Resolution, query: TorchQuery, build: TorchBuild, platform: str
) -> Offer | Refusal | None:
    if answer.text is None:
        return None
    versions = parse_pins(answer.text)
    torchvision = versions["torchvision"] if query.torchvision is not None else None
    return judge_offer(build, platform, torch=versions["torch"], torchvision=torchvision)


def _lock(
    ctx: Context,
    uv: Uv,
    spec: StackSpec,
    offer: Offer,
    torch_source: Source,
    sources: Sequence[Source],
    target: Target | None,
) -> StackLock:
    from packaging.tags import sys_tags

    # Arbitrary equality: with two signs, `2.13.0+cpu` would do for `2.13.0` and be preferred.
    pair = [f"torch==={offer.torch}"]
    if offer.torchvision is not None:
        pair.append(f"torchvision==={offer.torchvision}")
    ctx.reporter.detail(f"resolving {', '.join([*pair, *spec.requirements])}")
    resolution = uv.compile(
        [*pair, *spec.requirements], python=ctx.python, sources=sources, torch_source=torch_source
    )
    if resolution.text is None:
        raise DownloadError(
            f"the packages of stack {spec.name} cannot be resolved: {_hide(torch_source, resolution.error)}",
            hint="provision doctor --network   # shows which sources answer",
        )
    resolved = parse_resolution(resolution.text, sys_tags() if target is None else list_tags(target))
    locked = {wheel.name: wheel.version for wheel in resolved}
    if (locked.get("torch"), locked.get("torchvision", offer.torchvision)) != (
        offer.torch,
        offer.torchvision,
    ):
        raise DownloadError(
            f"the sources do not agree on torch {offer.torch}: resolving all packages gave "
            f"torch {locked.get('torch')} and torchvision {locked.get('torchvision')}",
            hint="provision doctor --network   # shows what each source offers",
        )
    unknown = {wheel.name: wheel.url for wheel in resolved if wheel.size_bytes is None and wheel.url}
    return build_lock(resolved, fetch_sizes(unknown, certificate=uv.settings.certificate, env=ctx.env))


def _describe(offer: Offer, build: TorchBuild) -> str:
    pair = f"torch {offer.torch}" + (f" and torchvision {offer.torchvision}" if offer.torchvision else "")
    if build.tag == "cpu" and offer.tag != "cpu":
        return f"{pair}, a CUDA build ({offer.tag}) that runs on a CPU too, at gigabytes of CUDA libraries"
    without = "" if offer.torchvision else "; it has no torchvision that belongs to it"
    return pair + without


def _hide(source: Source, text: str) -> str:
    """uv's words name the location, which may hold a password."""
    return text.replace(source.location, source.label) if source.location else text


def _no_source(build: TorchBuild, attempts: Sequence[SourceAttempt]) -> DownloadError:
    answers = "; ".join(f"{attempt.source.label}: {attempt.detail}" for attempt in attempts)
    wanted = f"torch {build.torch} for {'the CPU' if build.tag == 'cpu' else build.tag}"
    return DownloadError(
        f"no source of packages serves {wanted}. {answers}",
        hint="name a mirror in PIP_INDEX_URL or PIP_FIND_LINKS, or check the network: provision doctor --network",
    )
