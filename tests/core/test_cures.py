"""The command for this very system; every row of the table has its source and date."""

from __future__ import annotations

import shutil
import subprocess
from datetime import date

import pytest

from provision.core.cure_table import TABLE
from provision.core.cures import (
    CureKind,
    System,
    build_place,
    choose_cure,
    find_cure,
    find_system,
)
from provision.model.checkup import Place, Shell
from provision.model.facts import Distribution, Host
from tests.support.checkups import make_host


def make_distribution(name: str, *like: str) -> Host:
    return make_host(distribution=Distribution(id=name, name=name, like=like))


def choose(kind: CureKind, host: Host, *, superuser: bool = False, **env: str) -> str | None:
    return choose_cure(kind, build_place(host, {"SHELL": "/bin/bash"} | env, superuser=superuser))


def test_every_row_has_a_source_and_a_date() -> None:
    for kind in CureKind:
        rows = TABLE[kind]
        assert rows, kind
        for system, cure in rows.items():
            assert cure.source, (kind, system)
            assert date.fromisoformat(cure.date), (kind, system)


def test_every_row_is_one_line_once_filled_in() -> None:
    for kind in CureKind:
        for system, cure in TABLE[kind].items():
            said = cure.command.format(sudo="sudo ", distribution="Ubuntu")
            assert "{sudo}" not in said, (kind, system)
            assert len(said.splitlines()) == 1, (kind, system)


@pytest.mark.parametrize(
    ("host", "system"),
    [
        (make_host(), System.UBUNTU),
        (make_distribution("linuxmint", "ubuntu", "debian"), System.UBUNTU),
        (make_distribution("debian"), System.DEBIAN),
        (make_distribution("fedora"), System.FEDORA),
        (make_distribution("rocky", "rhel", "centos", "fedora"), System.RHEL),
        (make_distribution("amzn", "fedora"), System.RHEL),
        (make_distribution("endeavouros", "arch"), System.ARCH),
        (make_distribution("manjaro", "arch"), System.LINUX),
        (make_distribution("opensuse-tumbleweed", "opensuse", "suse"), System.SUSE),
        (make_distribution("nixos"), System.NIXOS),
        (make_distribution("alpine"), System.LINUX),
        (make_host(distribution=None), System.LINUX),
        (make_host(system="Windows", distribution=None), System.WINDOWS),
        (make_host(system="Darwin", distribution=None), System.MACOS),
        (make_host(wsl=2), System.WSL),
        (make_host(wsl=2, container="docker"), System.WSL),
        (make_host(container="docker"), System.DOCKER),
        (make_host(container="container"), System.DOCKER),
        (make_host(container="podman"), System.PODMAN),
        (make_host(container="kubernetes"), System.KUBERNETES),
        (make_host(container="apptainer"), System.APPTAINER),
    ],
)
def test_the_system_decides(host: Host, system: System) -> None:
    assert find_system(host) is system


@pytest.mark.parametrize(
    ("host", "start"),
    [
        (make_host(), "sudo apt update && sudo ubuntu-drivers install"),
        (make_distribution("debian"), "sudo apt update && sudo apt install nvidia-open"),
        (make_distribution("fedora"), "sudo dnf install akmod-nvidia xorg-x11-drv-nvidia-cuda"),
        (make_distribution("rocky", "rhel"), "sudo dnf install nvidia-open"),
        (make_distribution("arch"), "sudo pacman -Syu nvidia-open nvidia-utils"),
        (
            make_distribution("sles", "suse"),
            "install NVIDIA's driver as in https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/suse.html",
        ),
        (make_distribution("nixos"), "sudo nixos-rebuild switch"),
        (make_host(system="Windows", distribution=None), "Start-Process https://www.nvidia.com/drivers"),
        (make_host(container="docker"), "on the host, not in this container: "),
    ],
)
def test_a_driver_comes_as_the_system_brings_it(host: Host, start: str) -> None:
    assert str(choose(CureKind.DRIVER_INSTALL, host)).startswith(start)


def test_in_wsl_the_driver_is_that_of_windows() -> None:
    cure = str(choose(CureKind.DRIVER_INSTALL, make_host(wsl=2)))
    assert cure == (
        "Start-Process https://www.nvidia.com/drivers; wsl --update; wsl --shutdown   "
        "# in PowerShell on Windows: install the newest driver there, and none inside WSL"
    )
    assert choose(CureKind.RESTART, make_host(wsl=2)) == (
        "wsl --shutdown   # in PowerShell on Windows, then start WSL again"
    )


def test_wsl_1_is_changed_by_the_name_that_windows_gave() -> None:
    host = make_host(wsl=1)
    assert choose(CureKind.WSL_VERSION, host, WSL_DISTRO_NAME="Ubuntu-24.04") == (
        "wsl --set-version Ubuntu-24.04 2   # in PowerShell on Windows"
    )
    assert choose(CureKind.WSL_VERSION, host) == (
        "wsl --set-version DISTRIBUTION 2   # in PowerShell on Windows"
    )


def test_root_needs_no_sudo() -> None:
    assert choose(CureKind.RESTART, make_host(), superuser=True) == "reboot"
    assert choose(CureKind.RESTART, make_host()) == "sudo reboot"


def test_elsewhere_the_usual_shell_is_taken() -> None:
    env = {"SHELL": "/usr/bin/fish", "WSL_DISTRO_NAME": "Mine"}
    windows = build_place(make_host(system="Windows"), env, superuser=True, elsewhere=True)
    assert windows == Place(host=make_host(system="Windows"), shell=Shell.POWERSHELL)
    assert build_place(make_host(), env, superuser=True, elsewhere=True).shell is Shell.POSIX


@pytest.mark.parametrize("kind", [CureKind.WSL_VERSION, CureKind.CONTAINER_GPU])
def test_what_does_not_belong_to_a_system_has_no_cure_there(kind: CureKind) -> None:
    assert find_cure(kind, System.UBUNTU) is None
    assert find_cure(CureKind.DRIVER_INSTALL, System.MACOS) is None


LINUX_HOSTS = [
    make_host(),
    *(make_distribution(name) for name in ("debian", "fedora", "rhel", "arch", "suse")),
]
LINUX_COMMANDS = sorted(
    {
        cure
        for kind in CureKind
        for host in LINUX_HOSTS
        if (cure := choose(kind, host)) is not None and not cure.startswith(("install ", "remove "))
    }
)


@pytest.mark.parametrize("command", LINUX_COMMANDS)
def test_the_shell_parses_every_command_of_linux(command: str) -> None:
    """`sh -n` reads without running."""
    sh = shutil.which("sh")
    if sh is None:
        pytest.skip("there is no sh here")
    read = subprocess.run([sh, "-n", "-c", command], check=False, capture_output=True, text=True)
    assert (read.returncode, read.stderr) == (0, "")


def test_the_shell_refuses_what_is_no_command() -> None:
    """What the test above would see: without it an `sh` that reads nothing would pass."""
    sh = shutil.which("sh")
    if sh is None:
        pytest.skip("there is no sh here")
    read = subprocess.run([sh, "-n", "-c", "if true; then"], check=False, capture_output=True, text=True)
    assert read.returncode != 0
    assert read.stderr != ""
