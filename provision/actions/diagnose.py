"""From a log to its causes, on this machine or on the one that a probe was taken from."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from provision.actions.context import Context
from provision.actions.detect import detect
from provision.actions.knowledge import load_gpu_names
from provision.core.diagnosis.log import read_log
from provision.core.diagnosis.machine import LogMachine, complete_machine, find_machine
from provision.core.diagnosis.matching import describe_bad_sign, list_literals
from provision.core.diagnosis.ranking import diagnose
from provision.core.yaml_text import convert, parse_yaml
from provision.errors import BadFileError
from provision.model.facts import Facts
from provision.model.failure import Cause, Confidence, Failure, Failures
from provision.system.resources import load_text


class Diagnosis(Struct, frozen=True, kw_only=True):
    """`causes` are likeliest first. `machine` is what they were judged by; `lines` counts the log."""

    causes: tuple[Cause, ...]
    machine: LogMachine
    lines: int


def diagnose_log(ctx: Context, pieces: Iterable[bytes], facts: Facts | None) -> Diagnosis:
    """What the log in `pieces` (bytes in any cut) shows. `facts` are the machine's, where they are known."""
    failures = load_failures(ctx)
    digest = read_log(pieces, list_literals(failures))
    told = find_machine(digest.text, load_gpu_names(ctx))
    machine = complete_machine(told, facts)
    causes = diagnose(digest, failures, machine, told)
    if not causes and digest.unwrapped is not None:
        causes = diagnose(digest.unwrapped, failures, machine, told)
    return Diagnosis(causes=causes, machine=machine, lines=digest.lines_total)


def explain_words(ctx: Context, words: str) -> tuple[Cause, ...]:
    """The likeliest cause of what a program said that failed here; none unless its signs are at least usual.

    What `provision` itself runs goes through here, so that its failures are explained like anybody's, and with
    this machine's facts.
    """
    causes = diagnose_log(ctx, [words.encode(errors="replace")], detect(ctx).facts).causes
    return tuple(cause for cause in causes[:1] if cause.confidence is not Confidence.LOW)


def load_failures(ctx: Context) -> tuple[Failure, ...]:
    """Read and check the known failures. Raises BadFileError with file, key path and reason."""
    path = ctx.data_dir / "profiles" / "failures.yaml"
    failures = convert(parse_yaml(load_text(path), where=str(path)), Failures, where=str(path)).failures
    known = {failure.id for failure in failures}
    for failure in failures:
        problems = [problem for sign in failure.signs if (problem := describe_bad_sign(sign))]
        problems += [
            f"outranks {other!r}, which does not exist" for other in failure.outranks if other not in known
        ]
        if problems:
            raise BadFileError(f"{path}: {failure.id}: {problems[0]}")
    return failures
