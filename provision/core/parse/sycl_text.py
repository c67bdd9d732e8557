"""`sycl-ls`, plain and verbose: what oneAPI sees through each of its backends."""

from __future__ import annotations

import re
from collections.abc import Iterator

from provision.core.parse.device_listing import Listed, count_once
from provision.core.parse.json_excerpt import get_number
from provision.core.parse.plain_conditions import build_plain
from provision.core.parse.source_report import SourceReport, TextSource
from provision.model.facts import Condition, ConditionId, Gpu, Vendor

# `[level_zero:gpu][level_zero:0] Intel(R) ... Level-Zero, <device> <version> [<driver>]`, since 2024 with the
# backend twice, before as `[ext_oneapi_level_zero:gpu:0]`.
_DEVICE = re.compile(
    r"^[ \t]{0,16}\[(?:ext_oneapi_|ext_intel_)?(level_zero|opencl|cuda|hip|native_cpu)(?:_v2)?"
    r":(gpu|cpu|acc|fpga)(?::\d{1,3})?\]"
    r"(?:\[[a-z_0-9]{1,32}:\d{1,3}\])? ([^,\n]{1,100}), ?(.{1,300})$",
    re.MULTILINE,
)
_DRIVER = re.compile(r" {1,4}\[([^\[\]]{1,80})\][ \t]*$")
_DEVICE_VERSION = re.compile(
    r" {1,4}(?:OpenCL \d.{0,40}|\d{1,3}(?:\.\d{1,4}){1,3}|gfx[0-9a-f]{3,5}\S{0,40})[ \t]*$"
)
# The version of a release of Intel's compute runtime. Builds of others pad the last number (`23.43.027642`) and
# compare with no release; Level Zero prints the version of its interface (`1.3.29735`).
_RELEASE = re.compile(r"\d{2}\.\d{2}\.[1-9]\d{3,5}(?:\.\d{1,4})?")
_CUDA_CAPABILITY = re.compile(r" (\d{1,2}\.\d)[ \t]*$")
_HEX_NAME = re.compile(r"\[0x([0-9a-f]{4})\]", re.IGNORECASE)
_VERBOSE_KEYS = re.compile(
    r"^[ \t]{0,32}(?:Num SubDevices|info::device::sub_group_sizes|Architecture: intel_gpu_)", re.MULTILINE
)
_VERBOSE_SPLIT = re.compile(r"^[ \t]{0,32}(?:Platform|Device) \[#\d{1,3}\]:", re.MULTILINE)
# oneAPI's names of GPU architectures, by their beginning:
# https://github.com/intel/llvm/blob/sycl/sycl/doc/extensions/experimental/sycl_ext_oneapi_device_architecture.asciidoc
_ARCHITECTURES = (
    ("intel_gpu_bmg", "xe2-hpg"),
    ("intel_gpu_lnl", "xe2-lpg"),
    ("intel_gpu_ptl", "xe3-lpg"),
    ("intel_gpu_acm", "xe-hpg"),
    ("intel_gpu_dg2", "xe-hpg"),
    ("intel_gpu_pvc", "xe-hpc"),
    ("intel_gpu_mtl", "xe-lpg"),
    ("intel_gpu_arl", "xe-lpg"),
    ("intel_gpu_tgl", "xe-lp"),
    ("intel_gpu_rkl", "xe-lp"),
    ("intel_gpu_adl", "xe-lp"),
    ("intel_gpu_rpl", "xe-lp"),
    ("intel_gpu_dg1", "xe-lp"),
    ("intel_gpu_icl", "intel-gen11"),
    ("intel_gpu_kbl", "intel-gen9.5"),
    ("intel_gpu_cfl", "intel-gen9.5"),
    ("intel_gpu_cml", "intel-gen9.5"),
    ("intel_gpu_skl", "intel-gen9"),
)


def parse_sycl_ls(text: str) -> SourceReport:
    """The GPUs, each once although every backend lists it; `--verbose` adds ids and architecture."""
    matches = list(_DEVICE.finditer(text))
    blocks = list(_read_blocks(text)) if _VERBOSE_KEYS.search(text) else []
    drivers = [driver for match in matches if match[2] == "gpu" and (driver := _find_driver(match[4]))]
    drivers += [keys["Driver"] for _, keys in blocks]
    listed = [_build_listed(match) for match in matches if match[2] == "gpu"]
    listed += [Listed(through=f"verbose {platform}", gpu=_build_block(keys)) for platform, keys in blocks]
    gpus = count_once(_leave_out_mesa(listed))
    conditions = [build_plain(ConditionId.HEX_DEVICE_NAME)] if any(map(_is_hex_named, gpus)) else []
    vendor = None
    if not gpus and matches:
        conditions = [
            Condition(id=ConditionId.NO_DEVICE, message="sycl-ls lists no GPU."),
            build_plain(ConditionId.CPU_ONLY),
        ]
        vendor = Vendor.INTEL if any("Intel" in match[3] for match in matches) else Vendor.NONE
    return SourceReport(
        gpus=gpus,
        driver=next((driver for driver in drivers if _RELEASE.fullmatch(driver)), None),
        conditions=tuple(conditions),
        vendor=vendor,
    )


def parse_hex_id(name: str | None) -> str | None:
    """`8086:7d55` of "Intel(R) Graphics [0x7d55]", as a driver names what it has no name for yet."""
    match = _HEX_NAME.search(name or "")
    return None if match is None else f"8086:{match[1].lower()}"


def _leave_out_mesa(listed: list[Listed]) -> list[Listed]:
    """Without what Mesa's OpenCL lists in names of its own where the maker's driver lists the same GPUs."""
    others = [item for item in listed if not (item.gpu.name or "").startswith("Mesa ")]
    makers = {item.gpu.vendor for item in others}
    return others + [item for item in listed if item not in others and item.gpu.vendor not in makers]


def _is_hex_named(gpu: Gpu) -> bool:
    return parse_hex_id(gpu.name) is not None


def _find_driver(text: str) -> str | None:
    match = _DRIVER.search(text)
    return None if match is None else match[1]


def _build_listed(match: re.Match[str]) -> Listed:
    rest = _DRIVER.sub("", match[4]) if not _HEX_NAME.search(match[4][-12:]) else match[4]
    name = _DEVICE_VERSION.sub("", rest).strip()
    if match[1] == "cuda":
        capability = _CUDA_CAPABILITY.search(rest)
        gpu = Gpu(name=name, vendor=Vendor.NVIDIA, compute_capability=capability[1] if capability else None)
    elif match[1] == "hip":
        target = re.search(r"\bgfx[0-9a-f]{3,5}", rest)
        gpu = Gpu(name=name, vendor=Vendor.AMD, arch=target[0] if target else None)
    else:
        gpu = Gpu(name=name, vendor=_choose_vendor(f"{match[3]} {name}"), pci_id=parse_hex_id(name))
    return Listed(through=match[1], gpu=gpu)


def _choose_vendor(text: str) -> Vendor:
    """Through OpenCL, other makers' GPUs are listed too."""
    if "NVIDIA" in text:
        return Vendor.NVIDIA
    return Vendor.AMD if "AMD" in text or "gfx" in text else Vendor.INTEL


def _read_blocks(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """(number of the platform, keys) of each GPU in the verbose part. A device has a driver, a platform none."""
    platform = 0
    starts = list(_VERBOSE_SPLIT.finditer(text))
    edges = [(0, False)] + [(match.start(), "Platform" in match[0]) for match in starts]
    ends = [start for start, _ in edges[1:]] + [len(text)]
    for (start, is_platform), end in zip(edges, ends, strict=True):
        platform += is_platform
        keys: dict[str, str] = {}
        for line in text[start:end].splitlines():
            key, colon, value = (part.strip() for part in line.partition(":"))
            if colon and key.isidentifier():
                keys.setdefault(key, value)
        kind = keys.get("Type", "gpu")
        if (
            "Driver" in keys
            and "Name" in keys
            and kind == "gpu"
            and not re.search(r"CPU|Core\(TM\)|Xeon", keys["Name"])
        ):
            yield platform, keys


def _build_block(keys: dict[str, str]) -> Gpu:
    vendor = _choose_vendor(f"{keys.get('Vendor', '')} {keys['Name']}")
    device = get_number(keys.get("DeviceID"))
    told = keys.get("Architecture", "")
    pci_id = (
        f"8086:{device:04x}" if device is not None and device <= 0xFFFF and vendor is Vendor.INTEL else None
    )
    return Gpu(
        name=keys["Name"],
        vendor=vendor,
        arch=next((arch for start, arch in _ARCHITECTURES if told.startswith(start)), None),
        pci_id=pci_id or (parse_hex_id(keys["Name"]) if vendor is Vendor.INTEL else None),
    )


def _recognise_sycl_ls(text: str) -> bool:
    return _DEVICE.search(text) is not None or _VERBOSE_KEYS.search(text) is not None


SOURCES = (TextSource(kind="sycl-ls", recognise=_recognise_sycl_ls, parse=parse_sycl_ls),)
