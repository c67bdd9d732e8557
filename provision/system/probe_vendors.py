"""What to ask of AMD's, Intel's, Apple's and Windows' own programs, and when it is worth asking."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from provision.model.facts import Outcome, Reading
from provision.system.probe_program import Question

# PCI vendor ids as sysfs writes them.
AMD = "0x1002"
INTEL = "0x8086"
# What WSL shows of the GPU of Windows.
_HYPER_V = "0x1414"

# `static` takes these options since ROCm 6.1; without options it reads the firmware too, slowly.
# https://rocm.docs.amd.com/projects/amdsmi/en/docs-6.1.2/how-to/using-AMD-SMI-CLI-tool.html
_AMD = (
    Question(source="rocminfo", name="rocminfo", trusted=("usr/bin/rocminfo", "opt/rocm/bin/rocminfo")),
    Question(
        source="amd-smi-static",
        name="amd-smi",
        trusted=("usr/bin/amd-smi", "opt/rocm/bin/amd-smi"),
        arguments=("static", "--asic", "--driver", "--vram"),
    ),
    Question(
        source="rocm-smi",
        name="rocm-smi",
        trusted=("usr/bin/rocm-smi", "opt/rocm/bin/rocm-smi"),
        arguments=("--showproductname", "--showmeminfo", "vram", "--showdriverversion", "--json"),
    ),
)
_INTEL = (
    Question(source="xpu-smi", name="xpu-smi", trusted=("usr/bin/xpu-smi",), arguments=("discovery",)),
    Question(source="sycl-ls", name="sycl-ls", trusted=("opt/intel/oneapi/compiler/latest/bin/sycl-ls",)),
)
_MACOS = (
    Question(
        source="system_profiler",
        name="system_profiler",
        trusted=("usr/sbin/system_profiler",),
        arguments=("SPDisplaysDataType",),
    ),
    Question(
        source="sysctl",
        name="sysctl",
        trusted=("usr/sbin/sysctl",),
        arguments=("hw.model", "hw.machine", "hw.memsize", "hw.ncpu", "machdep.cpu.brand_string"),
    ),
)
# Written from the documentation, never run. Wide, because Format-List folds at the width of a console.
_CIM_SCRIPT = (
    "[Console]::OutputEncoding=[Text.Encoding]::UTF8; Get-CimInstance Win32_VideoController | Format-List "
    "AdapterCompatibility,AdapterRAM,Caption,ConfigManagerErrorCode,CreationClassName,DriverVersion,Name,"
    "PNPDeviceID,Status,VideoProcessor | Out-String -Width 4096"
)
_CIM = (
    Question(
        source="windows-cim",
        name="powershell.exe",
        trusted=("Windows/System32/WindowsPowerShell/v1.0/powershell.exe",),
        arguments=("-NoProfile", "-NonInteractive", "-Command", _CIM_SCRIPT),
    ),
)
# Gone from new installations of Windows 11, the only one in old installations of Windows.
_WMIC = (
    Question(
        source="windows-wmic",
        name="WMIC.exe",
        trusted=("Windows/System32/wbem/WMIC.exe",),
        arguments=("path", "Win32_VideoController", "get", "AdapterRAM,DriverVersion,Name,PNPDeviceID"),
    ),
)
LSPCI = Question(source="lspci-vmmnD", name="lspci", trusted=("usr/bin/lspci",), arguments=("-vmmnD",))


def build_vendor_questions(
    *, platform: str, vendors: Collection[str] | None, has_kfd: bool
) -> tuple[Question, ...]:
    """The programs that may know of GPUs which NVML does not.

    `vendors` are the PCI vendors of the display devices and accelerators, such as `0x1002`; None where the
    bus cannot be read or shows no device at all. There, and in WSL, every program is asked that is present.
    `has_kfd` is whether AMD's compute device is there.
    """
    if platform == "darwin":
        return _MACOS
    if platform == "win32":
        return _CIM
    if vendors is None or _HYPER_V in vendors:
        return (*_AMD, *_INTEL)
    amd = _AMD if has_kfd or AMD in vendors else ()
    intel = _INTEL if INTEL in vendors else ()
    return (*amd, *intel)


def build_later_questions(readings: Iterable[Reading], *, platform: str) -> tuple[Question, ...]:
    """What is asked only because an earlier answer was none: WMIC after CIM."""
    cim = next((reading for reading in readings if reading.source == "windows-cim"), None)
    failed = cim is not None and cim.outcome is not Outcome.OK
    return _WMIC if platform == "win32" and failed else ()
