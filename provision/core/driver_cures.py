"""How a driver is installed, loaded and reached, on which system; each row with where it was looked up, and when."""

from __future__ import annotations

from provision.core.cure_kinds import (
    CONTAINERS,
    IN_POWERSHELL,
    ON_HOST,
    WSL_GUIDE,
    Cure,
    CureKind,
    System,
    everywhere,
)

_GUIDE = "https://docs.nvidia.com/datacenter/tesla/driver-installation-guide"
_DRIVERS_PAGE = "https://www.nvidia.com/drivers"
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
    # The package's name differs between releases (nvidia-open, nvidia-open-driver-G06-…): no command fits all.
    System.SUSE: Cure(
        f"install NVIDIA's driver as in {_GUIDE}/suse.html, whose package depends on the release, then restart",
        f"{_GUIDE}/suse.html",
    ),
    System.NIXOS: Cure(
        "{sudo}nixos-rebuild switch   # with nixpkgs.config.allowUnfree = true, hardware.nvidia.open = true, "
        'services.xserver.videoDrivers = [ "nvidia" ] in configuration.nix; then: {sudo}reboot',
        "https://wiki.nixos.org/wiki/Nvidia",
    ),
    System.LINUX: Cure(f"install NVIDIA's driver as in {_GUIDE}/, then restart", _GUIDE),
    System.WINDOWS: Cure(
        f"Start-Process {_DRIVERS_PAGE}   # install the newest driver, then restart Windows", _DRIVERS_PAGE
    ),
    System.WSL: Cure(
        f"Start-Process {_DRIVERS_PAGE}; wsl --update; wsl --shutdown   "
        f"{IN_POWERSHELL}: install the newest driver there, and none inside WSL",
        WSL_GUIDE,
    ),
}
_DRIVER_IN_CONTAINER = Cure(f"{ON_HOST}update NVIDIA's driver as in {_GUIDE}/, then restart the host", _GUIDE)


def _build_nouveau(initramfs: str) -> Cure:
    """Packages of the driver do this themselves; it is for what was installed otherwise."""
    lines = r"printf 'blacklist nouveau\noptions nouveau modeset=0\n'"
    return Cure(
        f"{lines} | {{sudo}}tee /etc/modprobe.d/blacklist-nouveau.conf && {{sudo}}{initramfs} && {{sudo}}reboot",
        "https://docs.nvidia.com/cuda/cuda-installation-guide-linux/ (disabling nouveau)",
    )


_MODPROBE_MANUAL = "https://www.mankier.com/1/nvidia-modprobe"
DRIVER_CURES: dict[CureKind, dict[System, Cure]] = {
    CureKind.DRIVER_INSTALL: _DRIVER | dict.fromkeys(CONTAINERS, _DRIVER_IN_CONTAINER),
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
    | dict.fromkeys(CONTAINERS, _DRIVER_IN_CONTAINER),
    CureKind.DRIVER_LOAD: {
        System.LINUX: Cure(
            "{sudo}modprobe nvidia && nvidia-smi   # what it prints says why the module cannot be loaded",
            "man modprobe",
        ),
        System.WSL: _DRIVER[System.WSL],
    }
    | everywhere(CONTAINERS, f"{ON_HOST}sudo modprobe nvidia && nvidia-smi", "man modprobe"),
    CureKind.DRIVER_LOG: {
        System.LINUX: Cure("{sudo}dmesg | grep -i -e nvrm -e xid   # what the driver says", "man dmesg"),
        System.WSL: Cure(f"wsl --shutdown   {IN_POWERSHELL}, then start WSL again", WSL_GUIDE),
    }
    | everywhere(CONTAINERS, f"{ON_HOST}sudo dmesg | grep -i -e nvrm -e xid", "man dmesg"),
    CureKind.NOUVEAU: {
        System.UBUNTU: _build_nouveau("update-initramfs -u"),
        System.DEBIAN: _build_nouveau("update-initramfs -u"),
        System.FEDORA: _build_nouveau("dracut --force"),
        System.RHEL: _build_nouveau("dracut --force"),
        System.SUSE: _DRIVER[System.SUSE],
        System.ARCH: _DRIVER[System.ARCH],
        System.NIXOS: _DRIVER[System.NIXOS],
        System.LINUX: _DRIVER[System.LINUX],
    }
    | dict.fromkeys(CONTAINERS, _DRIVER_IN_CONTAINER),
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
            "mokutil --sb-state   # then make and enrol a key as in https://rpmfusion.org/Howto/Secure%20Boot",
            "man mokutil",
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
        System.WSL: Cure(f"wsl --shutdown   {IN_POWERSHELL}, then start WSL again", WSL_GUIDE),
    }
    | everywhere(CONTAINERS, f"{ON_HOST}restart it, then start the container again", "man reboot"),
    CureKind.UVM: {
        System.LINUX: Cure(
            "{sudo}nvidia-modprobe -u -c=0   # loads nvidia_uvm, makes its device files", _MODPROBE_MANUAL
        ),
    }
    | everywhere(
        CONTAINERS,
        f"{ON_HOST}sudo nvidia-modprobe -u -c=0, then start the container again",
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
    | everywhere(
        CONTAINERS, "ls -l /dev/nvidia*   # start the container as a user who may open them", "man ls"
    ),
}
