"""What the kernel, /dev and the file system say of drivers: one JSON document, from files alone."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import msgspec

from provision.model.facts import Outcome, Reading
from provision.system.probe_files import (
    LIST_LIMIT,
    clean_name,
    list_matches,
    read_bytes,
    read_text,
    show_path,
)
from provision.system.probe_libraries import read_libraries

_NVIDIA = "0x10de"
_MODULES = frozenset(("nvidia", "nvidia_uvm", "nvidia_drm", "nouveau", "nova_core", "amdgpu", "i915", "xe"))
_NODES = (
    *("dev/nvidia[0-9]*", "dev/nvidiactl", "dev/nvidia-uvm", "dev/nvidia-caps", "dev/kfd", "dev/dxg"),
    "dev/dri/renderD*",
)
# The kernel module as NVIDIA names it, and as Debian does: `nvidia-current.ko`, `nvidia-tesla-535.ko`.
_MODULE_FILE = re.compile(
    rb"^(\S*/(?:nvidia|nvidia-open|nvidia-current|nvidia-(?:tesla|legacy)-\d+(?:xx)?)\.ko(?:\.\w+)?):",
    re.MULTILINE,
)
_BLACKLIST_DIRS = ("etc/modprobe.d", "run/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d")
_BLACKLIST = re.compile(
    r"^[ \t]*(?:blacklist[ \t]+(nouveau|nvidia)[ \t]*$"
    r"|install[ \t]+(nouveau|nvidia)[ \t]+/(?:usr/)?s?bin/(?:false|true)\b)",
    re.MULTILINE,
)
_KERNEL_OPTION = re.compile(r"(?:^|\s)(?:rd\.driver\.|modprobe\.|module_)blacklist=(\S+)")
_SECURE_BOOT = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_FILE_LIMIT_BYTES = 16 * 1024 * 1024


def probe_machine_state(env: Mapping[str, str], pci: Reading, *, release: str, system_root: Path) -> Reading:
    """The document that `provision/core/parse/machine_state.py` reads; what cannot be read is null.

    `release` is the running kernel's, `pci` the reading of the bus, whose cards' drivers are repeated here.
    """
    cards, modules = _list_cards(pci), _list_modules(system_root)
    state = {
        "cards": cards,
        "modules": modules,
        "nodes": _list_nodes(system_root),
        **_look_for_module(system_root / "lib/modules", release, cards, modules),
        "secure_boot": _read_secure_boot(system_root),
        "blacklists": _list_blacklists(system_root),
        "nvidia_modprobe": _can_load_modules(system_root),
        **read_libraries(env, system_root),
        "nvidia_mounts": _list_nvidia_mounts(system_root),
        "nvidia_visible_devices": env.get("NVIDIA_VISIBLE_DEVICES"),
        "tegra_release": read_text(system_root / "etc/nv_tegra_release").partition("\n")[0] or None,
        "device_tree_model": read_text(system_root / "proc/device-tree/model").strip("\0\n ") or None,
        "dmi_vendor": read_text(system_root / "sys/class/dmi/id/sys_vendor").strip() or None,
        "dmi_product": read_text(system_root / "sys/class/dmi/id/product_name").strip() or None,
        "hypervisor": _read_hypervisor_flag(system_root),
    }
    text = msgspec.json.encode(state).decode()
    return Reading(source="machine-state", outcome=Outcome.OK, text=text)


def _list_cards(pci: Reading) -> list[dict[str, object]]:
    try:
        document = msgspec.json.decode(pci.text)
    except msgspec.DecodeError:
        return []
    return [*document.get("display", ()), *document.get("accelerators", ())]


def _list_modules(system_root: Path) -> list[str] | None:
    """Those loaded that matter here, in the order of the kernel's list; None where it shows no list."""
    text = read_text(system_root / "proc/modules", limit_bytes=_FILE_LIMIT_BYTES)
    names = [line.split(" ", 1)[0] for line in text.splitlines()]
    return [name for name in names if name in _MODULES] if text else None


def _list_nodes(system_root: Path) -> list[dict[str, object]]:
    """Device files with whether this user may open them; they are not opened, which could wake a GPU."""
    found = (path for pattern in _NODES for path in sorted(list_matches(system_root, pattern)))
    return [
        {
            "path": show_path(path, system_root),
            "usable": os.access(path, os.R_OK | (0 if path.is_dir() else os.W_OK)),
            "group": _read_group(path),
        }
        for path in islice(found, LIST_LIMIT)
    ]


def _read_group(path: Path) -> str | None:
    """The group's name; None where its number has no name here, and on Windows, which has no groups."""
    try:
        return path.group()
    except (OSError, KeyError, NotImplementedError, ImportError):
        return None


def _look_for_module(
    modules_dir: Path, release: str, cards: list[dict[str, object]], modules: list[str] | None
) -> dict[str, object]:
    """What `depmod` knows of NVIDIA's module. Read only where a card lacks it: the lists are long."""
    if "nvidia" in (modules or ()) or not any(card.get("vendor") == _NVIDIA for card in cards):
        return {}
    return {
        "kernel_folder": (modules_dir / release).is_dir(),
        "module_file": _find_module_file(modules_dir / release),
        "other_kernels": _list_other_kernels(modules_dir, release),
    }


def _find_module_file(kernel_dir: Path) -> str | None:
    """Where NVIDIA's module of this kernel lies, as `depmod` lists it; None where it lists none."""
    match = _MODULE_FILE.search(read_bytes(kernel_dir / "modules.dep", _FILE_LIMIT_BYTES))
    return None if match is None else clean_name(os.fsdecode(match[1]))


def _list_other_kernels(modules_dir: Path, release: str) -> list[str]:
    """Kernels other than the running one that NVIDIA's module was built for."""
    folders = islice(list_matches(modules_dir, "*"), LIST_LIMIT)
    return sorted(
        folder.name for folder in folders if folder.name != release and _find_module_file(folder) is not None
    )


def _read_secure_boot(system_root: Path) -> bool | None:
    """The value behind four bytes of attributes; None without EFI variables."""
    data = read_bytes(system_root / _SECURE_BOOT, 16)
    return data[4] == 1 if len(data) == 5 else None


def _list_blacklists(system_root: Path) -> dict[str, str]:
    """The file, or the kernel's command line, that keeps a module from being loaded, by module."""
    found: dict[str, str] = {}
    for folder in _BLACKLIST_DIRS:
        for path in sorted(list_matches(system_root / folder, "*.conf")):
            for match in _BLACKLIST.finditer(read_text(path)):
                found.setdefault(match[1] or match[2], show_path(path, system_root))
    for match in _KERNEL_OPTION.finditer(read_text(system_root / "proc/cmdline")):
        for name in match[1].split(","):
            if name in {"nouveau", "nvidia"}:
                found.setdefault(name, "/proc/cmdline")
    return found


def _can_load_modules(system_root: Path) -> bool:
    """Whether CUDA can load nvidia_uvm for itself: by the setuid program that NVIDIA ships for this."""
    try:
        status = (system_root / "usr/bin/nvidia-modprobe").stat()
    except OSError:
        return False
    as_root = sys.platform != "win32" and os.geteuid() == 0
    return bool(status.st_mode & 0o111) and (as_root or bool(status.st_mode & 0o4000))


def _list_nvidia_mounts(system_root: Path) -> list[str]:
    """Mount points with NVIDIA's name: what a container runtime handed in. Sorted, the first of many."""
    text = read_text(system_root / "proc/self/mountinfo", limit_bytes=1024 * 1024)
    points = (fields[4] for line in text.splitlines() if len(fields := line.split(" ")) > 4)
    return sorted({point for point in points if "nvidia" in point})[:LIST_LIMIT]


def _read_hypervisor_flag(system_root: Path) -> bool | None:
    """Whether the first processor says that a hypervisor runs it; None where flags are not told (ARM)."""
    try:
        with (system_root / "proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            for line in islice(file, 64):
                if line.startswith("flags"):
                    return "hypervisor" in line.split()
    except OSError:
        return None
    return None
