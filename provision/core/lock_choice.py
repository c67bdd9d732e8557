"""Whether a lock that was made before is for what is wanted now, and why not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from provision.core.models import build_requirements
from provision.model.catalogue import ModelSpec
from provision.model.lockfile import LockDocument, LockWanted, NoLock
from provision.model.packages import StackLock
from provision.model.profile import Profile


class LockTerms(Struct, frozen=True, kw_only=True):
    """What a lock was made for. `pythons` are the minor versions for which the resolver gave the same."""

    requirements: tuple[str, ...]
    platform: str
    pythons: tuple[str, ...]
    torch: str
    torchvision: str | None
    tag: str


def find_lock(document: LockDocument, wanted: LockWanted) -> StackLock | NoLock:
    """The packages that `provision.lock` binds for `wanted`, or why it has none.

    Stacks are found by what is in them, not by name. Where none has the same requirements, the reason names
    what the nearest has and what it lacks.
    """
    lockfile = document.lockfile
    if not lockfile.stacks:
        return NoLock(reason="provision.lock has no stack")
    reasons = []
    for stack in lockfile.stacks:
        terms = LockTerms(
            requirements=stack.requirements,
            platform=lockfile.platform,
            pythons=(lockfile.python,),
            torch=stack.torch,
            torchvision=stack.torchvision,
            tag=stack.tag,
        )
        reason = judge_terms(terms, wanted)
        if reason is None:
            return document.locks[stack.name]
        reasons.append((len(set(terms.requirements) ^ set(wanted.requirements)), stack.name, reason))
    _, name, reason = min(reasons)
    return NoLock(reason=f"stack {name} of provision.lock {reason}")


def judge_terms(terms: LockTerms, wanted: LockWanted) -> str | None:
    """Why a lock made under `terms` is not for `wanted`, as the end of a sentence; None when it is."""
    if terms.platform != wanted.platform:
        return f"is for {terms.platform}, not for {wanted.platform}"
    if wanted.python not in terms.pythons:
        return f"is for Python {', '.join(terms.pythons)}, not for {wanted.python}"
    if reason := _judge_torch(terms, wanted):
        return reason
    if terms.requirements == wanted.bounded:
        return None
    more, fewer = (
        sorted(set(wanted.requirements) - set(terms.requirements)),
        sorted(set(terms.requirements) - set(wanted.requirements)),
    )
    if not more and not fewer:
        return None
    said = [f"was not resolved for {_name(more)}"] if more else []
    said += [f"was resolved for {_name(fewer)} too"] if fewer else []
    return " and ".join(said)


def _judge_torch(terms: LockTerms, wanted: LockWanted) -> str | None:
    if wanted.tag not in ("cpu", terms.tag):
        return f"holds torch for {terms.tag}, not for {wanted.tag}"
    if not _is_version(terms.torch, wanted.torch):
        return f"holds torch {terms.torch}, not {wanted.torch}"
    if terms.torchvision is None and wanted.torchvision_needed:
        return f"holds no torchvision, and {wanted.torchvision or 'one'} is needed"
    if terms.torchvision and wanted.torchvision and not _is_version(terms.torchvision, wanted.torchvision):
        return f"holds torchvision {terms.torchvision}, not {wanted.torchvision}"
    return None


def _is_version(locked: str, wanted: str) -> bool:
    """A version without a label is met by any label: what it is built for, the tag tells."""
    return locked == wanted or ("+" not in wanted and locked.partition("+")[0] == wanted)


def _name(requirements: Collection[str]) -> str:
    listed = list(requirements)
    rest = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
    return ", ".join(listed[:3]) + rest


def find_requirements(
    models: Sequence[ModelSpec], profile: Profile, versions: Mapping[str, str]
) -> tuple[str, ...]:
    """What was asked of the resolver for a stack of `models` that holds `versions`, by name.

    A generation keeps the answer only. Of all questions that it answers the first is taken, as resolving does;
    none when the profile has changed since and no question fits.
    """
    asked = [
        requirements
        for preferred in (True, False)
        for bounds in (None, profile.bounds)
        if bounds is None or bounds
        for requirements in build_requirements(models, profile, preferred=preferred, bounds=bounds)
    ]
    return next((requirements for requirements in asked if _answers(versions, requirements)), ())


def _answers(versions: Mapping[str, str], requirements: Sequence[str]) -> bool:
    for text in requirements:
        requirement = Requirement(text)
        version = versions.get(str(canonicalize_name(requirement.name)))
        applies = requirement.marker is None or requirement.marker.evaluate()
        if applies and (version is None or not requirement.specifier.contains(version, prereleases=True)):
            return False
    return True
