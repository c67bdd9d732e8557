"""NVIDIA architectures: from the compute capability, and from a product's name only where that is unknown."""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from provision.model.facts import Gpu

# Exact capabilities, no ranges: majors 7 and 8 hold two architectures each, and what is not here is unknown.
_ARCHITECTURES = {
    "fermi": ("2.0", "2.1"),
    "kepler": ("3.0", "3.2", "3.5", "3.7"),
    "maxwell": ("5.0", "5.2", "5.3"),
    "pascal": ("6.0", "6.1", "6.2"),
    "volta": ("7.0", "7.2"),
    "turing": ("7.5",),
    "ampere": ("8.0", "8.6", "8.7"),
    "ada": ("8.9",),
    "hopper": ("9.0",),
    "blackwell": ("10.0", "10.3", "11.0", "12.0", "12.1"),
}
_BY_CAPABILITY = {capability: arch for arch, group in _ARCHITECTURES.items() for capability in group}


class NameRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Names that `pattern` is found in are of `compute_capability`; null: such names do not tell."""

    pattern: str
    compute_capability: str | None
    why: str = ""


class NameSource(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where rules come from: what it is called, where it is, when it was read (ISO date)."""

    title: str
    url: str
    date: str


class GpuNames(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file `profiles/gpus.yaml`: rules in order, the first that matches decides."""

    schema: Literal[1]
    sources: tuple[NameSource, ...]
    rules: tuple[NameRule, ...]


def choose_architecture(compute_capability: str | None) -> str | None:
    """`blackwell` for "12.0"; None for a capability that this version does not know."""
    return None if compute_capability is None else _BY_CAPABILITY.get(compute_capability)


def parse_architecture(text: str | None) -> str | None:
    """The architecture as the driver writes it, "Ada Lovelace", in our words, `ada`; None when unknown."""
    words = (text or "").lower().split()
    return words[0] if words and words[0] in _ARCHITECTURES else None


def choose_capability_by_name(name: str | None, names: GpuNames) -> str | None:
    """The compute capability that a product's name settles; None when several generations share the name."""
    rule = next((rule for rule in names.rules if re.search(rule.pattern, name or "")), None)
    return None if rule is None else rule.compute_capability


def build_identity(gpu: Gpu, names: GpuNames | None) -> Gpu:
    """`gpu` with its architecture, and with the capability by name where the driver gives none.

    A name that contradicts the architecture which the driver named is not believed.
    """
    if gpu.compute_capability is not None:
        return replace(gpu, arch=choose_architecture(gpu.compute_capability) or gpu.arch)
    by_name = None if names is None else choose_capability_by_name(gpu.name, names)
    arch = choose_architecture(by_name)
    if gpu.arch is not None and arch != gpu.arch:
        return gpu
    return replace(gpu, arch=arch, compute_capability_by_name=by_name)
