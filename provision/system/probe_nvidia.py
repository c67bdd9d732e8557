"""Readings of NVIDIA's own sources: NVML in a child interpreter, and the program `nvidia-smi`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from provision.model.facts import Outcome, Reading
from provision.system import nvml_reader
from provision.system.probe_program import (
    Question,
    Runner,
    ask_program,
    is_file,
)

_READER_PATH = Path(nvml_reader.__file__)
NVML_LIBRARY = "libnvidia-ml.so.1"
_LOADER_DIRS = ("lib", "usr/lib", "lib64", "usr/lib64")
_TRUSTED_SMI_PATHS = {
    "linux": ("usr/bin/nvidia-smi", "usr/lib/wsl/lib/nvidia-smi"),
    "win32": ("Windows/System32/nvidia-smi.exe",),
}
# One field that a driver does not know makes it refuse the whole query. `compute_cap` came with driver 510,
# so an older one answers in XML alone, which has everything else.
_SMI_FIELDS = "name,uuid,pci.bus_id,memory.total,memory.used,compute_cap,mig.mode.current,driver_version"
_SMI_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "nvidia-smi-csv": (f"--query-gpu={_SMI_FIELDS}", "--format=csv,nounits"),
    "nvidia-smi-xml": ("-q", "-x"),
    "nvidia-smi-table": (),
}
# Exit codes after which the plain table may still answer: it printed something else, or did not know the
# arguments or a function. The others (9 no driver, 12 no library, 15 lost ...) it would only repeat.
# "RETURN VALUE" in https://docs.nvidia.com/deploy/nvidia-smi/index.html
_WORTH_THE_TABLE = (0, 2, 13)


def probe_nvml(
    env: Mapping[str, str], *, run: Runner, timeout_s: float, system_root: Path, platform: str = sys.platform
) -> Reading:
    """What NVML says, asked by a child that may hang or crash; ABSENT, at no cost, without the library."""
    library = find_nvml_library(env, system_root=system_root, platform=platform)
    if library is None:
        return Reading(source="nvml", outcome=Outcome.ABSENT, error=f"{NVML_LIBRARY} is not on this machine")
    argv = [sys.executable, "-I", str(_READER_PATH)]
    reading = ask_program("nvml", argv, env, run=run, timeout_s=timeout_s, origin=str(library))
    if reading.exit_code == nvml_reader.EXIT_NO_LIBRARY:
        return replace(reading, outcome=Outcome.ABSENT, error=f"{library} cannot be loaded")
    if reading.exit_code == nvml_reader.EXIT_NO_GPUS:
        return replace(reading, outcome=Outcome.OK)
    return reading


def build_nvidia_smi_questions(platform: str) -> tuple[Question, ...]:
    """The CSV has the compute capability, the XML the CUDA version; no form has both."""
    return tuple(_build_question(source, platform) for source in ("nvidia-smi-csv", "nvidia-smi-xml"))


def build_table_questions(readings: Sequence[Reading], platform: str) -> tuple[Question, ...]:
    """The plain table, when of CSV and XML none could be read and the table may yet be."""
    asked = [reading for reading in readings if reading.source in _SMI_ARGUMENTS]
    read = any(_has_answer(reading) for reading in asked)
    worth = any(
        reading.exit_code in _WORTH_THE_TABLE and reading.outcome is not Outcome.TIMEOUT for reading in asked
    )
    return (_build_question("nvidia-smi-table", platform),) if worth and not read else ()


def find_nvml_library(env: Mapping[str, str], *, system_root: Path, platform: str) -> Path | None:
    """Where the dynamic loader would find NVML. Looked up, not loaded: loading runs foreign code.

    Linux: `LD_LIBRARY_PATH`, the loader's cache, its standard folders. Windows: where nvidia-ml-py looks.
    """
    if platform == "win32":
        folders = [
            Path(env.get("WINDIR", r"C:\Windows"), "System32"),
            Path(env.get("ProgramFiles", r"C:\Program Files"), "NVIDIA Corporation", "NVSMI"),
        ]
        return next((path for folder in folders if is_file(path := folder / "nvml.dll")), None)
    named = [Path(folder) for folder in env.get("LD_LIBRARY_PATH", "").split(":") if folder]
    standard = [system_root / folder for folder in _LOADER_DIRS]
    candidates = [
        *(folder / NVML_LIBRARY for folder in named),
        *read_loader_cache(NVML_LIBRARY, system_root),
        *(folder / NVML_LIBRARY for folder in standard),
    ]
    return next((path for path in candidates if is_file(path)), None)


def read_loader_cache(library: str, system_root: Path) -> list[Path]:
    """The paths that /etc/ld.so.cache holds for a library: it is a table of NUL-terminated strings."""
    try:
        cache = (system_root / "etc/ld.so.cache").read_bytes()
    except OSError:
        return []
    found = re.findall(rb"(/[^\0]*/" + re.escape(library.encode()) + rb")\0", cache)
    return [system_root / os.fsdecode(path).lstrip("/") for path in found]


def _build_question(source: str, platform: str) -> Question:
    return Question(
        source=source,
        name="nvidia-smi.exe" if platform == "win32" else "nvidia-smi",
        trusted=_TRUSTED_SMI_PATHS.get(platform, ()),
        arguments=_SMI_ARGUMENTS[source],
    )


def _has_answer(reading: Reading) -> bool:
    """Whether the form that was asked for came, at least its beginning."""
    mark = "<nvidia_smi_log" if reading.source == "nvidia-smi-xml" else "name,"
    return mark in reading.text
