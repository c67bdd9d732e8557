"""Chooses the command that cures something on the system in front of us."""

from __future__ import annotations

from collections.abc import Mapping

from provision.core.cure_table import DISTRIBUTIONS, TABLE, Cure, CureKind, System
from provision.core.shells import find_shell, render_word
from provision.model.checkup import Place, Shell
from provision.model.facts import Host

__all__ = [
    "CureKind",
    "System",
    "build_own_cure",
    "build_place",
    "choose_cure",
    "find_cure",
    "find_distribution",
    "find_system",
]

_BY_DISTRIBUTION: dict[str, System] = {
    "ubuntu": System.UBUNTU,
    "debian": System.DEBIAN,
    "fedora": System.FEDORA,
    "rhel": System.RHEL,
    "centos": System.RHEL,
    "amzn": System.RHEL,
    "arch": System.ARCH,
    "suse": System.SUSE,
    "opensuse": System.SUSE,
    "nixos": System.NIXOS,
    # They descend from the above and bring drivers in their own way, or as Alpine have none at all.
    "manjaro": System.LINUX,
    "pop": System.LINUX,
    "alpine": System.LINUX,
}
_BY_CONTAINER: dict[str, System] = {
    "podman": System.PODMAN,
    "kubernetes": System.KUBERNETES,
    "apptainer": System.APPTAINER,
    "lxc": System.LXC,
}


def build_place(
    host: Host,
    env: Mapping[str, str],
    *,
    superuser: bool,
    elsewhere: bool = False,
    root: str | None = None,
) -> Place:
    """Where cures are typed: this shell and user here, those that are usual on a machine elsewhere."""
    if elsewhere:
        shell = Shell.POWERSHELL if host.system == "Windows" else Shell.POSIX
        return Place(host=host, shell=shell)
    return Place(
        host=host,
        shell=find_shell(env, system=host.system),
        superuser=superuser,
        wsl_name=env.get("WSL_DISTRO_NAME"),
        root=root,
    )


def build_own_cure(place: Place, *words: str) -> str:
    """A command of this tool's own, on the application that was looked at."""
    root = () if place.root is None else ("--root", render_word(place.shell, place.root))
    return " ".join(("provision", *words, *root))


def find_system(host: Host) -> System:
    """What decides the command on `host`: WSL and containers before the distribution inside."""
    if host.wsl is not None:
        return System.WSL
    if host.container is not None:
        return _BY_CONTAINER.get(host.container, System.DOCKER)
    if host.system in ("Windows", "Darwin"):
        return System.WINDOWS if host.system == "Windows" else System.MACOS
    return find_distribution(host)


def find_distribution(host: Host) -> System:
    """The distribution by its own id, else by those that it descends from, else Linux at large."""
    told = (host.distribution.id, *host.distribution.like) if host.distribution else ()
    return next((_BY_DISTRIBUTION[name] for name in told if name in _BY_DISTRIBUTION), System.LINUX)


def choose_cure(kind: CureKind, place: Place) -> str | None:
    """The command that cures `kind` on that system, ready to be typed; None where there is none."""
    inside = kind is CureKind.WSL_DRIVER_INSIDE
    cure = find_cure(kind, find_distribution(place.host) if inside else find_system(place.host))
    if cure is None:
        return None
    return cure.command.format(
        sudo="" if place.superuser else "sudo ", distribution=place.wsl_name or "DISTRIBUTION"
    )


def find_cure(kind: CureKind, system: System) -> Cure | None:
    """The row of the table; a distribution without one of its own gets that of Linux at large."""
    rows = TABLE[kind]
    return rows.get(system) or (rows.get(System.LINUX) if system in DISTRIBUTIONS else None)
