"""A profile: what is chosen for one GPU generation; and the torch build that it chooses."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import Struct

from provision.model.facts import Vendor


class EvidenceStatus(StrEnum):
    """verified: we ran it; reported: somebody else did; unknown: nobody that we know of."""

    VERIFIED = "verified"
    REPORTED = "reported"
    UNKNOWN = "unknown"


class Evidence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One claim of a data file with where it comes from. `date` is ISO, when it was established."""

    claim: str
    status: EvidenceStatus
    source: str
    date: str


class PlatformBuild(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the default index serves for a torch version on one platform: a CUDA tag, or `cpu`."""

    tag: str


class TorchBuild(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One torch release with the torchvision that belongs to it, as built for one CUDA version.

    `tag` is the local version label on PyTorch's own index (`cu130`, `cpu`); `index` is that index.
    `default_index` says, for a platform such as `linux-x86_64`, what the same version is on the default
    index, where wheels carry no label. `sass` lists the architectures compiled in, as `sm_` numbers; a cubin
    for sm_XY runs on devices of the same major X and a minor of at least Y. `driver_linux` and
    `driver_windows` are the oldest NVIDIA drivers that start it.
    """

    name: str
    torch: str
    torchvision: str
    tag: str
    cuda: str | None
    index: str
    default_index: dict[str, PlatformBuild]
    sass: tuple[int, ...] = ()
    driver_linux: str | None = None
    driver_windows: str | None = None
    evidence: tuple[Evidence, ...] = ()


class TorchBuilds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file `profiles/torch.yaml`."""

    schema: Literal[1]
    builds: tuple[TorchBuild, ...]


class Match(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which machines a profile is for. No capability means: any machine of that vendor."""

    vendor: Vendor
    compute_capability: tuple[str, ...] = ()


class FlashAttention(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether flash-attn belongs into the stacks of a profile, and why."""

    choice: Literal["absent"]
    reason: str


class Profile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file `profiles/NAME.yaml`.

    `torch` names a build of `profiles/torch.yaml`; `packages` pins what is installed beside it, in every
    stack; `attention` lists the implementations to try, best first; `dtype` is a torch dtype name.
    """

    schema: Literal[1]
    name: str
    title: str
    match: Match
    device: Literal["cuda", "cpu"]
    torch: str
    packages: dict[str, str]
    dtype: Literal["bfloat16", "float16", "float32"]
    attention: tuple[Literal["sdpa", "eager"], ...]
    flash_attn: FlashAttention
    notes: str = ""
    evidence: tuple[Evidence, ...] = ()


class ProfileFit(Struct, frozen=True, kw_only=True):
    """Whether a profile fits a machine. `reasons` says why, in sentences, in both cases."""

    name: str
    fits: bool
    reasons: tuple[str, ...]
