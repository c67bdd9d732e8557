"""What a plan takes of disks and of a device's memory, against what is free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from provision.model.catalogue import ModelSpec
from provision.model.checkup import Space
from provision.model.facts import Facts
from provision.model.plan import MemoryNeed, PlannedStack, SpaceNeed

STACKS, UV_CACHE, WEIGHTS = "stacks", "uv's cache", "weights"
# Unpacked over packed: 1.8 for the CUDA 13.0 stack (torch 2.11.0), 2.9 GB packed, measured on 2026-11-21.
_UNPACKED = 2.0


def estimate_bytes(stacks: Sequence[PlannedStack], models: Sequence[ModelSpec]) -> dict[str, int]:
    """At most these bytes are written, by purpose. Wheels that several stacks share are unpacked once."""
    wheels = {
        (wheel.name, wheel.version): wheel.size_bytes or 0
        for stack in stacks
        if not stack.complete
        for wheel in stack.lock.wheels
    }
    unpacked = int(sum(wheels.values()) * _UNPACKED)
    fetched = sum(model.weights_bytes for model in models if model.embedded is None)
    return {STACKS: unpacked, UV_CACHE: unpacked, WEIGHTS: fetched}


def build_space_needs(wanted: Mapping[str, int], spaces: Sequence[Space]) -> tuple[SpaceNeed, ...]:
    """The need of each file system; what shares one is added up.

    A stack's files are hard links of uv's cache where both are on one file system, and copies where not.
    """
    by_device: dict[int, SpaceNeed] = {}
    for space in spaces:
        need = wanted.get(space.purpose, 0)
        former = by_device.get(space.device)
        if former is None:
            by_device[space.device] = SpaceNeed(
                purpose=space.purpose, path=space.path, needed_bytes=need, free_bytes=space.free_bytes
            )
            continue
        linked = {space.purpose, *former.purpose.split(", ")} >= {
            STACKS,
            UV_CACHE,
        } and space.purpose != WEIGHTS
        by_device[space.device] = replace(
            former,
            purpose=f"{former.purpose}, {space.purpose}",
            needed_bytes=former.needed_bytes + (0 if linked else need),
        )
    return tuple(need for need in by_device.values() if need.needed_bytes)


def build_memory_needs(models: Sequence[ModelSpec], facts: Facts, device: str) -> tuple[MemoryNeed, ...]:
    """The weights of each model against the first GPU's free memory; nothing for a CPU.

    Image tokens and the KV cache come on top.
    """
    if device != "cuda" or not facts.gpus:
        return ()
    gpu = facts.gpus[0]
    free = None if gpu.memory_mib is None else (gpu.memory_mib - (gpu.memory_used_mib or 0)) * 2**20
    return tuple(
        MemoryNeed(
            model=model.key, device=gpu.name or "the GPU", needed_bytes=model.weights_bytes, free_bytes=free
        )
        for model in models
    )


def list_shortages(spaces: Sequence[SpaceNeed], memory: Sequence[MemoryNeed]) -> list[str]:
    """A sentence for each need that is larger than what is free."""
    short = [
        f"{need.path} may run full: up to {_gigabytes(need.needed_bytes)} are written for {need.purpose}, "
        f"and {_gigabytes(need.free_bytes)} are free"
        for need in spaces
        if need.needed_bytes > need.free_bytes
    ]
    small = [
        f"{need.model} may not fit on {need.device}: its weights take {_gigabytes(need.needed_bytes)}, "
        f"and {_gigabytes(need.free_bytes)} are free"
        for need in memory
        if need.free_bytes is not None and need.needed_bytes > need.free_bytes
    ]
    return short + small


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
