"""What a machine said (probe) and what parsing made of it (facts)."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Vendor(StrEnum):
    """Who made the accelerator that a profile can use."""

    NVIDIA = "nvidia"
    AMD = "amd"
    INTEL = "intel"
    APPLE = "apple"
    NONE = "none"


class Outcome(StrEnum):
    """How asking one source ended."""

    OK = "ok"
    ABSENT = "absent"
    FAILED = "failed"
    TIMEOUT = "timeout"


class Reading(Struct, frozen=True, kw_only=True):
    """Raw text of one source, as it came.

    `source` is a stable id such as `nvml` or `nvidia-smi`; `elapsed_s` is wall time in seconds.
    """

    source: str
    outcome: Outcome
    text: str = ""
    error: str = ""
    exit_code: int | None = None
    elapsed_s: float = 0.0


class Probe(Struct, frozen=True, kw_only=True):
    """All raw text of one machine at one time; saved with `--save-probe`, replayed with `--probe`."""

    schema: int = 1
    created: str
    readings: tuple[Reading, ...]

    def get(self, source: str) -> Reading | None:
        """The reading of `source`, or None when it was not asked."""
        return next((reading for reading in self.readings if reading.source == source), None)


class Gpu(Struct, frozen=True, kw_only=True):
    """One GPU as its source describes it; None where the source does not say.

    `compute_capability` is text such as "12.0"; `memory_mib` is in MiB (2**20 bytes).
    """

    name: str | None
    uuid: str | None = None
    memory_mib: int | None = None
    memory_used_mib: int | None = None
    compute_capability: str | None = None
    arch: str | None = None
    mig_enabled: bool | None = None


class Host(Struct, frozen=True, kw_only=True):
    """The machine around the GPU. Sizes in bytes."""

    system: str
    release: str
    machine: str
    distribution: str | None = None
    python_version: str
    cpu_model: str | None = None
    cpu_count: int | None = None
    memory_bytes: int | None = None
    disk_free_bytes: int | None = None
    wsl: bool = False
    container: str | None = None

    @property
    def platform(self) -> str:
        """`linux-x86_64`, `windows-amd64`, `macos-arm64`: the key of platform tables in profiles."""
        system = {"Darwin": "macos"}.get(self.system, self.system.lower())
        return f"{system}-{self.machine.lower()}"


class Condition(Struct, frozen=True, kw_only=True):
    """Something about the machine that a reader must know. `id` is stable; `message` is one sentence."""

    id: str
    message: str


class Facts(Struct, frozen=True, kw_only=True):
    """What the probe means. `gpu_source` names the source that the GPUs were read from."""

    vendor: Vendor
    gpus: tuple[Gpu, ...]
    gpu_source: str | None
    driver: str | None
    cuda_driver_version: str | None
    conditions: tuple[Condition, ...]
    host: Host
