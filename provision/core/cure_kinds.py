"""What can be cured, what decides how, and what a cure is."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class CureKind(StrEnum):
    """What is to be cured."""

    DRIVER_INSTALL = "driver-install"
    DRIVER_INSTALL_LEGACY = "driver-install-legacy"
    DRIVER_LOAD = "driver-load"
    DRIVER_LOG = "driver-log"
    NOUVEAU = "nouveau"
    SECURE_BOOT = "secure-boot"
    RESTART = "restart"
    UVM = "uvm"
    DEVICE_NODES = "device-nodes"
    DEVICE_ACCESS = "device-access"
    CONTAINER_GPU = "container-gpu"
    SHARED_MEMORY = "shared-memory"
    WSL_VERSION = "wsl-version"
    WSL_DRIVER_INSIDE = "wsl-driver-inside"
    MIG_INSTANCE = "mig-instance"
    GPU_PROCESSES = "gpu-processes"


class System(StrEnum):
    """What decides the command. A container comes before the distribution in it, and so does WSL."""

    UBUNTU = "ubuntu"
    DEBIAN = "debian"
    FEDORA = "fedora"
    RHEL = "rhel"
    ARCH = "arch"
    SUSE = "suse"
    NIXOS = "nixos"
    LINUX = "linux"
    WINDOWS = "windows"
    MACOS = "macos"
    WSL = "wsl"
    DOCKER = "docker"
    PODMAN = "podman"
    KUBERNETES = "kubernetes"
    APPTAINER = "apptainer"
    LXC = "lxc"


class Cure(Struct, frozen=True):
    """A command, or a sentence where there is none. `{sudo}` and `{distribution}` are filled in."""

    command: str
    source: str
    date: str = "2026-11-21"


ON_HOST = "on the host, not in this container: "
IN_POWERSHELL = "# in PowerShell on Windows"
# WSL takes the driver of Windows.
WSL_GUIDE = "https://docs.nvidia.com/cuda/wsl-user-guide/"
CONTAINERS = (System.DOCKER, System.PODMAN, System.KUBERNETES, System.APPTAINER, System.LXC)
DISTRIBUTIONS = (
    System.UBUNTU,
    System.DEBIAN,
    System.FEDORA,
    System.RHEL,
    System.ARCH,
    System.SUSE,
    System.NIXOS,
    System.LINUX,
)


def everywhere(systems: tuple[System, ...], command: str, source: str) -> dict[System, Cure]:
    """The same row for each of `systems`."""
    return {system: Cure(command, source) for system in systems}
