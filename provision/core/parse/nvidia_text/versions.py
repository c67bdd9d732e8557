"""Short texts that tell the driver's version and little more."""

from __future__ import annotations

import re

from provision.core.parse.nvidia_text.answers import build_all, is_windows_version, read_version
from provision.core.parse.source_report import SourceReport
from provision.model.facts import ConditionId

_SMI_LINE = re.compile(
    r"^[ \t]{0,20}(NVIDIA-SMI|NVML|DRIVER|KMD|CUDA|CUDA UMD|CUDA DRIVER) version {0,20}: {0,5}(\S[^\n]{0,100})",
    re.IGNORECASE | re.MULTILINE,
)
_MODULE_FILE = "/sys/module/nvidia/version"
_LONE_VERSION = re.compile(r"[1-9]\d{2}\.\d{1,3}(?:\.\d{1,2})?")


def is_smi_version(text: str) -> bool:
    """Whether `nvidia-smi --version` speaks."""
    return any(match[1].upper() == "NVIDIA-SMI" for match in _SMI_LINE.finditer(text))


def parse_smi_version(text: str) -> SourceReport:
    """The driver and its CUDA. In WSL the program is Linux's and of another version than Windows' driver."""
    told = {match[1].upper(): match[2] for match in reversed(list(_SMI_LINE.finditer(text)))}
    driver = read_version(told.get("KMD") or told.get("DRIVER"))
    cuda = told.get("CUDA UMD") or told.get("CUDA DRIVER") or told.get("CUDA")
    smi = read_version(told.get("NVIDIA-SMI"))
    wsl = driver is not None and smi is not None and driver != smi
    windows = not wsl and is_windows_version(driver)
    conditions = [
        *([ConditionId.WSL] if wsl else []),
        *([ConditionId.CUDA_VERSION_NA] if cuda is not None and read_version(cuda) is None else []),
    ]
    return SourceReport(
        driver=driver,
        cuda_driver_version=read_version(cuda),
        conditions=build_all(conditions),
        nvidia=True,
        system="Windows" if windows else "Linux" if wsl else None,
        versions={"nvidia_smi": smi} if smi else {},
    )


def is_module_version(text: str) -> bool:
    """Whether the file's name stands before a version."""
    return _MODULE_FILE in text and _find_module_version(text) is not None


def is_lone_version(text: str) -> bool:
    """Whether the text is one version of a driver and nothing else."""
    return _LONE_VERSION.fullmatch(text[:100].strip()) is not None and len(text) < 100


def parse_module_version_text(text: str) -> SourceReport:
    """`/sys/module/nvidia/version`: the version alone."""
    version = _find_module_version(text)
    return SourceReport(driver=version, nvidia=version is not None, system="Linux")


def _find_module_version(text: str) -> str | None:
    behind = text.partition(_MODULE_FILE)[2] or text
    words = (line.strip(" \t:") for line in behind[:1000].split("\n"))
    return next((word for word in words if _LONE_VERSION.fullmatch(word)), None)
