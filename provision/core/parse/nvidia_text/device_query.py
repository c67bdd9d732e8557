"""The sample `deviceQuery` of the CUDA toolkit."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from provision.core.parse.conditions import build_no_devices
from provision.core.parse.nvidia_text.answers import build_all, read_version
from provision.core.parse.source_report import SourceReport
from provision.model.facts import Condition, ConditionId, Gpu

_LINE_LIMIT = 400
_DEVICE = re.compile(r'Device (\d{1,3}):(?: "([^"]{1,100})"|\s{0,20}$)')
# `deviceQueryDrv` knows no runtime.
_VERSIONS = re.compile(
    r"CUDA Driver Version(?: / Runtime Version|:)\s+(\d{1,3}\.\d{1,2})(?: / (\d{1,3}\.\d{1,2}))?"
)
_CAPABILITY = re.compile(r"CUDA Capability Major/Minor version number:\s+(\d{1,2}\.\d)")
_MEMORY = re.compile(r"Total amount of global memory:\s+(\d{1,9}) MBytes")
_ADDRESS = re.compile(r"Device PCI Domain ID / Bus ID / location ID:\s+(\d{1,5}) / (\d{1,3}) / (\d{1,2})\b")
_SHARED = re.compile(r"Integrated GPU sharing Host Memory:\s+Yes")
_WINDOWS = re.compile(r"CUDA Device Driver Mode \(TCC or WDDM\):\s+(\w{1,10})")
# JetPack 6, the last with CUDA 12 for Orin, has a driver for 12.6; a newer 12 comes from cuda-compat.
# https://docs.nvidia.com/cuda/cuda-for-tegra-appnote/#cuda-upgradable-package-for-jetson
_ORIN_CUDA = (12, 6)


class _Device(Struct, kw_only=True):
    name: str | None
    capability: str | None = None
    memory_mib: int | None = None
    bus_id: str | None = None
    integrated: bool | None = None


def is_device_query(text: str) -> bool:
    """Whether a line of it is there that no other program prints."""
    return _CAPABILITY.search(text) is not None or "CUDA Device Query (" in text


def parse_device_query(text: str) -> SourceReport:
    """The devices as the CUDA runtime sees them: a part of the machine where CUDA_VISIBLE_DEVICES selects."""
    devices: dict[str, _Device] = {}
    current = _Device(name="")
    cuda = runtime = None
    failed = "Result = FAIL" in text
    ids: list[ConditionId] = [ConditionId.ERROR] if failed else []
    for raw in text.split("\n"):
        line = raw[:_LINE_LIMIT]
        if found := _DEVICE.search(line):
            current = devices.setdefault(found[1], _Device(name=found[2]))
        elif found := _VERSIONS.search(line):
            cuda, runtime = found[1], found[2]
        elif found := _WINDOWS.search(line):
            ids.append(ConditionId.WDDM if found[1].startswith("WDDM") else ConditionId.WINDOWS)
        else:
            _read_line(current, line)
    gpus = tuple(_build_gpu(device) for device in devices.values())
    if any(gpu.compute_capability == "8.7" for gpu in gpus) and _is_beyond_orin(cuda):
        ids.append(ConditionId.CUDA_COMPAT)
    windows = ConditionId.WDDM in ids or ConditionId.WINDOWS in ids
    return SourceReport(
        gpus=gpus,
        cuda_driver_version=read_version(cuda),
        conditions=(*_judge_failure(text), *build_all(ids)),
        nvidia=bool(gpus) or failed,
        system="Windows" if windows else None,
        versions={"cuda_runtime": runtime} if runtime else {},
    )


def _judge_failure(text: str) -> Iterator[Condition]:
    """What the runtime says when it counts the devices, as the program prints it behind an arrow."""
    if "no CUDA-capable device is detected" in text:
        yield build_no_devices("deviceQuery")
    elif "driver version is insufficient for CUDA runtime version" in text:
        message = "The CUDA runtime finds no driver, or one that is older than itself."
        yield Condition(id=ConditionId.DRIVER_NOT_LOADED, message=message)


def _read_line(device: _Device, line: str) -> None:
    if found := _CAPABILITY.search(line):
        device.capability = found[1]
    elif found := _MEMORY.search(line):
        device.memory_mib = int(found[1])  # of 2**20 bytes, rounded
    elif found := _ADDRESS.search(line):
        domain, bus, slot = (int(part) for part in found.groups())
        device.bus_id = f"{domain:08X}:{bus:02X}:{slot:02X}.0"
    elif _SHARED.search(line):
        device.integrated = True


def _build_gpu(device: _Device) -> Gpu:
    return Gpu(
        name=device.name,
        memory_mib=device.memory_mib,
        compute_capability=device.capability,
        pci_bus_id=device.bus_id,
        integrated=device.integrated,
    )


def _is_beyond_orin(cuda: str | None) -> bool:
    if cuda is None:
        return False
    major, minor = (int(part) for part in cuda.split("."))
    return major == _ORIN_CUDA[0] and minor > _ORIN_CUDA[1]
