"""What NVIDIA's kernel module tells of itself."""

from __future__ import annotations

import re

from provision.core.parse.nvidia_text.answers import build_all
from provision.core.parse.source_report import SourceReport
from provision.model.facts import ConditionId

_PROC_LINE = re.compile(r"NVRM version: {0,5}([^\n]{1,200})")
_DRIVER = re.compile(r"(?<![\w.])\d{2,4}\.\d{1,3}(?:\.\d{1,3})?(?![\w.])")


def is_proc_version(text: str) -> bool:
    """Whether the kernel module tells its version."""
    return _PROC_LINE.search(text) is not None


def parse_proc_version(text: str) -> SourceReport:
    """`/proc/driver/nvidia/version`: the version, and whether the module is the open one."""
    line = _PROC_LINE.search(text)
    said = "" if line is None else line[1]
    version = _DRIVER.search(said)
    kind = (
        ConditionId.OPEN_KERNEL_MODULE if "Open Kernel Module" in said else ConditionId.CLOSED_KERNEL_MODULE
    )
    machine = re.search(r"\b(x86_64|aarch64)\b", said)
    return SourceReport(
        driver=None if version is None else version[0],
        conditions=build_all([kind]) if version else (),
        nvidia=version is not None,
        system="Linux",
        machine=None if machine is None else machine[1],
    )
