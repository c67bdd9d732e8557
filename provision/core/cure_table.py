"""Which command cures what, on which system: every row names where it was looked up, and when.

Nothing here is run by this tool: a cure is shown, and the user decides.
"""

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


_GUIDE = "https://docs.nvidia.com/datacenter/tesla/driver-installation-guide"
_DRIVERS_PAGE = "https://www.nvidia.com/drivers"
_CONTAINER_GUIDE = "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest"
_ON_HOST = "on the host, not in this container: "
# WSL takes the driver of Windows: https://docs.nvidia.com/cuda/wsl-user-guide/
_WSL_GUIDE = "https://docs.nvidia.com/cuda/wsl-user-guide/"
_IN_POWERSHELL = "# in PowerShell on Windows"

# Blackwell is served by the open kernel modules only, Turing to Hopper by both, older cards only by the
# proprietary ones: {_GUIDE}/kernel-modules.html. All packages named here bring the open ones where the card
# can use them; ubuntu-drivers chooses by the card.
_DRIVER: dict[System, Cure] = {
    System.UBUNTU: Cure(
        "{sudo}apt update && {sudo}ubuntu-drivers install   # then: {sudo}reboot",
        "https://github.com/ubuntu/ubuntu-release-notes/issues/213",
    ),
    # Debian's own driver is 535 in release 12 and 550 in release 13: https://packages.debian.org/nvidia-driver
    System.DEBIAN: Cure(
        "{sudo}apt update && {sudo}apt install nvidia-open   "
        f"# from NVIDIA's repository, added as in {_GUIDE}/debian.html; then: {{sudo}}reboot",
        f"{_GUIDE}/kernel-modules.html and https://packages.debian.org/trixie/nvidia-kernel-dkms",
    ),
    System.FEDORA: Cure(
        "{sudo}dnf install akmod-nvidia xorg-x11-drv-nvidia-cuda   "
        "# from RPM Fusion, https://rpmfusion.org/Howto/NVIDIA; once `modinfo nvidia` answers: {sudo}reboot",
        "https://rpmfusion.org/Howto/NVIDIA",
    ),
    System.RHEL: Cure(
        "{sudo}dnf install nvidia-open   "
        f"# from NVIDIA's repository, added as in {_GUIDE}/; on release 8 and 9 first: "
        "{sudo}dnf module enable nvidia-driver:open-dkms; then: {sudo}reboot",
        f"{_GUIDE}/kernel-modules.html",
    ),
    # Since driver 590 Arch has the open modules only.
    System.ARCH: Cure(
        "{sudo}pacman -Syu nvidia-open nvidia-utils   "
        "# nvidia-open-dkms for another kernel than `linux`; then: {sudo}reboot",
        "https://archlinux.org/news/nvidia-590-driver-drops-pascal-support-main-packages-switch-to-open-kernel-modules/",
    ),
    System.SUSE: Cure(
        "{sudo}zypper install nvidia-open   "
        f"# from NVIDIA's repository, added as in {_GUIDE}/suse.html; then: {{sudo}}reboot",
        f"{_GUIDE}/kernel-modules.html",
    ),
    System.NIXOS: Cure(
        "{sudo}nixos-rebuild switch   # with hardware.nvidia.open = true and "
        'services.xserver.videoDrivers = [ "nvidia" ] in configuration.nix; then: {sudo}reboot',
        "https://wiki.nixos.org/wiki/NVIDIA",
    ),
    System.LINUX: Cure(f"install NVIDIA's driver as in {_GUIDE}/, then restart", _GUIDE),
    System.WINDOWS: Cure(
        f"Start-Process {_DRIVERS_PAGE}   # install the newest driver, then restart Windows", _DRIVERS_PAGE
    ),
    System.WSL: Cure(
        f"Start-Process {_DRIVERS_PAGE}; wsl --update; wsl --shutdown   "
        f"{_IN_POWERSHELL}: install the newest driver there, and none inside WSL",
        _WSL_GUIDE,
    ),
}
_DRIVER_IN_CONTAINER = Cure(
    f"{_ON_HOST}update NVIDIA's driver as in {_GUIDE}/, then restart the host", _GUIDE
)
_CONTAINERS = (System.DOCKER, System.PODMAN, System.KUBERNETES, System.APPTAINER, System.LXC)
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


def _everywhere(systems: tuple[System, ...], command: str, source: str) -> dict[System, Cure]:
    return {system: Cure(command, source) for system in systems}


def _build_nouveau(initramfs: str) -> Cure:
    """Debian and SUSE packages of the driver do this themselves; it is for what was installed otherwise."""
    lines = r"printf 'blacklist nouveau\noptions nouveau modeset=0\n'"
    return Cure(
        f"{lines} | {{sudo}}tee /etc/modprobe.d/blacklist-nouveau.conf && {{sudo}}{initramfs} && {{sudo}}reboot",
        "https://docs.nvidia.com/cuda/cuda-installation-guide-linux/ (disabling nouveau)",
    )


_MODPROBE_MANUAL = "https://www.mankier.com/1/nvidia-modprobe"
TABLE: dict[CureKind, dict[System, Cure]] = {
    CureKind.DRIVER_INSTALL: _DRIVER | dict.fromkeys(_CONTAINERS, _DRIVER_IN_CONTAINER),
    # Cards older than Turing: the open modules do not serve them, and branch 580 is the last that does.
    CureKind.DRIVER_INSTALL_LEGACY: {
        System.UBUNTU: _DRIVER[System.UBUNTU],
        System.DEBIAN: Cure(
            "{sudo}apt install nvidia-driver   # from non-free; then: {sudo}reboot",
            "https://packages.debian.org/trixie/nvidia-kernel-dkms",
        ),
        System.LINUX: Cure(
            f"install the proprietary driver of branch 580 as in {_GUIDE}/kernel-modules.html, then restart",
            f"{_GUIDE}/kernel-modules.html",
        ),
        System.WINDOWS: _DRIVER[System.WINDOWS],
        System.WSL: _DRIVER[System.WSL],
    }
    | dict.fromkeys(_CONTAINERS, _DRIVER_IN_CONTAINER),
    CureKind.DRIVER_LOAD: {
        System.LINUX: Cure(
            "{sudo}modprobe nvidia && nvidia-smi   # what it prints says why the module cannot be loaded",
            "man modprobe",
        ),
        System.WSL: _DRIVER[System.WSL],
    }
    | _everywhere(_CONTAINERS, f"{_ON_HOST}sudo modprobe nvidia && nvidia-smi", "man modprobe"),
    CureKind.DRIVER_LOG: {
        System.LINUX: Cure("{sudo}dmesg | grep -i -e nvrm -e xid   # what the driver says", "man dmesg"),
        System.WSL: Cure(f"wsl --shutdown   {_IN_POWERSHELL}, then start WSL again", _WSL_GUIDE),
    }
    | _everywhere(_CONTAINERS, f"{_ON_HOST}sudo dmesg | grep -i -e nvrm -e xid", "man dmesg"),
    CureKind.NOUVEAU: {
        System.UBUNTU: _build_nouveau("update-initramfs -u"),
        System.DEBIAN: _build_nouveau("update-initramfs -u"),
        System.FEDORA: _build_nouveau("dracut --force"),
        System.RHEL: _build_nouveau("dracut --force"),
        System.SUSE: _build_nouveau("dracut --force"),
        System.ARCH: _build_nouveau("mkinitcpio -P"),
        System.NIXOS: _DRIVER[System.NIXOS],
        System.LINUX: _DRIVER[System.LINUX],
    }
    | dict.fromkeys(_CONTAINERS, _DRIVER_IN_CONTAINER),
    CureKind.SECURE_BOOT: {
        System.UBUNTU: Cure(
            "{sudo}update-secureboot-policy --enroll-key && {sudo}reboot   # then enrol the key in the blue screen",
            "https://github.com/dkms-project/dkms/pull/322",
        ),
        System.DEBIAN: Cure(
            "{sudo}mokutil --import /var/lib/dkms/mok.pub && {sudo}reboot   # then enrol the key in the blue screen",
            "https://github.com/dkms-project/dkms/pull/322 (Debian lacks --enroll-key)",
        ),
        System.FEDORA: Cure(
            "{sudo}kmodgenca -a && {sudo}mokutil --import /etc/pki/akmods/certs/public_key.der && {sudo}reboot   "
            "# then enrol the key in the blue screen",
            "https://rpmfusion.org/Howto/Secure%20Boot",
        ),
        System.LINUX: Cure(
            "mokutil --sb-state   # sign the module with a key that is enrolled, or switch secure boot off in the "
            "firmware",
            "man mokutil",
        ),
    },
    CureKind.RESTART: {
        System.LINUX: Cure("{sudo}reboot", "man reboot"),
        System.WINDOWS: Cure(
            "Restart-Computer",
            "https://learn.microsoft.com/powershell/module/microsoft.powershell.management/restart-computer",
        ),
        System.WSL: Cure(f"wsl --shutdown   {_IN_POWERSHELL}, then start WSL again", _WSL_GUIDE),
    }
    | _everywhere(_CONTAINERS, f"{_ON_HOST}restart it, then start the container again", "man reboot"),
    CureKind.UVM: {
        System.LINUX: Cure(
            "{sudo}nvidia-modprobe -u -c=0   # loads nvidia_uvm, makes its device files", _MODPROBE_MANUAL
        ),
    }
    | _everywhere(
        _CONTAINERS,
        f"{_ON_HOST}sudo nvidia-modprobe -u -c=0, then start the container again",
        _MODPROBE_MANUAL,
    ),
    CureKind.DEVICE_NODES: {
        System.LINUX: Cure(
            "{sudo}nvidia-modprobe -u -c=0   # makes the device files of the first GPU", _MODPROBE_MANUAL
        ),
    },
    CureKind.DEVICE_ACCESS: {
        System.LINUX: Cure(
            'ls -l /dev/nvidia* && {sudo}usermod -aG video "$USER"   '
            "# with the group that ls shows; then log in again",
            "man usermod",
        ),
    }
    | _everywhere(
        _CONTAINERS, "ls -l /dev/nvidia*   # start the container as a user who may open them", "man ls"
    ),
    CureKind.CONTAINER_GPU: {
        System.DOCKER: Cure(
            "docker run --gpus all …   # on the host; once before: "
            "sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker",
            f"docker run --help, {_CONTAINER_GUIDE}/install-guide.html",
        ),
        System.PODMAN: Cure(
            "podman run --device nvidia.com/gpu=all …   # on the host; once before: "
            "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
            f"{_CONTAINER_GUIDE}/cdi-support.html",
        ),
        System.KUBERNETES: Cure(
            "ask for the GPU in the pod: resources: {{limits: {{nvidia.com/gpu: 1}}}}",
            "https://kubernetes.io/docs/tasks/manage-gpus/scheduling-gpus/",
        ),
        System.APPTAINER: Cure(
            "apptainer exec --nv IMAGE COMMAND   # on the host",
            "https://apptainer.org/docs/user/latest/gpu.html",
        ),
        System.LXC: Cure(
            "lxc config device add CONTAINER gpu gpu   # on the host",
            "https://documentation.ubuntu.com/lxd/latest/reference/devices_gpu/",
        ),
    },
    CureKind.SHARED_MEMORY: {
        System.DOCKER: Cure("docker run --shm-size=8g …   # or --ipc=host; on the host", "docker run --help"),
        System.PODMAN: Cure(
            "podman run --shm-size=8g …   # or --ipc=host; on the host",
            "https://docs.podman.io/en/latest/markdown/podman-run.1.html",
        ),
        System.KUBERNETES: Cure(
            "mount an emptyDir with medium: Memory at /dev/shm in the pod",
            "https://kubernetes.io/docs/concepts/storage/volumes/#emptydir",
        ),
        System.LINUX: Cure("{sudo}mount -o remount,size=8G /dev/shm", "man 5 tmpfs"),
    },
    CureKind.WSL_VERSION: {
        System.WSL: Cure(
            f"wsl --set-version {{distribution}} 2   {_IN_POWERSHELL}",
            "https://learn.microsoft.com/windows/wsl/basic-commands",
        ),
    },
    # apt refuses a pattern that fits no package it knows, so these are Ubuntu's own names.
    CureKind.WSL_DRIVER_INSIDE: {
        System.UBUNTU: Cure(
            "{sudo}apt purge '^nvidia-driver-.*' '^nvidia-dkms-.*' '^nvidia-utils-.*' '^libnvidia-compute-.*'   "
            f"# in WSL; then: wsl --shutdown {_IN_POWERSHELL[2:]}",
            f"{_WSL_GUIDE} (no Linux driver inside WSL)",
        ),
        System.LINUX: Cure(
            f"remove the packages of NVIDIA's driver inside WSL; then: wsl --shutdown {_IN_POWERSHELL[2:]}",
            f"{_WSL_GUIDE} (no Linux driver inside WSL)",
        ),
    },
    # Profile 0 is the whole GPU on every card that can be split.
    CureKind.MIG_INSTANCE: {
        System.LINUX: Cure(
            "{sudo}nvidia-smi mig -cgi 0 -C   # one instance of the whole GPU; or leave MIG: {sudo}nvidia-smi -mig 0",
            "https://docs.nvidia.com/datacenter/tesla/mig-user-guide/",
        ),
    }
    | _everywhere(
        _CONTAINERS,
        f"{_ON_HOST}sudo nvidia-smi mig -cgi 0 -C",
        "https://docs.nvidia.com/datacenter/tesla/mig-user-guide/",
    ),
    CureKind.GPU_PROCESSES: _everywhere(
        (System.LINUX, System.WINDOWS, System.WSL, *_CONTAINERS),
        "nvidia-smi --query-compute-apps=pid,process_name,used_memory --format=csv",
        "nvidia-smi --help-query-compute-apps",
    ),
}
