"""A few failures, small enough to see through."""

from provision.model.failure import (
    Confidence,
    Cure,
    Effect,
    Failure,
    FailureLog,
    FolkCure,
    MachineRule,
    Sign,
    Situation,
)


def build_failure(name, *signs, machine=(), outranks=(), cures=()):
    return Failure(
        id=name,
        stage="import",
        severity="high",
        title=f"The title of {name}",
        cause=f"The cause of {name}.",
        signs=signs,
        machine=machine,
        outranks=outranks,
        cures=cures or (Cure(do=f"cure {name}", basis="run here", date="2026-11-21"),),
        not_this=(FolkCure(claim="reinstall it all", why="it comes back"),),
        logs=(FailureLog(text="-"),),
        sources=("https://example.org/1",),
        evidence="inferred",
    )


TOO_NEW = build_failure(
    "too-new",
    Sign(all=("is not compatible with the current PyTorch installation", "re:CUDA capability sm_1\\d\\d")),
    Sign(all=("no kernel image is available",), confidence=Confidence.LOW),
    outranks=("other-binary",),
)
OTHER_BINARY = build_failure(
    "other-binary",
    Sign(all=("no kernel image is available", "flash_attn")),
    Sign(all=("no kernel image is available",), confidence=Confidence.LOW),
)
AMPERE = build_failure(
    "needs-ampere",
    Sign(all=("only supports Ampere GPUs or newer",)),
    machine=(
        MachineRule(
            when=Situation(capability_least="8.0"), effect=Effect.EXCLUDE, why="The card is new enough."
        ),
        MachineRule(when=Situation(capability_below="8.0"), effect=Effect.RAISE, why="The card is too old."),
    ),
)
OLD_BINARY = build_failure(
    "old-binary",
    Sign(all=("only supports Ampere GPUs or newer",), confidence=Confidence.MEDIUM),
    machine=(
        MachineRule(
            when=Situation(capability_least="9.0"), effect=Effect.RAISE, why="The card is newer than Ampere."
        ),
    ),
    cures=(
        Cure(do="on Windows", when=Situation(system=("Windows",)), basis="run here", date="2026-11-21"),
        Cure(do="anywhere", note="slow", basis="run here", date="2026-11-21"),
        Cure(do="on Linux", when=Situation(system=("Linux",)), basis="run here", date="2026-11-21"),
    ),
)
ALL = (TOO_NEW, OTHER_BINARY, AMPERE, OLD_BINARY)
