"""Driver libraries that lie about: a Linux driver inside WSL, CUDA's newer copies, what WSL was given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from provision.system.probe_files import list_names, show_path
from provision.system.probe_nvidia import NVML_LIBRARY, read_loader_cache
from provision.system.probe_program import is_file

_WSL_DIR = "usr/lib/wsl/lib"
_CUDA_LIBRARY = "libcuda.so.1"
_LIBRARY_DIRS = (
    *("usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib64", "usr/lib"),
    *("lib64", "lib"),
)


def read_libraries(env: Mapping[str, str], system_root: Path) -> dict[str, object]:
    """What `machine-state` says of them. Paths are from the root of the system on, folders for `compat_*`."""
    cached = [path for path in read_loader_cache(_CUDA_LIBRARY, system_root) if is_file(path)]
    return {
        "wsl_libraries": list_names(system_root / _WSL_DIR),
        "linux_libraries": _list_linux_libraries(system_root),
        "compat_in_path": _list_compat_in_path(env),
        "compat_in_cache": [show_path(path.parent, system_root) for path in cached if _is_compat(path)],
    }


def _list_linux_libraries(system_root: Path) -> list[str]:
    """Driver libraries that do not come from Windows: real files outside WSL's folder, found by the loader.

    An empty file is what an image keeps of a mount; a link may lead into WSL's folder.
    """
    names = (_CUDA_LIBRARY, NVML_LIBRARY)
    standard = [system_root / folder / name for folder in _LIBRARY_DIRS for name in names]
    cached = [path for name in names for path in read_loader_cache(name, system_root)]
    wsl_dir = (system_root / _WSL_DIR).resolve()
    found = {
        show_path(path.resolve(), system_root.resolve())
        for path in (*cached, *standard)
        if is_file(path)
        and not _is_compat(path)
        and not path.resolve().is_relative_to(wsl_dir)
        and path.stat().st_size > 0
    }
    return sorted(found)


def _is_compat(path: Path) -> bool:
    return "compat" in path.parts


def _list_compat_in_path(env: Mapping[str, str]) -> list[str]:
    """The folders that LD_LIBRARY_PATH names of those where CUDA's packages put newer driver libraries."""
    folders = [Path(entry) for entry in env.get("LD_LIBRARY_PATH", "").split(":") if entry]
    return [str(folder) for folder in folders if _is_compat(folder) and is_file(folder / _CUDA_LIBRARY)]
