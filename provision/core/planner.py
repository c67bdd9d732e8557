"""What has to be done to get from the active generation to the one that is wanted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from provision.model.catalogue import ModelSpec
from provision.model.facts import Facts
from provision.model.packages import Answer, SourceAttempt
from provision.model.plan import Plan, PlannedStack, Step, StepKind
from provision.model.profile import Profile, TorchBuild

# Raised when the meaning of a generation changes, so that every machine verifies anew.
_FINGERPRINT_VERSION = 1
_NOT_DECIDING = {
    "architectures",
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
        "models": [[model.key, _decide(model), revisions[model.key]] for model in models],
    }
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


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
) -> Plan:
    """The ordered steps that make `generation` out of what is there."""
    steps = [_plan_stack(stack) for stack in stacks]
    steps += [_plan_weights(model) for model in models]
    steps.append(
        Step(
            kind=StepKind.SMOKE,
            title=f"let {len(models)} model{'s' if len(models) > 1 else ''} read pages in {profile.dtype}",
            detail=", ".join(model.key for model in models),
        )
    )
    steps.append(
        Step(kind=StepKind.CONFIG, title="write config.yaml", detail="only keys that provision owns")
    )
    steps.append(Step(kind=StepKind.ACTIVATE, title=f"activate generation {generation}"))
    return Plan(
        profile=profile.name,
        models=tuple(model.key for model in models),
        fingerprint=fingerprint,
        stacks=tuple(stacks),
        steps=tuple(steps),
        generation=generation,
        warnings=tuple(warning for stack in stacks for warning in explain_attempts(stack.attempts)),
    )


def _plan_stack(stack: PlannedStack) -> Step:
    pair = f"torch {stack.torch}" + (f", torchvision {stack.torchvision}" if stack.torchvision else "")
    packages = f"{len(stack.lock.wheels)} packages, {pair}"
    if stack.complete:
        return Step(kind=StepKind.REUSE, title=f"keep stack {stack.name}", detail=packages)
    return Step(
        kind=StepKind.BUILD,
        title=f"build stack {stack.name}",
        detail=packages,
        download_bytes=stack.lock.download_bytes,
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
        detail=f"{model.repo_id} at {(model.revision or '')[:12]}",
        download_bytes=model.weights_bytes,
    )


def explain_attempts(attempts: Sequence[SourceAttempt]) -> list[str]:
    """One warning for every source that did not answer although another could serve."""
    return [
        f"{attempt.source.label} ({attempt.source.origin}) does not answer: {attempt.detail}"
        for attempt in attempts
        if attempt.answer is Answer.UNREACHABLE
    ]
