"""Lets models read pages in their stack, scores what came back and climbs the ladder of attentions."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from provision.actions.context import Context
from provision.actions.diagnose import explain_words
from provision.core.child_env import build_worker_env
from provision.core.page_text import PageText, build_grid_page
from provision.core.verdict import explain_numeric_fault, judge_job, score_reading
from provision.errors import ToolError
from provision.model.catalogue import ModelSpec
from provision.model.profile import Profile
from provision.model.smoke import (
    JobRequest,
    JobResult,
    PageRequest,
    SmokeResult,
    Verdict,
    WorkerRequest,
    WorkerResponse,
)
from provision.system.resources import find_worker
from provision.system.worker import run_worker

TIME_LIMIT_S = 600.0
# Both are scored. Speed is reported of the second: a GPU spends most of its first page on loading kernels and
# planning attention, 31 tokens/s against 443 on an H200 with sdpa.
_PAGES = ("first page", "second page")
_RANK = {Verdict.PASS: 0, Verdict.DEGRADED: 1, Verdict.FAIL: 2}


class Subject(Struct, frozen=True, kw_only=True):
    """One model to smoke: how it is asked, under which key it is reported, where its files lie."""

    key: str
    model: ModelSpec
    folder: Path


def smoke_stack(
    ctx: Context, profile: Profile, stack: str, interpreter: Path, subjects: Sequence[Subject]
) -> tuple[SmokeResult, ...]:
    """Smoke every subject in the stack of `interpreter`, in order.

    Each attention of the profile is tried until one passes; a model keeps its best result. Raises ToolError
    when the stack's interpreter cannot run at all.
    """
    best: dict[str, SmokeResult] = {}
    for attention in profile.attention:
        waiting = [s for s in subjects if s.key not in best or best[s.key].verdict is not Verdict.PASS]
        if not waiting:
            break
        for result in _run_rung(ctx, profile, attention, stack, interpreter, waiting):
            former = best.get(result.model)
            if former is None or _RANK[result.verdict] < _RANK[former.verdict]:
                best[result.model] = result
    return tuple(best[subject.key] for subject in subjects)


def _run_rung(
    ctx: Context,
    profile: Profile,
    attention: str,
    stack: str,
    interpreter: Path,
    subjects: Sequence[Subject],
) -> list[SmokeResult]:
    pages = {
        subject.key: tuple(build_grid_page(ctx.random, name=name) for name in _PAGES) for subject in subjects
    }
    jobs = tuple(_build_job(profile, attention, subject, pages[subject.key]) for subject in subjects)
    names = ", ".join(subject.key for subject in subjects)
    ctx.reporter.detail(f"{names}: {profile.dtype}, {attention}, on {profile.device}")
    with tempfile.TemporaryDirectory(prefix="provision-smoke-") as work:
        response = run_worker(
            interpreter,
            WorkerRequest(jobs=jobs),
            worker_path=find_worker(ctx.data_dir),
            env=build_worker_env(ctx.env),
            work_dir=Path(work),
            timeout_s=TIME_LIMIT_S * (len(jobs) + 1),
        )
    if response.fault is not None or response.versions is None:
        fault = response.fault
        said = f"{fault.type}: {fault.message}" if fault else "no reason was given"
        raise ToolError(
            f"stack {stack} cannot import torch and transformers: {said}",
            hint="provision doctor",
            output=fault.traceback if fault else "",
        )
    return [
        _explain(ctx, _conclude(stack, result, pages[result.model], response), result)
        for result in response.results
    ]


def _explain(ctx: Context, result: SmokeResult, job: JobResult) -> SmokeResult:
    """`result` with the known cause of the exception that ended the job. What was measured needs no guess."""
    if result.verdict is not Verdict.FAIL or job.fault is None or job.numeric_fault is not None:
        return result
    words = f"{job.fault.log}\n{job.fault.traceback}\n{job.fault.type}: {job.fault.message}"
    return replace(result, causes=explain_words(ctx, words))


def _build_job(profile: Profile, attention: str, subject: Subject, pages: Sequence[PageText]) -> JobRequest:
    return JobRequest(
        model=subject.key,
        family=subject.model.family,
        model_dir=str(subject.folder),
        device="cuda:0" if profile.device == "cuda" else profile.device,
        dtype=profile.dtype,
        attention=attention,
        prompt=subject.model.generation.prompt,
        max_new_tokens=subject.model.generation.max_new_tokens,
        trust_remote_code=subject.model.trust_remote_code,
        time_limit_s=TIME_LIMIT_S,
        pages=tuple(PageRequest(name=page.name, lines=page.lines) for page in pages),
    )


def _conclude(
    stack: str, result: JobResult, pages: Sequence[PageText], response: WorkerResponse
) -> SmokeResult:
    readings = {reading.name: reading for reading in result.pages}
    scores = tuple(score_reading(page, readings[page.name]) for page in pages if page.name in readings)
    verdict, reason = judge_job(result, scores, time_limit_s=TIME_LIMIT_S)
    if verdict is Verdict.FAIL and result.numeric_fault is not None and scores:
        reason = f"the text begins {scores[0].text[:16]!r}: {explain_numeric_fault(result.numeric_fault)}"
    last = result.pages[-1] if result.pages else None
    versions = response.versions
    return SmokeResult(
        model=result.model,
        stack=stack,
        verdict=verdict,
        reason=reason,
        cer=max((score.cer for score in scores), default=None),
        keywords_found=min((score.keywords_found for score in scores), default=0),
        keywords_total=len(pages[0].keywords),
        nonce=pages[0].nonce,
        text="\n".join(score.text for score in scores),
        dtype=result.dtype,
        attention=result.attention,
        device=result.device,
        device_name=result.device_name,
        load_s=result.load_s,
        first_token_s=last.first_token_s if last else None,
        tokens_per_s=last.tokens_per_s if last else None,
        peak_memory_bytes=result.peak_memory_bytes,
        peak_memory_kind=result.peak_memory_kind,
        torch=versions.torch if versions else None,
        transformers=versions.transformers if versions else None,
        numeric_fault=result.numeric_fault,
        scores=scores,
    )
