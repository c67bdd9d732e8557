"""Readings of NVIDIA's own sources: NVML in a child interpreter, and the program `nvidia-smi`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from provision.errors import ToolError
from provision.model.facts import Outcome, Reading
from provision.system import nvml_reader
from provision.system.run import Completed

_TEXT_LIMIT = 4 * 1024 * 1024
_ERROR_LIMIT = 2000
_READER_PATH = Path(nvml_reader.__file__)
_LIBRARY = "libnvidia-ml.so.1"
_LOADER_DIRS = ("lib", "usr/lib", "lib64", "usr/lib64")
_TRUSTED_SMI_PATHS = {
    "linux": ("usr/bin/nvidia-smi", "usr/lib/wsl/lib/nvidia-smi"),
    "win32": ("Windows/System32/nvidia-smi.exe",),
}
# One field that a driver does not know makes it refuse the whole query. `compute_cap` came with driver 510,
# so an older one answers in XML alone, which has everything else.
_SMI_FIELDS = "name,uuid,pci.bus_id,memory.total,memory.used,compute_cap,mig.mode.current,driver_version"
_SMI_QUERIES = {
    "nvidia-smi-csv": (f"--query-gpu={_SMI_FIELDS}", "--format=csv,nounits"),
    "nvidia-smi-xml": ("-q", "-x"),
}
_PROCESS_NAME = re.compile(r"(<process_name>[^<\s]*)[^<]*")


class Runner(Protocol):
    """`provision.system.run.run`, as far as it is needed here."""

    def __call__(
        self, argv: Sequence[str], *, timeout_s: float, env: Mapping[str, str], max_output_bytes: int
    ) -> Completed: ...


class SmiProgram(Struct, frozen=True, kw_only=True):
    """The `nvidia-smi` to ask; `error` says why the one that lies there cannot be."""

    path: Path | None
    error: str = ""


def probe_nvml(
    env: Mapping[str, str], *, run: Runner, timeout_s: float, system_root: Path, platform: str = sys.platform
) -> Reading:
    """What NVML says, asked by a child that may hang or crash; ABSENT, at no cost, without the library."""
    library = find_nvml_library(env, system_root=system_root, platform=platform)
    if library is None:
        return Reading(source="nvml", outcome=Outcome.ABSENT, error=f"{_LIBRARY} is not on this machine")
    argv = [sys.executable, "-I", str(_READER_PATH)]
    reading = _ask("nvml", argv, env, run=run, timeout_s=timeout_s, origin=str(library))
    if reading.exit_code == nvml_reader.EXIT_NO_LIBRARY:
        return replace(reading, outcome=Outcome.ABSENT, error=f"{library} cannot be loaded")
    if reading.exit_code == nvml_reader.EXIT_NO_GPUS:
        return replace(reading, outcome=Outcome.OK)
    return reading


def probe_nvidia_smi(
    env: Mapping[str, str], *, run: Runner, timeout_s: float, system_root: Path, platform: str = sys.platform
) -> tuple[Reading, ...]:
    """What `nvidia-smi` says in CSV and in XML, asked at the same time: a hung one costs its limit once.

    The CSV has the compute capability, the XML the CUDA version; no form has both.
    """
    program = find_nvidia_smi(env, system_root=system_root, platform=platform)
    if program.path is None:
        outcome = Outcome.FAILED if program.error else Outcome.ABSENT
        return tuple(Reading(source=name, outcome=outcome, error=program.error) for name in _SMI_QUERIES)
    from concurrent.futures import ThreadPoolExecutor

    path = str(program.path)
    with ThreadPoolExecutor(len(_SMI_QUERIES)) as pool:
        asked = [
            pool.submit(_ask, name, [path, *options], env, run=run, timeout_s=timeout_s, origin=path)
            for name, options in _SMI_QUERIES.items()
        ]
        return tuple(future.result() for future in asked)


def find_nvml_library(env: Mapping[str, str], *, system_root: Path, platform: str) -> Path | None:
    """Where the dynamic loader would find NVML. Looked up, not loaded: loading runs foreign code.

    Linux: `LD_LIBRARY_PATH`, the loader's cache, its standard folders. Windows: where nvidia-ml-py looks.
    """
    if platform == "win32":
        folders = [
            Path(env.get("WINDIR", r"C:\Windows"), "System32"),
            Path(env.get("ProgramFiles", r"C:\Program Files"), "NVIDIA Corporation", "NVSMI"),
        ]
        return next((path for folder in folders if _is_file(path := folder / "nvml.dll")), None)
    named = [Path(folder) for folder in env.get("LD_LIBRARY_PATH", "").split(":") if folder]
    standard = [system_root / folder for folder in _LOADER_DIRS]
    candidates = [
        *(folder / _LIBRARY for folder in named),
        *_read_loader_cache(system_root),
        *(folder / _LIBRARY for folder in standard),
    ]
    return next((path for path in candidates if _is_file(path)), None)


def find_nvidia_smi(env: Mapping[str, str], *, system_root: Path, platform: str) -> SmiProgram:
    """The program at its trusted place, else the first on PATH that can be executed.

    Relative entries of PATH are passed over: a folder that happens to be current must not supply it.
    """
    name = "nvidia-smi.exe" if platform == "win32" else "nvidia-smi"
    trusted = [system_root / path for path in _TRUSTED_SMI_PATHS.get(platform, ())]
    folders = [Path(entry) for entry in env.get("PATH", "").split(os.pathsep) if entry]
    files = [*trusted, *(folder / name for folder in folders if folder.is_absolute())]
    present = [path for path in files if _is_file(path)]
    for path in present:
        if os.access(path, os.X_OK):
            return SmiProgram(path=path)
    return SmiProgram(path=None, error=f"{present[0]} is not executable" if present else "")


def _is_file(path: Path) -> bool:
    """False also for what may not be looked at: PATH may name other people's folders."""
    try:
        return path.is_file()
    except OSError:
        return False


def _read_loader_cache(system_root: Path) -> list[Path]:
    """The paths that /etc/ld.so.cache holds for NVML: it is a table of NUL-terminated strings."""
    try:
        cache = (system_root / "etc/ld.so.cache").read_bytes()
    except OSError:
        return []
    found = re.findall(rb"(/[^\0]*/" + re.escape(_LIBRARY.encode()) + rb")\0", cache)
    return [system_root / os.fsdecode(path).lstrip("/") for path in found]


def _ask(
    source: str, argv: list[str], env: Mapping[str, str], *, run: Runner, timeout_s: float, origin: str
) -> Reading:
    """Runs `argv`; whatever comes of it is a reading, also that it cannot be started."""
    try:
        done = run(argv, timeout_s=timeout_s, env=env, max_output_bytes=_TEXT_LIMIT)
    except (OSError, ToolError) as error:
        return Reading(
            source=source, outcome=Outcome.FAILED, origin=origin, error=_clean(str(error))[:_ERROR_LIMIT]
        )
    outcome = Outcome.OK if done.exit_code == 0 else Outcome.FAILED
    return Reading(
        source=source,
        outcome=Outcome.TIMEOUT if done.timed_out else outcome,
        origin=origin,
        text=_clean(done.stdout)[:_TEXT_LIMIT],
        error=_clean(done.stderr)[:_ERROR_LIMIT],
        exit_code=done.exit_code,
        elapsed_s=round(done.elapsed_s, 4),
        limit_s=timeout_s,
    )


def _clean(text: str) -> str:
    """Text that fits into JSON. Of other programs only the name is kept: their arguments may hold secrets."""
    return _PROCESS_NAME.sub(r"\1", text.encode(errors="replace").decode())
