"""What a machine said (probe) and what parsing made of it (facts)."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

PROBE_SCHEMA = 1


class Vendor(StrEnum):
    """Who made the accelerator that a profile can use; `none` when nothing hints at one."""

    NVIDIA = "nvidia"
    AMD = "amd"
    INTEL = "intel"
    APPLE = "apple"
    NONE = "none"


class Outcome(StrEnum):
    """How asking one source ended: it answered, is not on this machine, refused, or ran out of time."""

    OK = "ok"
    ABSENT = "absent"
    FAILED = "failed"
    TIMEOUT = "timeout"


class Reading(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Raw text of one source, as it came.

    `source` is a stable id such as `nvml` or `nvidia-smi-csv`; `origin` is what was asked: a path or a
    command line; `elapsed_s` is wall time in seconds, and `limit_s` the time that it was given.
    """

    source: str
    outcome: Outcome
    origin: str = ""
    text: str = ""
    error: str = ""
    exit_code: int | None = None
    elapsed_s: float = 0.0
    limit_s: float | None = None


class Probe(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All raw text of one machine at one time; saved with `--save-probe`, replayed with `--probe`.

    `created` is the time of asking, ISO 8601 in UTC.
    """

    schema: int = PROBE_SCHEMA
    created: str
    readings: tuple[Reading, ...]

    def get(self, source: str) -> Reading | None:
        """The reading of `source`, or None when it was not asked."""
        return next((reading for reading in self.readings if reading.source == source), None)


class Gpu(Struct, frozen=True, kw_only=True):
    """One GPU as its source describes it; None where the source does not say.

    `memory_mib` is in MiB (2**20 bytes). `compute_capability` is the driver's own word, such as "12.0";
    `compute_capability_by_name` is only filled when the driver gave none and the product's name settles it.
    `arch` comes from the capability, else from the driver's name of the architecture, else from the
    product's name. `pci_bus_id` is as NVIDIA writes it: `00000000:01:00.0`.
    """

    name: str | None
    uuid: str | None = None
    memory_mib: int | None = None
    memory_used_mib: int | None = None
    compute_capability: str | None = None
    compute_capability_by_name: str | None = None
    arch: str | None = None
    mig_enabled: bool | None = None
    pci_bus_id: str | None = None

    @property
    def best_compute_capability(self) -> str | None:
        """What to choose a profile by: the driver's word, else what the name says, else None."""
        return self.compute_capability or self.compute_capability_by_name


class Distribution(Struct, frozen=True, kw_only=True):
    """The Linux distribution in the words of `os-release`; `like` lists the ids that it descends from."""

    id: str
    name: str
    version_id: str | None = None
    like: tuple[str, ...] = ()


class Host(Struct, frozen=True, kw_only=True):
    """The machine around the GPU. Sizes in bytes.

    `cpu_count` is how many logical CPUs this process may use. `disk_free_bytes` is for the user, on the file
    system of the state folder. `wsl` is the version of Windows' Linux subsystem, 1 or 2. `container` names
    the kind: `docker`, `podman`, `kubernetes`, `lxc`, `apptainer`, or `container` when it does not say.
    """

    system: str
    release: str
    machine: str
    distribution: Distribution | None = None
    python_version: str
    cpu_model: str | None = None
    cpu_count: int | None = None
    memory_bytes: int | None = None
    disk_free_bytes: int | None = None
    wsl: int | None = None
    container: str | None = None

    @property
    def platform(self) -> str:
        """`linux-x86_64`, `windows-amd64`, `macos-arm64`: the key of platform tables in profiles."""
        system = {"Darwin": "macos"}.get(self.system, self.system.lower())
        return f"{system}-{self.machine.lower()}"


class ConditionId(StrEnum):
    """The stable ids of conditions. What each means is said where its sentence is built."""

    NO_GPU = "no-gpu"
    GPU_UNKNOWN = "gpu-unknown"
    GPU_NOT_ANSWERING = "gpu-not-answering"
    GPU_LOST = "gpu-lost"
    NO_DEVICES = "no-devices"
    NVML_ERROR = "nvml-error"
    NVML_TIMEOUT = "nvml-timeout"
    NVML_LIBRARY_MISSING = "nvml-library-missing"
    NVIDIA_SMI_TIMEOUT = "nvidia-smi-timeout"
    NVIDIA_SMI_BROKEN = "nvidia-smi-broken"
    DRIVER_LIBRARY_MISMATCH = "driver-library-mismatch"
    DRIVER_NOT_LOADED = "driver-not-loaded"
    COMPUTE_CAPABILITY_UNKNOWN = "compute-capability-unknown"
    COMPUTE_CAPABILITY_BY_NAME = "compute-capability-by-name"
    MIXED_GPUS = "mixed-gpus"
    MIG_ENABLED = "mig-enabled"
    CUDA_VISIBLE_DEVICES = "cuda-visible-devices"
    WSL = "wsl"
    CONTAINER = "container"


class Condition(Struct, frozen=True, kw_only=True):
    """Something about the machine that a reader must know. `message` is one sentence."""

    id: ConditionId
    message: str


class Facts(Struct, frozen=True, kw_only=True):
    """What the probe means.

    `vendor` is None when it is unknown whether there is a GPU, which is not the same as `none`.
    `gpu_source` names the source that the GPUs were read from. `driver` is the version of NVIDIA's driver,
    `cuda_driver_version` the newest CUDA that it serves, such as "13.0".
    """

    vendor: Vendor | None
    gpus: tuple[Gpu, ...]
    gpu_source: str | None
    driver: str | None
    cuda_driver_version: str | None
    conditions: tuple[Condition, ...]
    host: Host
