"""Readings of the host that cost no subprocess: kernel, processor, memory, disk, container, PCI devices."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import msgspec

from provision.model.facts import Outcome, Reading
from provision.system.probe_files import clean_name

_FILE_LIMIT_BYTES = 64 * 1024
# The whole environment may hold secrets, so what is kept is named: these with their values, ...
_VARIABLES = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "WSL_DISTRO_NAME", "container")
# ... and of these only that they are set.
_MARKER_VARIABLES = ("KUBERNETES_SERVICE_HOST", "APPTAINER_CONTAINER", "SINGULARITY_CONTAINER")
# What the user says of the machine: `provision/core/parse/overrides.py` reads it.
_OVERRIDES = (
    "PROVISION_GPU_NAME",
    "PROVISION_COMPUTE_CAPABILITY",
    "PROVISION_GPU_MEMORY_MIB",
    "PROVISION_DRIVER",
    "PROVISION_CUDA_DRIVER_VERSION",
    "PROVISION_GPU_VENDOR",
)
_MARKER_FILES = (".dockerenv", "run/.containerenv")
_DISPLAY_CLASS = "0x03"
# Cards without an output, such as AMD's Instinct MI300, and units for neural networks in processors.
_ACCELERATOR_CLASS = "0x12"


def probe_host(env: Mapping[str, str], root: Path | None) -> Reading:
    """Kernel, Python, CPUs, memory and the free disk at `root`, as one JSON object. Sizes in bytes."""
    system, release, machine = read_kernel(env)
    answer = {
        "system": system,
        "release": release,
        "machine": machine,
        "python_version": ".".join(str(part) for part in sys.version_info[:3]),
        "cpu_count": _count_cpus(),
        "cpu_model": env.get("PROCESSOR_IDENTIFIER"),
        "memory_bytes": _read_memory_bytes(),
        "disk_free_bytes": None if root is None else _read_disk_free_bytes(root),
    }
    return _build_json_reading("host", answer)


def read_kernel(env: Mapping[str, str]) -> tuple[str, str, str]:
    """System, release and machine, without `platform`, which asks WMI on Windows and can hang there."""
    if sys.platform == "win32":
        version = sys.getwindowsversion()
        release = f"{version.major}.{version.minor}.{version.build}"
        return "Windows", release, env.get("PROCESSOR_ARCHITECTURE", "")
    name = os.uname()
    return name.sysname, name.release, name.machine


def probe_environment(env: Mapping[str, str]) -> Reading:
    """The few variables that change what a GPU program sees, or tell where it runs."""
    answer = {name: clean_name(env[name]) for name in _VARIABLES if name in env}
    answer |= {name: "set" for name in _MARKER_VARIABLES if env.get(name)}
    return _build_json_reading("environment", answer)


def probe_overrides(env: Mapping[str, str]) -> Reading | None:
    """The variables in which the user says what the machine is; None where there are none."""
    given = {name: clean_name(env[name]) for name in _OVERRIDES if env.get(name, "").strip()}
    return _build_json_reading("override", given) if given else None


def probe_container(system_root: Path) -> Reading:
    """The marks that container runtimes leave: files at the root, and the cgroup of the first process."""
    marks = [probe_file(f"/{name}", system_root / name) for name in _MARKER_FILES]
    files = [mark.source for mark in marks if mark.outcome is Outcome.OK]
    cgroup = probe_file("cgroup", system_root / "proc/1/cgroup").text
    return _build_json_reading("container", {"files": files, "cgroup": cgroup})


def probe_pci(system_root: Path) -> Reading:
    """Every display device and accelerator on the PCI bus, and how many devices the bus shows at all.

    None on the bus says nothing where the bus shows no device: virtual machines and Tegra boards have none.
    """
    folder = system_root / "sys/bus/pci/devices"
    try:
        classes = {slot: _read_word(slot / "class") for slot in sorted(folder.iterdir())}
        display = [
            _read_pci_device(slot) for slot, kind in classes.items() if kind.startswith(_DISPLAY_CLASS)
        ]
        others = [
            _read_pci_device(slot) for slot, kind in classes.items() if kind.startswith(_ACCELERATOR_CLASS)
        ]
    except OSError as error:
        return _build_file_failure("pci", folder, error)
    answer = {"devices": len(classes), "display": display, "accelerators": others}
    return _build_json_reading("pci", answer, origin=str(folder))


def probe_cpuinfo(system_root: Path) -> Reading:
    """The first processor of `/proc/cpuinfo`: the kernel writes the rest, slowly, only when it is read."""
    path = system_root / "proc/cpuinfo"
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = list(islice(iter(file.readline, "\n"), 64))
    except OSError as error:
        return _build_file_failure("cpuinfo", path, error)
    return Reading(source="cpuinfo", outcome=Outcome.OK, origin=str(path), text="".join(lines))


def probe_file(source: str, path: Path) -> Reading:
    """The text of a file, at most 64 KiB of it; ABSENT when there is none."""
    try:
        with path.open("rb") as file:
            text = file.read(_FILE_LIMIT_BYTES).decode(errors="replace")
    except OSError as error:
        return _build_file_failure(source, path, error)
    return Reading(source=source, outcome=Outcome.OK, origin=str(path), text=text)


def _build_file_failure(source: str, path: Path, error: OSError) -> Reading:
    missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    outcome = Outcome.ABSENT if missing else Outcome.FAILED
    return Reading(source=source, outcome=outcome, origin=str(path), error=_say(error))


def _build_json_reading(source: str, answer: object, *, origin: str = "") -> Reading:
    text = msgspec.json.encode(answer).decode()
    return Reading(source=source, outcome=Outcome.OK, origin=origin, text=text)


def _say(error: OSError) -> str:
    return error.strerror or str(error)


def _read_pci_device(slot: Path) -> dict[str, str | None]:
    return {
        "slot": slot.name,
        "class": _read_word(slot / "class"),
        "vendor": _read_word(slot / "vendor"),
        "device": _read_word(slot / "device"),
        "driver": (slot / "driver").resolve().name if (slot / "driver").exists() else None,
    }


def _read_word(path: Path) -> str:
    return path.read_text(encoding="ascii", errors="replace").strip()


def _count_cpus() -> int | None:
    if sys.platform != "linux":
        return os.cpu_count()
    return len(os.sched_getaffinity(0))


def _read_memory_bytes() -> int:
    """Physical memory. psutil only where the C library does not tell: its import costs 20 ms."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.virtual_memory().total)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _read_disk_free_bytes(root: Path) -> int | None:
    """Free bytes for the user at `root`, or at its nearest parent that exists."""
    import shutil

    for folder in (root, *root.parents):
        try:
            return shutil.disk_usage(folder).free
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None
