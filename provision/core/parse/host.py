"""The readings of the host: kernel, distribution, processor, memory, disk, WSL and container."""

from __future__ import annotations

import re

from msgspec import Struct

from provision.core.parse.json_text import parse_json
from provision.core.parse.os_release import parse_os_release
from provision.model.facts import Host, Probe

# In order: the first that occurs in a cgroup path names the kind.
_CGROUP_KINDS = (("kubepods", "kubernetes"), ("docker", "docker"), ("libpod", "podman"), ("lxc", "lxc"))
_FILE_KINDS = {"/.dockerenv": "docker", "/run/.containerenv": "podman"}
_VARIABLE_KINDS = {
    "KUBERNETES_SERVICE_HOST": "kubernetes",
    "APPTAINER_CONTAINER": "apptainer",
    "SINGULARITY_CONTAINER": "apptainer",
}
# systemd's word for what it runs in; it can be any word, and these are the ones that differ from ours.
_SYSTEMD_KINDS = {"oci": "container", "systemd-nspawn": "container", "lxc-libvirt": "lxc", "wsl": None}
_MODEL_NAME = re.compile(r"^(?:model name|Model|Processor)\s*:\s*(\S.*?)\s*$", re.MULTILINE)


class HostDocument(Struct, frozen=True, kw_only=True):
    """The JSON of the source `host`. Sizes in bytes."""

    system: str = ""
    release: str = ""
    machine: str = ""
    python_version: str = ""
    cpu_count: int | None = None
    cpu_model: str | None = None
    memory_bytes: int | None = None
    disk_free_bytes: int | None = None


class ContainerDocument(Struct, frozen=True, kw_only=True):
    """The JSON of the source `container`."""

    files: tuple[str, ...] = ()
    cgroup: str = ""


def parse_host(probe: Probe) -> Host:
    """The host; a source that is missing or garbled leaves its fields unknown."""
    kernel = parse_json(_get_text(probe, "host"), HostDocument) or HostDocument()
    environment = parse_environment(probe)
    return Host(
        system=kernel.system,
        release=kernel.release,
        machine=kernel.machine,
        distribution=parse_os_release(_get_text(probe, "os-release")),
        python_version=kernel.python_version,
        cpu_model=parse_cpu_model(_get_text(probe, "cpuinfo")) or kernel.cpu_model,
        cpu_count=kernel.cpu_count,
        memory_bytes=kernel.memory_bytes,
        disk_free_bytes=kernel.disk_free_bytes,
        wsl=parse_wsl_version(kernel.release, environment),
        container=parse_container(_get_text(probe, "container"), environment),
    )


def parse_environment(probe: Probe) -> dict[str, str]:
    """The variables that the probe kept, by name."""
    return parse_json(_get_text(probe, "environment"), dict[str, str]) or {}


def parse_cpu_model(cpuinfo: str) -> str | None:
    """The processor's name in `/proc/cpuinfo`; ARM kernels mostly give none."""
    match = _MODEL_NAME.search(cpuinfo)
    return None if match is None else match[1]


def parse_wsl_version(release: str, environment: dict[str, str]) -> int | None:
    """1 or 2 in Windows' Linux subsystem, else None.

    Its kernels are `4.4.0-19041-Microsoft` (1) and `5.15.153.1-microsoft-standard-WSL2` (2). A kernel that
    the user built is possible in 2 only, and is told by WSL_DISTRO_NAME.
    """
    if "microsoft" in release.lower():
        return 1 if release.endswith("-Microsoft") else 2
    return 2 if environment.get("WSL_DISTRO_NAME") else None


def parse_container(text: str, environment: dict[str, str]) -> str | None:
    """The kind of container, most telling sign first; None outside any."""
    for variable, kind in _VARIABLE_KINDS.items():
        if environment.get(variable):
            return kind
    document = parse_json(text, ContainerDocument) or ContainerDocument()
    for word, kind in _CGROUP_KINDS:
        if word in document.cgroup:
            return kind
    for path, kind in _FILE_KINDS.items():
        if path in document.files:
            return kind
    told = environment.get("container")
    return _SYSTEMD_KINDS.get(told, told) if told else None


def _get_text(probe: Probe, source: str) -> str:
    reading = probe.get(source)
    return "" if reading is None else reading.text
