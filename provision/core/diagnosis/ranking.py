"""Which of the failures that a log shows is its cause, on the machine in question."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from provision.core.diagnosis.digest import Digest
from provision.core.diagnosis.machine import LogMachine, judge_situation
from provision.core.diagnosis.matching import Match, find_sign
from provision.model.failure import Cause, Confidence, Effect, Failure

_ORDER = (Confidence.LOW, Confidence.MEDIUM, Confidence.HIGH)


class Candidate(Struct, frozen=True, kw_only=True):
    """A failure whose sign the log shows, after the machine was looked at. `why` are the rules that held."""

    failure: Failure
    match: Match
    confidence: Confidence
    why: tuple[str, ...]


def diagnose(digest: Digest, failures: Sequence[Failure], machine: LogMachine) -> tuple[Cause, ...]:
    """The causes, likeliest first; none when the log shows nothing that is known."""
    found = [
        candidate
        for failure in failures
        if (candidate := _judge_failure(failure, digest, machine)) is not None
    ]
    return tuple(_build_cause(candidate, machine) for candidate in order_candidates(found))


def order_candidates(found: Sequence[Candidate]) -> list[Candidate]:
    """By confidence, then by how much of the log the sign demands; what is outranked goes behind its cause."""
    ordered = sorted(found, key=_weigh, reverse=True)
    result: list[Candidate] = []
    waiting = ordered
    while waiting:
        free = [candidate for candidate in waiting if not any(_outranks(o, candidate) for o in waiting)]
        # Two that outrank each other are a mistake in the data; the order by weight then decides.
        first = (free or waiting)[0]
        result.append(first)
        waiting = [candidate for candidate in waiting if candidate is not first]
    return result


def _outranks(one: Candidate, other: Candidate) -> bool:
    """Only what is at least as sure can be the cause of the other."""
    sure = _ORDER.index(one.confidence) >= _ORDER.index(other.confidence)
    return sure and one is not other and other.failure.id in one.failure.outranks


def _judge_failure(failure: Failure, digest: Digest, machine: LogMachine) -> Candidate | None:
    matches = [match for sign in failure.signs if (match := find_sign(sign, digest)) is not None]
    if not matches:
        return None
    best = max(matches, key=lambda match: (_ORDER.index(match.sign.confidence), _measure(match)))
    held = [rule for rule in failure.machine if judge_situation(rule.when, machine)]
    if any(rule.effect is Effect.EXCLUDE for rule in held):
        return None
    level = _ORDER.index(best.sign.confidence)
    level += sum({Effect.RAISE: 1, Effect.LOWER: -1}.get(rule.effect, 0) for rule in held)
    confidence = _ORDER[min(max(level, 0), len(_ORDER) - 1)]
    return Candidate(failure=failure, match=best, confidence=confidence, why=tuple(rule.why for rule in held))


def _measure(match: Match) -> int:
    return sum(len(fragment) for fragment in match.sign.all)


def _weigh(candidate: Candidate) -> tuple[int, int, int]:
    raised = sum(1 for rule in candidate.failure.machine if rule.why in candidate.why)
    return _ORDER.index(candidate.confidence), raised, _measure(candidate.match)


def _build_cause(candidate: Candidate, machine: LogMachine) -> Cause:
    failure = candidate.failure
    # What surely holds here comes first; what surely does not is left out; the rest stays, in order.
    judged = [(judge_situation(cure.when, machine), cure) for cure in failure.cures]
    fitting = [cure for answer, cure in judged if answer] + [
        cure for answer, cure in judged if answer is None
    ]
    return Cause(
        id=failure.id,
        title=failure.title,
        confidence=candidate.confidence,
        cause=failure.cause,
        evidence=candidate.match.evidence,
        cure=tuple(f"{cure.do}   # {cure.note}" if cure.note else cure.do for cure in fitting),
        not_this=failure.not_this,
        machine=candidate.why,
        sources=failure.sources,
    )
