"""What has to be done to get from the active generation to the one that is wanted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from provision.core.needs import list_shortages
from provision.model.catalogue import ModelSpec
from provision.model.facts import Facts
from provision.model.packages import Answer, SourceAttempt
from provision.model.plan import MemoryNeed, PackageChange, Plan, PlannedStack, SpaceNeed, Step, StepKind
from provision.model.profile import Profile, TorchBuild

# Raised when the meaning of a generation changes, so that every machine verifies anew.
_FINGERPRINT_VERSION = 1
_NOT_DECIDING = {
    "architectures",
    "bounds",
    "cure",
    "drivers",
    "evidence",
    "last_driver",
    "licence",
    "name",
    "notes",
    "production",
    "reason",
    "title",
    "weights_bytes",
}


def build_fingerprint(
    facts: Facts,
    profile: Profile,
    build: TorchBuild,
    models: Sequence[ModelSpec],
    revisions: Mapping[str, str],
    python: str,
) -> str:
    """SHA-256 of all that decides a generation: the GPUs and driver, the choices, the models' revisions.

    Two equal fingerprints mean that an apply has nothing to resolve, build or verify.
    """
    content = {
        "version": _FINGERPRINT_VERSION,
        "platform": facts.host.platform,
        "python": python,
        "gpus": [(gpu.name, gpu.compute_capability) for gpu in facts.gpus],
        "driver": facts.driver,
        "profile": [profile.name, _decide(profile)],
        "build": _decide(build),
        # config.yaml lists them in another order than they were asked for.
        "models": [
            [model.key, _decide(model), revisions[model.key]]
            for model in sorted(models, key=lambda model: model.key)
        ],
    }
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def build_basis(
    facts: Facts,
    profile: Profile,
    build: TorchBuild,
    models: Sequence[ModelSpec],
    *,
    python: str,
    active: int | None,
    config_sha256: str | None,
    lock_sha256: str | None,
    root: str,
) -> dict[str, str]:
    """What a plan rests on, by a word for people. A plan is stale when one of them has changed since."""
    models = sorted(models, key=lambda model: model.key)
    gpus = ", ".join(f"{gpu.name} ({gpu.compute_capability}, {gpu.uuid})" for gpu in facts.gpus)
    return {
        "platform": facts.host.platform,
        "Python": python,
        "GPU": gpus or "none",
        "driver": facts.driver or "none",
        "profile": f"{profile.name} {_digest([_decide(profile), _decide(build)])}",
        "models": f"{', '.join(model.key for model in models)} {_digest([_decide(model) for model in models])}",
        "active generation": str(active or "none"),
        "config.yaml": config_sha256 or "absent",
        "provision.lock": lock_sha256 or "absent",
        "folder": root,
    }


def compare_basis(planned: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """One clause for everything that is not as it was when the plan was made."""
    hidden = {"profile", "models", "config.yaml", "provision.lock"}
    return [
        f"{word} changed"
        if word in hidden
        else f"{word} was {planned.get(word, 'not told')}, is {found.get(word, 'not known')}"
        for word in dict.fromkeys([*planned, *found])
        if found.get(word) != planned.get(word)
    ]


def _digest(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:12]


def _decide(value: msgspec.Struct) -> dict[str, Any]:
    """The fields that change what is built or how it is asked; prose and evidence do not."""
    return {
        key: {name: part for name, part in item.items() if name not in _NOT_DECIDING}
        if isinstance(item, dict)
        else item
        for key, item in msgspec.to_builtins(value).items()
        if key not in _NOT_DECIDING
    }


def build_plan(
    *,
    profile: Profile,
    models: Sequence[ModelSpec],
    fingerprint: str,
    stacks: Sequence[PlannedStack],
    generation: int,
    separations: Sequence[str] = (),
    spaces: Sequence[SpaceNeed] = (),
    memory: Sequence[MemoryNeed] = (),
    files: Sequence[str] = (),
    basis: Mapping[str, str] | None = None,
    weights: bool = True,
    activate: bool = True,
) -> Plan:
    """The ordered steps that make `generation` out of what is there.

    Without `activate` stacks are built and imported only, without `weights` none are brought.
    """
    steps = list(_plan_stacks(stacks))
    steps += [_plan_weights(model) for model in models if weights]
    steps += _plan_activation(profile, models, generation) if activate else [_plan_imports(stacks)]
    warnings = [warning for stack in stacks for warning in explain_attempts(stack.attempts)]
    return Plan(
        profile=profile.name,
        models=tuple(model.key for model in models),
        fingerprint=fingerprint,
        stacks=tuple(stacks),
        steps=tuple(steps),
        generation=generation,
        warnings=tuple(dict.fromkeys([*warnings, *list_shortages(spaces, memory)])),
        separations=tuple(separations),
        spaces=tuple(spaces),
        memory=tuple(memory),
        files=tuple(files),
        basis=dict(basis or {}),
    )


def _plan_activation(profile: Profile, models: Sequence[ModelSpec], generation: int) -> list[Step]:
    reading = f"let {len(models)} model{'s' if len(models) > 1 else ''} read pages in {profile.dtype}"
    return [
        Step(kind=StepKind.SMOKE, title=reading, detail=", ".join(model.key for model in models)),
        Step(kind=StepKind.CONFIG, title="write config.yaml", detail="only keys that provision owns"),
        Step(kind=StepKind.ACTIVATE, title=f"activate generation {generation}"),
    ]


def _plan_imports(stacks: Sequence[PlannedStack]) -> Step:
    names = ", ".join(stack.name for stack in stacks)
    return Step(kind=StepKind.VERIFY, title="import what was asked for", detail=names)


def compare_locks(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[PackageChange, ...]:
    """What changes from one set of versions to another, by name."""
    return tuple(
        PackageChange(name=name, before=before.get(name), after=after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    )


def _plan_stacks(stacks: Sequence[PlannedStack]) -> Iterator[Step]:
    """A wheel that several stacks hold is fetched for the first of them."""
    fetched: set[tuple[str, str]] = set()
    for stack in stacks:
        pair = f"torch {stack.torch}" + (f", torchvision {stack.torchvision}" if stack.torchvision else "")
        packages = f"{len(stack.lock.wheels)} packages, {pair}"
        if stack.complete:
            yield Step(kind=StepKind.REUSE, title=f"keep stack {stack.name}", detail=packages)
            continue
        new = [wheel for wheel in stack.lock.wheels if (wheel.name, wheel.version) not in fetched]
        fetched |= {(wheel.name, wheel.version) for wheel in new}
        yield Step(
            kind=StepKind.BUILD,
            title=f"build stack {stack.name}",
            detail=packages,
            download_bytes=sum(wheel.size_bytes or 0 for wheel in new),
        )


def _plan_weights(model: ModelSpec) -> Step:
    if model.embedded is not None:
        return Step(
            kind=StepKind.WEIGHTS,
            title=f"copy the weights of {model.key}",
            detail="embedded",
            download_bytes=0,
        )
    return Step(
        kind=StepKind.WEIGHTS,
        title=f"fetch the weights of {model.key}",
        detail=f"{model.repo_id} at {model.revision[:12] if model.revision else 'no known revision'}",
        download_bytes=model.weights_bytes,
    )


def explain_attempts(attempts: Sequence[SourceAttempt]) -> list[str]:
    """One warning for every source that did not answer although another could serve."""
    return [
        f"{attempt.source.label} ({attempt.source.origin}) does not answer: {attempt.detail}"
        for attempt in attempts
        if attempt.answer is Answer.UNREACHABLE
    ]
