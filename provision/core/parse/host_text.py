"""Text about the machine around the GPU: `os-release`, `/proc/cpuinfo`, `uname -a`, Windows' own words."""

from __future__ import annotations

import re

from provision.core.parse.conditions import build_wsl
from provision.core.parse.host import parse_wsl_version
from provision.core.parse.os_release import parse_os_release
from provision.core.parse.plain_conditions import build_plain
from provision.core.parse.source_report import SourceReport, TextSource
from provision.model.facts import Condition, ConditionId, Vendor

_OS_ID = re.compile(r"^[ \t]{0,16}ID=[\"']?[a-z][\w.-]{0,60}[\"']?[ \t]*$", re.MULTILINE)
# Other files have a name too: two of these must stand beside the id.
_OS_KEYS = re.compile(
    r"^[ \t]{0,16}(NAME|PRETTY_NAME|VERSION_ID|ID_LIKE|HOME_URL|BUG_REPORT_URL|ANSI_COLOR|BUILD_ID)=",
    re.MULTILINE,
)
_OS_LINE = re.compile(r"^[ \t]{0,16}([A-Z][A-Z0-9_]{1,40}=.{0,300})$", re.MULTILINE)
# The kernel sets a tab before each colon, which may have become a blank.
_X86 = re.compile(r"^[ \t]{0,16}(?:vendor_id|cpu family|cpu MHz)[ \t]{1,16}: \S", re.MULTILINE)
_ARM = re.compile(r"^[ \t]{0,16}CPU (?:implementer|part)[ \t]{1,16}: 0x[0-9a-f]", re.MULTILINE)
_CPU_KEY = re.compile(
    r"^[ \t]{0,16}(model name|Model|flags|Features)[ \t]{0,16}: (\S.{0,8000})$", re.MULTILINE
)
_UNAME = re.compile(
    r"^[ \t]{0,16}(?:\S{0,60}[$#>] ?uname -a ?\r?\n)?(Linux|Darwin|FreeBSD) \S{1,80} (\d\S{1,80})"
    r" (?:#\d|Darwin Kernel Version |FreeBSD ).{0,200}?"
    r"\b(x86_64|amd64|aarch64|arm64|armv7l|ppc64le|riscv64|i686)\b.{0,60}$",
    re.MULTILINE,
)
_WINDOWS_VERSION = re.compile(r"^[ \t]{0,16}Microsoft Windows \[Version 10\.0\.\d{1,6}", re.MULTILINE)
_SYSTEMINFO = re.compile(r"^[ \t]{0,16}OS Name: {1,40}Microsoft Windows .{1,80}$", re.MULTILINE)
_SYSTEM_TYPE = re.compile(r"^[ \t]{0,16}System Type: {1,40}(x64|ARM64|X86)-based PC", re.MULTILINE)
_VIRTUAL_MODEL = re.compile(
    r"^[ \t]{0,16}System Model: {1,40}(?:Virtual Machine|VMware|KVM|Standard PC)", re.MULTILINE
)
_WINDOWS_MACHINES = {"x64": "AMD64", "ARM64": "ARM64", "X86": "x86"}


def parse_os_release_text(text: str) -> SourceReport:
    """The distribution; lines that are no assignment are passed over."""
    lines = "\n".join(match[1] for match in _OS_LINE.finditer(text))
    distribution = parse_os_release(lines)
    return SourceReport(distribution=distribution, system="Linux" if distribution else None)


def parse_cpuinfo(text: str) -> SourceReport:
    """The first processor: its name, its flags, and whether it is 64-bit x86 or ARM."""
    keys: dict[str, str] = {}
    for match in _CPU_KEY.finditer(text):
        keys.setdefault(match[1], match[2].strip())
    flags = tuple((keys.get("flags") or keys.get("Features") or "").split())
    on_arm = _ARM.search(text) is not None
    machine = None
    if on_arm:
        machine = "aarch64" if "asimd" in flags else None
    elif "lm" in flags:
        machine = "x86_64"
    # On ARM `Model` is the board, such as a Raspberry Pi; only some kernels name the processor.
    system = "Linux" if keys else None
    return SourceReport(system=system, machine=machine, cpu_model=keys.get("model name"), cpu_flags=flags)


def parse_uname(text: str) -> SourceReport:
    """`uname -a`: the system, the machine, and what the kernel's release tells of WSL and of Jetson."""
    match = _UNAME.search(text)
    if match is None:
        return SourceReport()
    system, release, machine = match[1], match[2], match[3]
    conditions: list[Condition] = []
    wsl = parse_wsl_version(release, {})
    if wsl is not None:
        conditions.append(build_wsl(wsl))
    if wsl == 1:
        conditions.append(build_plain(ConditionId.WSL1))
    if system == "Linux" and machine == "aarch64":
        conditions.append(build_plain(ConditionId.AARCH64))
    if release.endswith("-tegra"):
        conditions.append(build_plain(ConditionId.JETSON))
    if system == "FreeBSD":
        conditions.append(build_plain(ConditionId.FREEBSD))
    if system == "Darwin":
        conditions.append(build_plain(ConditionId.MACOS))
    apple = system == "Darwin" and machine == "arm64"
    return SourceReport(
        system=system, machine=machine, conditions=tuple(conditions), vendor=Vendor.APPLE if apple else None
    )


def parse_windows_version(text: str) -> SourceReport:
    """`ver` and `systeminfo`: that it is Windows, on which processor, and whether a virtual machine."""
    kind = _SYSTEM_TYPE.search(text)
    conditions = [build_plain(ConditionId.WINDOWS)]
    if _VIRTUAL_MODEL.search(text):
        conditions.append(build_plain(ConditionId.VM))
    return SourceReport(
        system="Windows", machine=_WINDOWS_MACHINES[kind[1]] if kind else None, conditions=tuple(conditions)
    )


def _recognise_os_release(text: str) -> bool:
    return _OS_ID.search(text) is not None and len(set(_OS_KEYS.findall(text))) >= 2


def _recognise_cpuinfo(text: str) -> bool:
    if _CPU_KEY.search(text) is None:
        return False
    return _ARM.search(text) is not None or _X86.search(text) is not None


def _recognise_uname(text: str) -> bool:
    return _UNAME.search(text) is not None


def _recognise_windows(text: str) -> bool:
    return _WINDOWS_VERSION.search(text) is not None or _SYSTEMINFO.search(text) is not None


SOURCES = (
    TextSource(kind="os-release", recognise=_recognise_os_release, parse=parse_os_release_text),
    TextSource(kind="cpuinfo", recognise=_recognise_cpuinfo, parse=parse_cpuinfo),
    TextSource(kind="uname", recognise=_recognise_uname, parse=parse_uname),
    TextSource(kind="windows-version", recognise=_recognise_windows, parse=parse_windows_version),
)
