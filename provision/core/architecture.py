"""Architectures: from what the driver says, and from a product's name or PCI id only where it says nothing."""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from provision.model.facts import Gpu, Vendor

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
# What stands where a program has no product's name: ids, and words for "not in my table".
_NAMELESS = re.compile(
    r"(0x)?[0-9a-f]{4}|[0-9a-f]{4}:[0-9a-f]{4}|unknown( device.*)?|(graphics )?device( [0-9a-f]{4})?"
    r"|Intel\(R\) Graphics \[0x[0-9a-f]{4}\]",
    re.IGNORECASE,
)
_APPLE_CHIP = re.compile(r"\bApple ([AM]\d{1,2})\b")
_PCI_VENDORS = {Vendor.NVIDIA: "10de", Vendor.AMD: "1002", Vendor.INTEL: "8086"}


class NameRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Names that `pattern` is found in are of `compute_capability`; null: such names do not tell."""

    pattern: str
    compute_capability: str | None
    why: str = ""


class PciRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """NVIDIA's device ids from `first` to `last`, four hexadecimal digits each; null: they do not tell."""

    first: str
    last: str
    compute_capability: str | None
    why: str = ""


class TargetRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another maker's GPUs by name (`pattern`, found in it) or device id (`pci`, matching all of it).

    `arch` is null where only it is known that the GPU is part of the processor (`integrated`).
    """

    vendor: Vendor
    arch: str | None
    pattern: str | None = None
    pci: str | None = None
    integrated: bool | None = None


class NameSource(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where rules come from: what it is called, where it is, when it was read (ISO date)."""

    title: str
    url: str
    date: str


class GpuNames(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file `profiles/gpus.yaml`: rules in order, the first that matches decides.

    `pci_names` has one product a line: its name, a colon, the maker's PCI id and those of the product,
    `NVIDIA GeForce RTX 5070: 10de 2f04`.
    """

    schema: Literal[1]
    sources: tuple[NameSource, ...]
    rules: tuple[NameRule, ...]
    pci_rules: tuple[PciRule, ...] = ()
    targets: tuple[TargetRule, ...] = ()
    pci_names: str = ""


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


def choose_capability_by_pci_id(pci_id: str | None, names: GpuNames) -> str | None:
    """The compute capability that `10de:2c05` settles; None for another maker's and for an unknown id."""
    device = _get_device(pci_id, Vendor.NVIDIA)
    if device is None:
        return None
    rule = next((rule for rule in names.pci_rules if rule.first.lower() <= device <= rule.last.lower()), None)
    return None if rule is None else rule.compute_capability


def choose_marketing_name(pci_id: str | None, names: GpuNames) -> str | None:
    """The product's name of a PCI id that one product alone is sold under; None for every other."""
    ids = re.fullmatch(r"([0-9a-f]{4}):([0-9a-f]{4})", (pci_id or "").lower())
    if ids is None:
        return None
    line = re.search(rf"^(.+): {ids[1]}\b.* {ids[2]}\b", names.pci_names, re.MULTILINE)
    return None if line is None else line[1]


def build_identity(gpu: Gpu, names: GpuNames | None) -> Gpu:
    """`gpu` with what its name and its PCI id tell where its own source does not.

    A GPU without a vendor is NVIDIA's. For the fields, see `Gpu`. Without `names`, nothing is inferred
    but the architecture of a known compute capability and Apple's, which is in the chip's name.
    """
    if names is not None and gpu.marketing_name is None and _NAMELESS.fullmatch(gpu.name or "0000"):
        gpu = replace(gpu, marketing_name=choose_marketing_name(gpu.pci_id, names))
    if gpu.vendor in {None, Vendor.NVIDIA}:
        return _build_nvidia(gpu, names)
    if gpu.vendor is Vendor.APPLE:
        chip = _APPLE_CHIP.search(gpu.name or "")
        return replace(gpu, arch=gpu.arch or (f"apple-{chip[1].lower()}" if chip else None))
    rule = None if names is None else _choose_target(gpu, names)
    if names is None or rule is None:
        return gpu
    integrated = rule.integrated if gpu.integrated is None else gpu.integrated
    # Cards that a driver has no name for yet are called like a processor's GPU: "AMD Radeon Graphics" of gfx1201.
    if rule.arch is None and any(other.arch == gpu.arch and not other.integrated for other in names.targets):
        integrated = gpu.integrated
    return replace(gpu, arch=gpu.arch or rule.arch, integrated=integrated)


def _build_nvidia(gpu: Gpu, names: GpuNames | None) -> Gpu:
    """A name that contradicts the architecture which the driver named, or the PCI id, is not believed."""
    if gpu.compute_capability is not None:
        return replace(gpu, arch=choose_architecture(gpu.compute_capability) or gpu.arch)
    told = set()
    if names is not None:
        told = {choose_capability_by_name(gpu.name, names), choose_capability_by_pci_id(gpu.pci_id, names)}
    told.discard(None)
    inferred = told.pop() if len(told) == 1 else None
    arch = choose_architecture(inferred)
    if gpu.arch is not None and arch != gpu.arch:
        return gpu
    return replace(gpu, arch=arch, compute_capability_by_name=inferred)


def _choose_target(gpu: Gpu, names: GpuNames) -> TargetRule | None:
    """By device id, which names a chip, before the name, which several chips may share."""
    rules = [rule for rule in names.targets if rule.vendor is gpu.vendor]
    device = None if gpu.vendor is None else _get_device(gpu.pci_id, gpu.vendor)
    if device is not None:
        for rule in rules:
            if rule.pci is not None and re.fullmatch(rule.pci, device):
                return rule
    for rule in rules:
        if rule.pattern is not None and re.search(rule.pattern, gpu.name or ""):
            return rule
    return None


def _get_device(pci_id: str | None, vendor: Vendor) -> str | None:
    """`2c05` of `10de:2c05` when that is the vendor's."""
    maker, _, device = (pci_id or "").lower().partition(":")
    return device if maker == _PCI_VENDORS.get(vendor) and re.fullmatch(r"[0-9a-f]{4}", device) else None
