"""Asks the sources of packages for torch, in their order, and takes the first that serves."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from provision.actions.context import Context
from provision.core.locks import parse_pins
from provision.core.sources import Offer, Refusal, TorchQuery, build_queries, build_sources, judge_offer
from provision.errors import DownloadError
from provision.model.packages import Answer, Source, SourceAttempt, SourceKind
from provision.model.profile import TorchBuild
from provision.system.uv import Resolution, Uv


class TorchChoice(Struct, frozen=True, kw_only=True):
    """Where torch comes from: the same in every stack of a profile.

    `sources` are those of the user's that answered, for the installation to use in turn.
    """

    offer: Offer
    source: Source
    sources: tuple[Source, ...]
    attempts: tuple[SourceAttempt, ...]


def choose_torch(
    ctx: Context, uv: Uv, build: TorchBuild, platform: str, *, torchvision_needed: bool
) -> TorchChoice:
    """Ask, and take the first source that serves `build`.

    Raises DownloadError when none does, saying what each answered.
    """
    attempts = find_torch(ctx, uv, build, platform, torchvision_needed=torchvision_needed)
    chosen = next((attempt for attempt in attempts if attempt.answer is Answer.SERVES), None)
    if chosen is None or chosen.torch is None:
        raise _no_source(build, attempts)
    offer = judge_offer(build, platform, torch=chosen.torch, torchvision=chosen.torchvision)
    assert isinstance(offer, Offer)  # noqa: S101 - find_torch marks nothing else as serving
    alive = tuple(attempt.source for attempt in attempts if attempt.answer is not Answer.UNREACHABLE)
    return TorchChoice(offer=offer, source=chosen.source, sources=alive, attempts=tuple(attempts))


def find_torch(
    ctx: Context, uv: Uv, build: TorchBuild, platform: str, *, torchvision_needed: bool
) -> list[SourceAttempt]:
    """Ask each source in turn; once one serves, only the user's own are still asked: do they answer?"""
    attempts: list[SourceAttempt] = []
    served = False
    for source in build_sources(uv.settings, build, platform):
        if served and source.kind in (SourceKind.PYTORCH, SourceKind.DEFAULT):
            attempts.append(
                SourceAttempt(source=source, answer=Answer.NOT_ASKED, detail="an earlier source serves")
            )
            continue
        attempt = _ask(ctx, uv, source, build, platform, torchvision_needed=torchvision_needed)
        if served and attempt.answer is Answer.SERVES:
            attempt = SourceAttempt(source=source, answer=Answer.NOT_ASKED, detail="an earlier source serves")
        served = served or attempt.answer is Answer.SERVES
        attempts.append(attempt)
    return attempts


def _ask(
    ctx: Context, uv: Uv, source: Source, build: TorchBuild, platform: str, *, torchvision_needed: bool
) -> SourceAttempt:
    ctx.reporter.detail(f"asking {source.label} ({source.origin}) for torch {build.torch}")
    elapsed_s = 0.0
    detail = ""
    for query in build_queries(build, torchvision_needed=torchvision_needed):
        answer = uv.ask(source, query.requirements, python=ctx.python)
        elapsed_s += answer.elapsed_s
        if answer.text is None and not answer.lacks:
            detail = hide_location(source, answer.error)
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


def _describe(offer: Offer, build: TorchBuild) -> str:
    pair = f"torch {offer.torch}" + (f" and torchvision {offer.torchvision}" if offer.torchvision else "")
    if build.tag == "cpu" and offer.tag != "cpu":
        return f"{pair}, a CUDA build ({offer.tag}) that runs on a CPU too, at gigabytes of CUDA libraries"
    without = "" if offer.torchvision else "; it has no torchvision that belongs to it"
    return pair + without


def hide_location(source: Source, text: str) -> str:
    """uv's words name the location, which may hold a password."""
    return text.replace(source.location, source.label) if source.location else text


def _no_source(build: TorchBuild, attempts: Sequence[SourceAttempt]) -> DownloadError:
    answers = "; ".join(f"{attempt.source.label}: {attempt.detail}" for attempt in attempts)
    wanted = f"torch {build.torch} for {'the CPU' if build.tag == 'cpu' else build.tag}"
    return DownloadError(
        f"no source of packages serves {wanted}. {answers}",
        hint="name a mirror in PIP_INDEX_URL or PIP_FIND_LINKS, or check the network: provision doctor --network",
    )
