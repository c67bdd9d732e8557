"""What a machine said (probe) and what parsing made of it (facts)."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

PROBE_SCHEMA = 1


class Vendor(StrEnum):
    """Who made the accelerator that a profile can use; `none` when nothing hints at one.

    `mixed` is for a bus that shows display devices of several makers: each GPU then names its own.
    """

    NVIDIA = "nvidia"
    AMD = "amd"
    INTEL = "intel"
    APPLE = "apple"
    MIXED = "mixed"
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
    product's name. `pci_bus_id` is as NVIDIA writes it: `00000000:01:00.0`; `pci_id` is vendor and device,
    `10de:2c05`. `integrated` is a GPU that is part of the processor. `marketing_name` is the product's name
    where `name` is only an id, from tables of PCI ids.
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
    pci_id: str | None = None
    vendor: Vendor | None = None
    integrated: bool | None = None
    marketing_name: str | None = None

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
    NO_DEVICE = "no-device"
    NVML_ERROR = "nvml-error"
    NVML_TIMEOUT = "nvml-timeout"
    NVML_LIBRARY_MISSING = "nvml-library-missing"
    NVIDIA_SMI_TIMEOUT = "nvidia-smi-timeout"
    NVIDIA_SMI_BROKEN = "nvidia-smi-broken"
    DRIVER_MISMATCH = "driver-mismatch"
    DRIVER_NOT_LOADED = "driver-not-loaded"
    COMPUTE_CAPABILITY_UNKNOWN = "compute-capability-unknown"
    COMPUTE_CAPABILITY_BY_NAME = "compute-capability-by-name"
    MIXED_MODELS = "mixed-models"
    MIG = "mig"
    CUDA_VISIBLE_DEVICES = "cuda-visible-devices"
    WSL = "wsl"
    CONTAINER = "container"
    MULTI_GPU = "multi-gpu"
    MIXED_VENDORS = "mixed-vendors"
    WINDOWS = "windows"
    MACOS = "macos"
    FREEBSD = "freebsd"
    AARCH64 = "aarch64"
    JETSON = "jetson"
    DGX_SPARK = "dgx-spark"
    LAPTOP = "laptop"
    VM = "vm"
    COLAB = "colab"
    SLURM = "slurm"
    UNIFIED_MEMORY = "unified-memory"
    INTEGRATED_GPU = "integrated-gpu"
    NPU_PRESENT = "npu-present"
    BMC_VGA_PRESENT = "bmc-vga-present"
    VFIO_PASSTHROUGH = "vfio-passthrough"
    UNSUPPORTED_GPU = "unsupported-gpu"
    UNSUPPORTED_GPU_PRESENT = "unsupported-gpu-present"
    ARCH_DROPPED_BY_CUDA13 = "arch-dropped-by-cuda13"
    ARCH_NEWER_THAN_TORCH_BUILD = "arch-newer-than-torch-build"
    MODIFIED_MEMORY = "modified-memory"
    AMBIGUOUS_NAME = "ambiguous-name"
    CPU_ONLY = "cpu-only"
    OLD_DRIVER = "old-driver"
    WDDM = "wddm"
    WDDM_DRIVER_VERSION = "wddm-driver-version"
    KMD_HEADER = "kmd-header"
    OPEN_KERNEL_MODULE = "open-kernel-module"
    CLOSED_KERNEL_MODULE = "closed-kernel-module"
    NO_DRIVER_INSTALLED = "no-driver-installed"
    NOUVEAU = "nouveau"
    SECURE_BOOT = "secure-boot"
    NVIDIA_UVM_MISSING = "nvidia-uvm-missing"
    WSL_DRIVER_INSIDE = "wsl-driver-inside"
    WSL1 = "wsl1"
    DEVICE_NODES_MISSING = "device-nodes-missing"
    DEVICE_NODES_DENIED = "device-nodes-denied"
    GPU_MEMORY_IN_USE = "gpu-memory-in-use"
    CUDA_COMPAT = "cuda-compat"
    CUDA_FORWARD_COMPAT = "cuda-forward-compat"
    MIG_CAPABLE_DISABLED = "mig-capable-disabled"
    MIG_NO_INSTANCES = "mig-no-instances"
    VGPU = "vgpu"
    VGPU_HOST = "vgpu-host"
    ECC_OFF = "ecc-off"
    ERROR = "error"
    NVIDIA_SMI_NOT_FOUND = "nvidia-smi-not-found"
    NVML_UNKNOWN_ERROR = "nvml-unknown-error"
    COMPUTE_CAP_FIELD_INVALID = "compute-cap-field-invalid"
    OVERRIDE = "override"
    TRUNCATED = "truncated"
    NAME_TRUNCATED = "name-truncated"
    MEMORY_NOT_SUPPORTED = "memory-not-supported"
    MEMORY_NA = "memory-na"
    CUDA_VERSION_NA = "cuda-version-na"
    NO_CUDA_VERSION_FIELD = "no-cuda-version-field"
    HEADER_ONLY = "header-only"
    HEADER_MISSING = "header-missing"
    NO_PRODUCT_NAME = "no-product-name"
    NO_GFX_FIELD = "no-gfx-field"
    GFX000 = "gfx000"
    HEX_DEVICE_NAME = "hex-device-name"
    PCI_NAME_UNRESOLVED = "pci-name-unresolved"
    NO_NUMERIC_IDS = "no-numeric-ids"
    EMPTY_UUID = "empty-uuid"
    ADAPTERRAM_CAPPED_4GB = "adapterram-capped-4gb"
    DOCUMENTATION_SAMPLE = "documentation-sample"
    TWO_LINE_ROWS = "two-line-rows"
    INDENTED_PASTE = "indented-paste"
    COMMENT_PREFIXED_PASTE = "comment-prefixed-paste"
    CSV_NOHEADER = "csv-noheader"
    CSV_NOUNITS = "csv-nounits"
    NO_NAME_COLUMN = "no-name-column"
    NAME_WITHOUT_NVIDIA_PREFIX = "name-without-nvidia-prefix"
    NONZERO_PCI_DOMAIN = "nonzero-pci-domain"
    SHORT_BUS_ID = "short-bus-id"
    OLD_FORMAT = "old-format"
    TRAILING_SPACES = "trailing-spaces"
    WARNING_LINE = "warning-line"
    UNRECOGNISED = "unrecognised"


class Condition(Struct, frozen=True, kw_only=True):
    """Something about the machine that a reader must know. `message` is one sentence."""

    id: ConditionId
    message: str


class Facts(Struct, frozen=True, kw_only=True):
    """What the probe means.

    `vendor` is None when it is unknown whether there is a GPU, which is not the same as `none`.
    `gpu_source` names the source that the GPUs were read from. `driver` is the version of the GPU's driver,
    `cuda_driver_version` the newest CUDA that an NVIDIA driver serves, such as "13.0". `versions` holds what
    else a source told: `torch`, `cuda_runtime`, `rocm`, `nvidia_smi`, each as it was written.
    """

    vendor: Vendor | None
    gpus: tuple[Gpu, ...]
    gpu_source: str | None
    driver: str | None
    cuda_driver_version: str | None
    conditions: tuple[Condition, ...]
    host: Host
    versions: dict[str, str] = {}
