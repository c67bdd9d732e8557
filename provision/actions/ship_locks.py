"""For maintainers: makes the locks that ship in `profiles/locks/`, on a machine that the indexes answer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from provision.actions.context import Context
from provision.actions.knowledge import Knowledge, load_catalogue, load_knowledge
from provision.actions.lock_stack import ResolvedStack
from provision.actions.package_policy import Policy, build_policy
from provision.actions.resolve import resolve_models
from provision.core.lock_choice import LockTerms
from provision.core.models import find_model
from provision.core.shipped_locks import NO_CUTOFF, ShippedLock, render_shipped_lock
from provision.core.targets import choose_target
from provision.errors import StateError, UsageError
from provision.model.catalogue import ModelSpec
from provision.model.facts import Facts, Host
from provision.model.profile import Profile, TorchBuild
from provision.system.files import write_atomic

PYTHONS = ("3.11", "3.12", "3.13")
_SYSTEM, _MACHINE = "Linux", "x86_64"
_NOWHERE = Host(system="", release="", machine="", python_version="")


def ship_locks(
    ctx: Context, profile_name: str, keys: Sequence[str], folder: Path, *, pythons: Sequence[str] = PYTHONS
) -> tuple[Path, ...]:
    """Resolve the stacks of `keys` under a profile for Linux x86_64 and each Python, and write them to `folder`.

    Pythons for which the same was resolved share a file. Raises what resolving raises.
    """
    knowledge, catalogue = load_knowledge(ctx), load_catalogue(ctx)
    profile = next((profile for profile in knowledge.profiles if profile.name == profile_name), None)
    if profile is None:
        raise UsageError(f"there is no profile {profile_name!r}", hint="provision profiles")
    models = [find_model(key, catalogue) for key in keys]
    policy = build_policy(ctx)
    merged: dict[tuple[str, ...], ShippedLock] = {}
    for python in pythons:
        ctx.reporter.step(f"resolving for Python {python}")
        for one in _resolve(ctx, knowledge, profile, models, python, policy):
            key = (one.lock.sha256, *one.terms.requirements)
            known = merged.get(key)
            spoken = (*(known.terms.pythons if known else ()), python)
            merged[key] = replace(known or one, terms=replace(one.terms, pythons=spoken))
    return tuple(_save(folder, shipped) for shipped in merged.values())


def _resolve(
    ctx: Context,
    knowledge: Knowledge,
    profile: Profile,
    models: Sequence[ModelSpec],
    python: str,
    policy: Policy,
) -> list[ShippedLock]:
    host = replace(_NOWHERE, system=_SYSTEM, machine=_MACHINE, python_version=f"{python}.0")
    facts = Facts(
        vendor=None,
        gpus=(),
        gpu_source=None,
        driver=None,
        cuda_driver_version=None,
        conditions=(),
        host=host,
    )
    build, target = knowledge.builds[profile.torch], choose_target(host, _NOWHERE)
    found = resolve_models(
        ctx, models, profile, build, facts, target=target, policy=replace(policy, fresh=True)
    )
    return [
        ShippedLock(
            build=build.name,
            terms=LockTerms(
                requirements=stack.spec.requirements,
                platform=host.platform,
                pythons=(python,),
                torch=stack.offer.torch,
                torchvision=stack.offer.torchvision,
                tag=stack.offer.tag,
            ),
            exclude_newer=policy.exclude_newer or NO_CUTOFF,
            lock=stack.lock,
        )
        for stack in found.stacks
        if _is_of_build(ctx, stack, build, python)
    ]


def _is_of_build(ctx: Context, stack: ResolvedStack, build: TorchBuild, python: str) -> bool:
    """A CUDA torch does for the CPU profile where nothing else is served, but nobody is to be sent it."""
    if stack.offer.tag == build.tag:
        return True
    ctx.reporter.warn(
        f"for Python {python} the sources serve torch for {stack.offer.tag}, not for {build.tag}: not shipped"
    )
    return False


def _save(folder: Path, shipped: ShippedLock) -> Path:
    terms = shipped.terms
    digest = hashlib.sha256("\n".join(sorted(terms.requirements)).encode()).hexdigest()[:8]
    torch = terms.torch.partition("+")[0]
    python = terms.pythons[0].replace(".", "")
    path = folder / f"{terms.platform}-{terms.tag}-torch{torch}-{digest}-py{python}.txt"
    try:
        write_atomic(path, render_shipped_lock(shipped).encode())
    except OSError as error:
        raise StateError(f"{path}: {error.strerror or error}", hint=f"ls -ld {folder}") from error
    return path
