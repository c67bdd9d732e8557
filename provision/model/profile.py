"""A profile: what is chosen for one GPU generation; the torch build that it chooses; how well it fits."""

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


class DriverFigure(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One NVIDIA driver version; None where no source tells it."""

    version: str | None
    status: EvidenceStatus
    source: str
    date: str


class DriverPair(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same figure on both systems. WSL shows the Windows driver's version, so it counts as Windows."""

    linux: DriverFigure
    windows: DriverFigure


class CudaDrivers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The drivers of one CUDA version such as "13.0".

    `minimum` is the oldest on which programs built for it start at all, by NVIDIA's minor version
    compatibility; `recommended` is the one that came with that toolkit.
    """

    cuda: str
    minimum: DriverPair
    recommended: DriverPair


class DriverTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file `profiles/drivers.yaml`."""

    schema: Literal[1]
    cuda: tuple[CudaDrivers, ...]


class PlatformBuild(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the default index serves for a torch version on one platform: a CUDA tag, or `cpu`."""

    tag: str


class Architectures(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the wheel of one platform carries code for.

    `sass` are machine code (cubins), as `sm_` numbers; `ptx` is what the driver still has to compile, as
    `compute_` numbers; `targets` are AMD's gfx targets, or Intel's names for what was compiled ahead of time.
    An empty list means none, unless `status` is unknown.
    """

    sass: tuple[int, ...] = ()
    ptx: tuple[int, ...] = ()
    targets: tuple[str, ...] = ()
    status: EvidenceStatus
    source: str
    date: str


class TorchBuild(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One torch release with the torchvision that belongs to it, as built for one backend.

    `tag` is the local version label on PyTorch's own index (`cu130`, `rocm7.2`, `xpu`, `cpu`); `index` is that
    index. `default_index` says, for a platform such as `linux-x86_64`, what the same version is on the
    default index, where wheels carry no label. `architectures` says the same of what is compiled in; a GPU build
    exists for its platforms only. `companions` are packages that torch needs and that are on no index but that
    one. `python` are the oldest and the newest minor version with wheels. `drivers` is filled from
    `drivers.yaml` by `cuda`, never written beside it.
    """

    name: str
    torch: str
    torchvision: str
    tag: str
    cuda: str | None
    index: str
    default_index: dict[str, PlatformBuild]
    architectures: dict[str, Architectures] = {}
    companions: tuple[str, ...] = ()
    python: tuple[str, str] | None = None
    drivers: CudaDrivers | None = None
    evidence: tuple[Evidence, ...] = ()

    @property
    def platforms(self) -> tuple[str, ...]:
        """Where wheels of this build are known to exist; for a CPU build, where any index has one."""
        known = self.default_index if self.tag == "cpu" else self.architectures
        return tuple(known)


class TorchBuilds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file `profiles/torch.yaml`."""

    schema: Literal[1]
    builds: tuple[TorchBuild, ...]


class Match(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which machines a profile is for. An empty list means: any.

    `compute_capability` is for NVIDIA, `arch` for the others: a gfx target, or the family as detection writes
    it. `platforms` are keys such as `linux-x86_64`.
    """

    vendor: Vendor
    compute_capability: tuple[str, ...] = ()
    arch: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()


class LastDriver(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last NVIDIA driver branch, such as 580, that knows the devices of a profile."""

    branch: int
    status: EvidenceStatus
    source: str
    date: str


class FlashChoice(StrEnum):
    """absent; a wheel that fits exactly; the Hub's build through `kernels`; a build from source, only when asked."""

    ABSENT = "absent"
    WHEEL = "wheel"
    KERNELS = "kernels"
    SOURCE = "source"


class FlashAttention(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether flash-attn belongs into the stacks of a profile, and why."""

    choice: FlashChoice
    reason: str


class Profile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file `profiles/NAME.yaml`.

    `torch` names a build of `profiles/torch.yaml`; `packages` pins what is installed beside it, in every
    stack; `bounds` gives ranges that `provision update` may go to instead; `attention` lists the
    implementations to try, best first; `dtype` is a torch dtype name. `cure` says what the owner can do where
    no wheel of the build serves these devices; `last_driver` is for devices that newer drivers have dropped. One
    `on_request` is never taken by "auto", only by its name.
    """

    schema: Literal[1]
    name: str
    title: str
    match: Match
    device: Literal["cuda", "cpu", "mps", "xpu"]
    torch: str
    packages: dict[str, str]
    bounds: dict[str, str] = {}
    dtype: Literal["bfloat16", "float16", "float32"]
    attention: tuple[Literal["sdpa", "eager"], ...]
    flash_attn: FlashAttention
    on_request: bool = False
    last_driver: LastDriver | None = None
    cure: str | None = None
    notes: str = ""
    evidence: tuple[Evidence, ...] = ()


class ObstacleKind(StrEnum):
    """What keeps a profile from a machine. Stable words: the doctor goes by them.

    `capability` and `arch`: the profile is for other devices. `wheel-lacks-architecture`: the profile's own
    wheel has no code for this device, which is older or newer than what it was compiled for.
    `driver-too-new`: the driver has dropped this device.
    """

    NO_GPU = "no-gpu"
    VENDOR = "vendor"
    CAPABILITY = "capability"
    ARCH = "arch"
    UNKNOWN_DEVICE = "unknown-device"
    PLATFORM = "platform"
    PYTHON = "python"
    DRIVER_TOO_OLD = "driver-too-old"
    DRIVER_TOO_NEW = "driver-too-new"
    WHEEL_LACKS_ARCHITECTURE = "wheel-lacks-architecture"


class Obstacle(Struct, frozen=True, kw_only=True):
    """One reason why a profile does not fit, for people and for code.

    `needed` and `found` are bare values to show side by side, None where there is none: versions for a
    driver, compute capabilities or architectures for a wheel. `gpu` is the device's name. `cure_hint` is a
    sentence or a command that holds on any system.
    """

    kind: ObstacleKind
    message: str
    needed: str | None = None
    found: str | None = None
    gpu: str | None = None
    cure_hint: str | None = None


class ProfileFit(Struct, frozen=True, kw_only=True):
    """Whether a profile fits a machine.

    `reasons` says why, in sentences, in both cases; when it does not fit they are the obstacles' messages.
    `gpu` is the index, in the facts, of the device that it was judged by; None when there was none to judge.
    """

    name: str
    fits: bool
    reasons: tuple[str, ...]
    obstacles: tuple[Obstacle, ...] = ()
    gpu: int | None = None
