"""What is known of flash-attn's builds: the file `profiles/flash_attn.yaml`."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from provision.model.profile import Evidence, EvidenceStatus


class FlashDevice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether flash-attn works on devices of one compute capability, such as "9.0"."""

    capability: str
    status: EvidenceStatus
    source: str
    date: str


class FlashBuild(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The machine code, as `sm_` numbers, that the makers' own wheels of some `versions` (a specifier) carry."""

    versions: str
    sass: tuple[int, ...]
    status: EvidenceStatus
    source: str
    date: str


class OfficialWheels(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Wheels of one release: every combination of these lists. `cuda` is the major version."""

    version: str
    cuda: int
    torch: tuple[str, ...]
    python: tuple[str, ...]
    cxx11_abi: tuple[bool, ...]
    platforms: tuple[str, ...]
    status: EvidenceStatus
    source: str
    date: str


class KernelsRange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which `kernels` the versions of transformers in a range demand. Both are specifiers."""

    transformers: str
    kernels: str
    status: EvidenceStatus
    source: str
    date: str


class HubKernels(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The Hub's build of flash-attn: where it is, the machine code in it, what fetches it."""

    repository: str
    sass: tuple[int, ...]
    ranges: tuple[KernelsRange, ...]


class FlashKnowledge(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file `profiles/flash_attn.yaml`.

    `minimum_version` is the oldest that transformers takes; `source_version` and `source_sass` are what a build
    from source would be.
    """

    schema: Literal[1]
    minimum_capability: str
    minimum_version: str
    source_version: str
    source_sass: tuple[int, ...]
    devices: tuple[FlashDevice, ...]
    builds: tuple[FlashBuild, ...]
    wheels: tuple[OfficialWheels, ...]
    kernels: HubKernels
    evidence: tuple[Evidence, ...] = ()
