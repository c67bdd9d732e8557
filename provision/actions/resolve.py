"""The fewest stacks that serve a set of models, each locked, with what becomes of flash-attn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from provision.actions.context import Context
from provision.actions.knowledge import load_flash_knowledge, load_known_pairs
from provision.actions.known_locks import load_known_locks
from provision.actions.lock_stack import (
    ResolvedStack,
    Resolver,
    open_resolver,
    resolve_requirements,
)
from provision.actions.package_policy import Policy, build_policy
from provision.core.bad_pairs import find_bad_pairs
from provision.core.flash_attention import FlashDecision, choose_flash_attention
from provision.core.flash_wheels import build_flash_target
from provision.core.models import StackSpec, build_requirements, name_stack
from provision.core.partition import Group, Refused, Separation, build_need, choose_groups
from provision.core.targets import Target
from provision.errors import UsageError
from provision.model.catalogue import ModelSpec
from provision.model.environment import KnownPairs
from provision.model.facts import Facts
from provision.model.flash_attention import FlashKnowledge
from provision.model.profile import FlashChoice, Profile, TorchBuild
from provision.system.pip_files import list_wheels

if TYPE_CHECKING:
    pass


class ResolvedSet(Struct, frozen=True, kw_only=True):
    """The fewest stacks that serve the models, the profile's own first, and why the others stand apart."""

    stacks: tuple[ResolvedStack, ...]
    separations: tuple[Separation, ...]


def resolve_models(
    ctx: Context,
    models: Sequence[ModelSpec],
    profile: Profile,
    build: TorchBuild,
    facts: Facts,
    *,
    target: Target | None = None,
    policy: Policy | None = None,
) -> ResolvedSet:
    """The fewest stacks for `models` on the machine of `facts`, each proved by uv; torch is the same in all.

    Raises DownloadError when no source serves torch or a source fails, UsageError for a model that has no
    environment under this profile, with the resolver's reason.
    """
    catalogue = {model.key: model for model in models}
    needed = any(model.needs_torchvision for model in models)
    policy = policy or build_policy(ctx)
    pairs, flash = load_known_pairs(ctx), load_flash_knowledge(ctx)
    known = None if policy.fresh or policy.bounds else load_known_locks(ctx, shipped=not policy.dated)
    with open_resolver(ctx, build, facts.host.platform, target, policy, torchvision_needed=needed) as opened:
        python = ".".join(facts.host.python_version.split(".")[:2])
        resolver = replace(opened, known=known, python=python)

        pins = policy.bounds or {name: f"=={version}" for name, version in profile.packages.items()}
        prove = partial(_prove, resolver, profile, facts, catalogue, pairs)
        found = choose_groups([build_need(model) for model in models], pins, prove)
        if not isinstance(found, Refused):
            finish = partial(_decide_flash_attention, resolver, profile, facts, flash)
            found = tuple((group, finish(stack)) for group, stack in found[0]), found[1]
    if isinstance(found, Refused):
        names = ", ".join(catalogue)
        raise UsageError(
            f"profile {profile.name} has no environment for a model of {names}: {found.reason}",
            hint=f"leave it out: provision apply {profile.name} --models …",
        )
    groups, separations = found
    return ResolvedSet(stacks=tuple(_name(groups)), separations=separations)


def _prove(
    resolver: Resolver,
    profile: Profile,
    facts: Facts,
    catalogue: Mapping[str, ModelSpec],
    pairs: KnownPairs,
    group: Group,
) -> ResolvedStack | Refused:
    """The stack for `group`, or why there is none: the resolver's word, or versions that are known to clash."""
    models = [catalogue[key] for key in group.models]

    def ask(bounds: Mapping[str, str] | None) -> tuple[tuple[str, ...], ...]:
        return build_requirements(models, profile, preferred=group.preferred, bounds=bounds)

    answer: ResolvedStack | Refused = Refused(reason="nothing was asked")
    for requirements in ask(resolver.policy.bounds):
        spec = StackSpec(
            name="",
            models=group.models,
            requirements=requirements,
            torchvision_needed=any(model.needs_torchvision for model in models),
        )
        answer = resolve_requirements(resolver, spec, bounded=ask(profile.bounds or None)[0])
        if isinstance(answer, ResolvedStack):
            bad = find_bad_pairs(answer.lock.versions, facts, pairs.bad_pairs)
            clash = next((pair for pair in bad if pair.severity == "fail"), None)
            return answer if clash is None else Refused(reason=f"{clash.what} ({clash.source})")
    return answer


def _decide_flash_attention(
    resolver: Resolver, profile: Profile, facts: Facts, knowledge: FlashKnowledge, stack: ResolvedStack
) -> ResolvedStack:
    """`stack` with flash-attn or the Hub's kernels where that was chosen, fits and resolves; else without."""
    offer, host = resolver.torch.offer, facts.host
    gpu = facts.gpus[0] if facts.gpus else None
    target = build_flash_target(
        torch=offer.torch,
        cuda=resolver.build.cuda,
        python=".".join(host.python_version.split(".")[:2]),
        platform=host.platform,
        capability=gpu.best_compute_capability if gpu else None,
    )
    decision = choose_flash_attention(
        profile.flash_attn,
        target,
        stack.lock.versions["transformers"],
        knowledge,
        found=list_wheels(resolver.torch.sources, "flash_attn"),
        asked=resolver.policy.flash_attn,
    )
    if decision.requirement is None:
        return replace(stack, flash_attn=decision)
    requirements = tuple(sorted((*stack.spec.requirements, decision.requirement)))
    answer = resolve_requirements(resolver, replace(stack.spec, requirements=requirements))
    if isinstance(answer, Refused):
        reason = f"{decision.requirement} does not resolve beside the others: {answer.reason}"
        return replace(stack, flash_attn=FlashDecision(choice=FlashChoice.ABSENT, reason=reason))
    return replace(answer, flash_attn=decision)


def _name(groups: Sequence[tuple[Group, ResolvedStack]]) -> Iterator[ResolvedStack]:
    taken: list[str] = []
    for _, stack in groups:
        taken.append(name_stack(stack.lock.versions, taken))
        yield replace(stack, spec=replace(stack.spec, name=taken[-1]))
