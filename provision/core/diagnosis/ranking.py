"""Which of the failures that a log shows is its cause, on the machine in question."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from provision.core.diagnosis.digest import Digest
from provision.core.diagnosis.machine import LogMachine, judge_situation
from provision.core.diagnosis.matching import Match, find_sign
from provision.core.diagnosis.quoting import find_quoted
from provision.model.failure import Cause, Confidence, Effect, Failure

_ORDER = (Confidence.LOW, Confidence.MEDIUM, Confidence.HIGH)
_STEPS = {Effect.EXCLUDE: 0, Effect.LOWER: -1, Effect.RAISE: 1}
_SOFTER = {Effect.EXCLUDE: Effect.LOWER, Effect.LOWER: None, Effect.RAISE: Effect.RAISE}


class Candidate(Struct, frozen=True, kw_only=True):
    """A failure whose sign the log shows, after the machine was looked at. `why` are the rules that held."""

    failure: Failure
    match: Match
    confidence: Confidence
    why: tuple[str, ...]


def diagnose(
    digest: Digest, failures: Sequence[Failure], machine: LogMachine, told: LogMachine | None = None
) -> tuple[Cause, ...]:
    """The causes, likeliest first; none when the log shows nothing that is known.

    `machine` is `told`, what the log itself says, completed by the facts of this machine. Where those facts
    leave nothing of what the log shows, it is of another machine, and they are not asked.
    """
    told = machine if told is None else told
    shown = [(failure, match) for failure in failures if (match := _find_best(failure, digest)) is not None]
    found = _judge_all(shown, machine, told)
    if not found and machine is not told:
        machine = told
        found = [_lower(candidate) for candidate in _judge_all(shown, told, told)]
    quoted = find_quoted([candidate.match.evidence for candidate in found], digest.text)
    found = [
        replace(candidate, confidence=Confidence.LOW) if quote else candidate
        for candidate, quote in zip(found, quoted, strict=True)
    ]
    return tuple(_build_cause(candidate, machine) for candidate in order_candidates(found))


def order_candidates(found: Sequence[Candidate]) -> list[Candidate]:
    """By confidence, then by what speaks for each here; what is outranked goes behind its cause.

    What is only cosmetic comes last, however sure.
    """
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


def _find_best(failure: Failure, digest: Digest) -> Match | None:
    """The surest of the failure's signs that the log shows, and of several the one that demands most."""
    matches = [match for sign in failure.signs if (match := find_sign(sign, digest)) is not None]
    return max(
        matches, key=lambda match: (_ORDER.index(match.sign.confidence), _measure(match)), default=None
    )


def _judge_all(
    shown: Sequence[tuple[Failure, Match]], machine: LogMachine, told: LogMachine
) -> list[Candidate]:
    judged = (_judge_failure(failure, match, machine, told) for failure, match in shown)
    return [candidate for candidate in judged if candidate is not None]


def _judge_failure(failure: Failure, match: Match, machine: LogMachine, told: LogMachine) -> Candidate | None:
    sure = match.sign.confidence is Confidence.HIGH
    effects: list[Effect] = []
    held: list[str] = []
    for rule in failure.machine:
        if not judge_situation(rule.when, machine):
            continue
        effect: Effect | None = rule.effect
        if sure and not judge_situation(rule.when, told):
            # Only this machine's facts say so, and the sign proves more than they do.
            effect = _SOFTER[rule.effect]
        if effect is not None:
            effects.append(effect)
            held.append(rule.why)
    if Effect.EXCLUDE in effects:
        return None
    level = _ORDER.index(match.sign.confidence) + sum(_STEPS[effect] for effect in effects)
    confidence = _ORDER[min(max(level, 0), len(_ORDER) - 1)]
    return Candidate(failure=failure, match=match, confidence=confidence, why=tuple(held))


def _lower(candidate: Candidate) -> Candidate:
    return replace(candidate, confidence=_ORDER[max(0, _ORDER.index(candidate.confidence) - 1)])


def _measure(match: Match) -> int:
    return sum(len(fragment) for fragment in match.sign.all)


def _weigh(candidate: Candidate) -> tuple[bool, int, int, int]:
    raised = sum(1 for rule in candidate.failure.machine if rule.why in candidate.why)
    harms = candidate.failure.severity != "cosmetic"
    return harms, _ORDER.index(candidate.confidence), raised, _measure(candidate.match)


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
