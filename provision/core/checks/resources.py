"""Disk and memory."""

from __future__ import annotations

from collections.abc import Sequence

from provision.core.checks.check import Check, Checkup, Needs
from provision.core.checks.results import Result, failed, passed, skipped, warned
from provision.core.cures import CureKind, choose_cure
from provision.core.shells import render_export, render_unset
from provision.model.checkup import Space

STATE, UV_CACHE, HUB_CACHE, TEMPORARY = "state folder", "uv's cache", "Hub's cache", "temporary files"

# The CUDA stack takes 5 GB installed and as much again in uv's cache when that lies on another file system.
_DISK_CUDA_BYTES = 12_000_000_000
_DISK_CPU_BYTES = 3_000_000_000
# Of what else is written: the weights of one model of 2 to 3 B parameters in bf16, and what uv unpacks.
_DISK_WEIGHTS_BYTES = 8_000_000_000
_DISK_TEMPORARY_BYTES = 1_000_000_000
_DISK_LEAST_BYTES = 1_000_000_000
_MEMORY_BYTES = 4 * 2**30
# Docker gives 64 MiB, which torch's data loaders and NCCL fill: https://docs.docker.com/engine/containers/run/
_SHARED_MEMORY_BYTES = 2**30


def check_disk(checkup: Checkup) -> Result:
    """Room for what is still to be written, on each file system that it goes to."""
    spaces = checkup.spaces
    if not spaces:
        return skipped("free space is not known")
    built = checkup.state.generation is not None
    groups = _group_by_device(spaces)
    evidence = "; ".join(_say_space(group) for group in groups)
    if not built:
        stack_bytes = _DISK_CPU_BYTES if checkup.profile == "cpu" else _DISK_CUDA_BYTES
        evidence += f"; a stack needs up to {stack_bytes / 1e9:.0f} GB"
    needs = _DISK_NEEDS_BUILT if built else _list_needs(checkup.profile)
    short = [group for group in groups if group[0].free_bytes < sum(needs[item.purpose] for item in group)]
    if not short:
        return passed(evidence)
    worst = short[0][0]
    cure = f"df -h {_quote(worst.path)} && uv cache prune"
    if checkup.facts.host.system == "Windows":
        cure = "uv cache prune"
    hopeless = not built and any(item.purpose == STATE for group in short for item in group)
    full = any(group[0].free_bytes < _DISK_LEAST_BYTES for group in short)
    return failed(evidence, cure) if hopeless or full else warned(evidence, cure)


def check_writable(checkup: Checkup) -> Result:
    """May this user write where stacks, weights and caches go? A file system may be read-only, too."""
    if not checkup.spaces:
        return skipped("where stacks and weights go is not known")
    closed = [space for space in checkup.spaces if not space.writable]
    if closed:
        evidence = "; ".join(f"{space.purpose}: {space.path} cannot be written to" for space in closed)
        return failed(evidence, f"ls -ld {_quote(closed[0].path)} && df {_quote(closed[0].path)}")
    lost = next((space for space in checkup.spaces if space.purpose == TEMPORARY and space.missing), None)
    if lost is not None:
        cure = render_unset(checkup.place.shell, "TMPDIR")
        return warned(f"temporary files are to go to {lost.missing}, which does not exist", cure)
    return passed("every folder that is written to can be written to")


def check_links(checkup: Checkup) -> Result:
    """uv links from its cache where it can, and else copies: twice the space, and slower."""
    spaces = {space.purpose: space for space in checkup.spaces}
    if STATE not in spaces or UV_CACHE not in spaces:
        return skipped("where uv's cache lies is not known")
    state, cache = spaces[STATE], spaces[UV_CACHE]
    if state.device == cache.device:
        return passed("the state folder and uv's cache are on one file system: stacks are hard links")
    evidence = (
        f"uv's cache ({cache.path}) is on another file system than the state folder: stacks are copies, "
        "which take their space twice"
    )
    separator = "\\" if checkup.facts.host.system == "Windows" else "/"
    folder = f"{state.path}{separator}.uv-cache"
    return warned(evidence, render_export(checkup.place.shell, "UV_CACHE_DIR", _quote(folder)))


def check_memory(checkup: Checkup) -> Result:
    """Memory enough to import torch and load a model, also under a container's limit."""
    memory = checkup.facts.host.memory_bytes
    if memory is None:
        return skipped("the size of memory is not known")
    limit = None if checkup.scope.elsewhere else checkup.memory_limit_bytes
    evidence = f"{memory / 2**30:.1f} GiB of memory"
    if limit is not None and limit < memory:
        evidence += f", of which this container may use {limit / 2**30:.1f} GiB"
    usable = memory if limit is None else min(memory, limit)
    return passed(evidence) if usable >= _MEMORY_BYTES else warned(evidence)


def check_shared_memory(checkup: Checkup) -> Result:
    """Shared memory, which containers get little of."""
    size = checkup.shared_memory_bytes
    if size is None:
        return skipped("there is no /dev/shm on this system")
    evidence = f"{size / 2**20:.0f} MiB of shared memory in /dev/shm"
    if size >= _SHARED_MEMORY_BYTES:
        return passed(evidence)
    return warned(
        f"{evidence}; data loaders and NCCL fill that, and torch then ends with `No space left on device`",
        choose_cure(CureKind.SHARED_MEMORY, checkup.place),
    )


_DISK_NEEDS_BUILT = dict.fromkeys((STATE, UV_CACHE, HUB_CACHE, TEMPORARY), _DISK_LEAST_BYTES // 4)


def _list_needs(profile: str | None) -> dict[str, int]:
    stack_bytes = _DISK_CPU_BYTES if profile == "cpu" else _DISK_CUDA_BYTES
    # The figure of a stack counts its share of uv's cache already.
    return {
        STATE: stack_bytes,
        UV_CACHE: 0,
        HUB_CACHE: 0 if profile == "cpu" else _DISK_WEIGHTS_BYTES,
        TEMPORARY: _DISK_TEMPORARY_BYTES,
    }


def _group_by_device(spaces: Sequence[Space]) -> list[list[Space]]:
    groups: dict[int, list[Space]] = {}
    for space in spaces:
        groups.setdefault(space.device, []).append(space)
    return list(groups.values())


def _say_space(group: list[Space]) -> str:
    return f"{', '.join(item.purpose for item in group)}: {group[0].free_bytes / 1e9:.1f} GB free"


def _quote(path: str) -> str:
    return f"'{path}'" if " " in path else path


CHECKS = (
    Check(
        id="disk.space",
        question="Is there room for stacks and weights on every file system that they go to?",
        run=check_disk,
        needs=Needs.HERE,
    ),
    Check(
        id="disk.writable",
        question="Can the folders be written to that stacks, weights and caches go to?",
        run=check_writable,
        needs=Needs.HERE,
    ),
    Check(
        id="disk.links",
        question="Are stacks hard links from uv's cache, or copies?",
        run=check_links,
        needs=Needs.HERE,
    ),
    Check(id="memory.size", question="Is there memory enough to load a model?", run=check_memory),
    Check(
        id="memory.shm",
        question="Is /dev/shm large enough for data loaders?",
        run=check_shared_memory,
        needs=Needs.HERE,
    ),
)
