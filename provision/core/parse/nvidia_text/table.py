"""The table that `nvidia-smi` prints without arguments, of every driver since there is one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from provision.core.parse.conditions import build_gpu_lost
from provision.core.parse.nvidia_text.answers import (
    build_all,
    is_windows_version,
    judge_form,
    judge_warning,
    read_version,
)
from provision.core.parse.nvidia_text.table_rows import (
    TableRow,
    build_gpu,
    read_row,
    read_rows,
    split_lines,
)
from provision.core.parse.source_report import SourceReport
from provision.model.facts import Condition, ConditionId

_HEADER = re.compile(r"(?:NVIDIA-SMI|NVITOP) {1,30}(\d[\d.]{0,20})")
_DRIVER = re.compile(r"\b(Driver|KMD) Version: {0,20}([\d.]{1,20}|N/A)", re.IGNORECASE)
_CUDA = re.compile(r"\bCUDA(?: UMD| Driver)? Version: {0,20}([\d.]{1,20}|N/A|ERR!)", re.IGNORECASE)
_NO_MEMORY = re.compile(r"\|\s*(?:Not Supported|N/A {0,9}/ {0,9}N/A|N/A|ERR!)\s*(?:\||$)")
_FAN_AND_POWER = re.compile(r"\|?\s*(\d{1,3}%|N/A|ERR!)\s+(?:\S+\s+){0,4}?(?:\d+W|N/A)\s*/\s*(\d{1,5}W|N/A)")
# Products that have error correction, and have it on unless somebody switched it off.
_DATACENTER = re.compile(r"\b(?:Tesla|[ABHL]\d{1,3}S?|A800|H800|G[BH]\d00)\b")
_LAPTOP_POWER_W = 175  # NVIDIA's highest figure for a GeForce in a laptop, Dynamic Boost included


def is_table(text: str) -> bool:
    """Whether there is the header line with its versions, or a row of a GPU."""
    return any(
        (_HEADER.search(line) and _DRIVER.search(line)) or read_row(line) for line in split_lines(text)
    )


def parse_table(text: str) -> SourceReport:
    """Versions and GPUs. Of several tables in one text the first counts, with GPUs that it lacks from others."""
    lines = list(split_lines(text))
    header = _find_header(lines)
    driver_match = _DRIVER.search(header)
    cuda_match = _CUDA.search(header)
    smi = _HEADER.search(header)
    rows = read_rows(lines)
    gpus = tuple(build_gpu(row) for row in rows)
    # A version at the very end of a line that was cut off may be half a version.
    whole = driver_match is not None and driver_match.end() < len(header)
    driver = read_version(driver_match[2]) if driver_match and whole else None
    version = smi[1] if smi and "NVIDIA-SMI" in smi[0] else None
    system = _judge_system(rows, lines, driver, version)
    conditions = [
        *_judge_header(header, driver_match, cuda_match),
        *([ConditionId.WSL] if system == "WSL" else []),
        *([ConditionId.WDDM] if any(row.switch == "WDDM" for row in rows) else []),
        *_judge_rows(rows, lines),
        *judge_form(gpus),
        *_judge_end(rows, lines),
        *judge_warning(text),
    ]
    return SourceReport(
        gpus=gpus,
        driver=driver,
        cuda_driver_version=read_version(cuda_match[1]) if cuda_match else None,
        conditions=(*_judge_lost(rows), *build_all(conditions)),
        nvidia=True,
        system="Linux" if system == "WSL" else system,
        versions={"nvidia_smi": version} if version else {},
    )


def _find_header(lines: Sequence[str]) -> str:
    """The line of the versions, with its end where a narrow console broke it; "" without one."""
    number = next((number for number, line in enumerate(lines) if _HEADER.search(line)), None)
    if number is None:
        return ""
    header, behind = lines[number], "".join(lines[number + 1 : number + 2])
    broken = header.startswith("|") and not header.endswith("|") and behind.endswith("|")
    return header + behind if broken and not behind.startswith(("|", "+")) else header


def _judge_system(
    rows: Sequence[TableRow], lines: Sequence[str], driver: str | None, smi: str | None
) -> str | None:
    """`Windows`, `Linux`, or `WSL`: there the program is Linux's and the driver the one of Windows."""
    if any(row.switch in {"WDDM", "TCC", "MCDM"} for row in rows):
        return "Windows"
    if any("TCC/WDDM" in line or "Driver-Model" in line for line in lines):
        return "Windows"
    if driver is not None and smi is not None and driver != smi:
        return "WSL"
    if any("Persistence-M" in line for line in lines):
        return "Linux"
    return "Windows" if is_windows_version(driver) else None


def _judge_header(
    header: str, driver: re.Match[str] | None, cuda: re.Match[str] | None
) -> Iterator[ConditionId]:
    if not header:
        yield ConditionId.HEADER_MISSING
        return
    if driver is not None and driver[1].upper() == "KMD":
        yield ConditionId.KMD_HEADER
    if cuda is not None and read_version(cuda[1]) is None:
        yield ConditionId.CUDA_VERSION_NA
    if cuda is None:
        whole = driver is not None and header.endswith("|")
        yield ConditionId.NO_CUDA_VERSION_FIELD if whole else ConditionId.TRUNCATED


def _judge_rows(rows: Sequence[TableRow], lines: Sequence[str]) -> Iterator[ConditionId]:
    told = [row for row in rows if row.memory_line is not None]
    without = [row.memory_line or "" for row in told if row.total_mib is None]
    if any("Not Supported" in line for line in without):
        yield ConditionId.MEMORY_NOT_SUPPORTED
    elif any(_NO_MEMORY.search(line) for line in without):
        yield ConditionId.MEMORY_NA
    if any("No MIG devices found" in line for line in lines):
        yield ConditionId.MIG_NO_INSTANCES
    if any("vGPU ID" in line for line in lines):
        yield ConditionId.VGPU_HOST
    if any(row.ecc == "Off" and _DATACENTER.search(row.name) for row in rows):
        yield ConditionId.ECC_OFF
    if any(_is_laptop(row) for row in rows):
        yield ConditionId.LAPTOP
    heads = any("Fan  Temp" in line for line in lines) and not any("MIG M." in line for line in lines)
    if heads or any(row.closed and row.lines == 2 for row in rows):
        yield ConditionId.TWO_LINE_ROWS


def _judge_lost(rows: Sequence[TableRow]) -> Iterator[Condition]:
    """A GPU that answers one question or another with ERR! has a fault, one that answers none is lost."""
    for row in rows:
        if row.ecc == "ERR!" and (row.memory_line or "").count("ERR!") > 1:
            yield build_gpu_lost(f"GPU {row.index}")


def _is_laptop(row: TableRow) -> bool:
    """A GeForce that has no fan of its own and draws little is a laptop's: its board controls the fans."""
    match = _FAN_AND_POWER.match(row.memory_line or "")
    if match is None or match[1] != "N/A" or "GeForce" not in row.name:
        return False
    return match[2] == "N/A" or int(match[2].removesuffix("W")) <= _LAPTOP_POWER_W


def _judge_end(rows: Sequence[TableRow], lines: Sequence[str]) -> Iterator[ConditionId]:
    """A whole output ends with the list of processes; without it more GPUs may have been cut off."""
    if not rows:
        yield ConditionId.HEADER_ONLY
        yield ConditionId.TRUNCATED
        return
    more = any("Processes:" in line or "MIG devices:" in line for line in lines)
    several = len(rows) > 1 or any(row.mig == "Enabled" for row in rows)
    if not rows[-1].closed or (several and not more):
        yield ConditionId.TRUNCATED
