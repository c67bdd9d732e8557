"""What the child that talks to NVML makes of its answers and refusals."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from provision.system import nvml_reader


class _NvmlError(Exception):
    def __init__(self, value):
        super().__init__(value)
        self.value = value


def _build_nvml(**functions):
    """A stand-in for nvidia-ml-py: what is not given is refused as not supported."""

    class Nvml(SimpleNamespace):
        def __getattr__(self, name):
            def refuse(*_):
                raise _NvmlError(3)

            return refuse

    return Nvml(
        NVMLError=_NvmlError,
        NVML_ERROR_NOT_SUPPORTED=3,
        NVML_ERROR_NO_PERMISSION=4,
        NVML_ERROR_NOT_FOUND=6,
        NVML_ERROR_LIBRARY_NOT_FOUND=12,
        NVML_ERROR_GPU_IS_LOST=15,
        **functions,
    )


def _refuse(code):
    def call(*_):
        raise _NvmlError(code)

    return call


def test_the_reader_keeps_what_is_refused():
    nvml = _build_nvml(
        nvmlInit=lambda: None,
        nvmlSystemGetDriverVersion=lambda: "580.95.05",
        nvmlSystemGetCudaDriverVersion_v2=_refuse(12),
        nvmlSystemGetCudaDriverVersion=lambda: 13000,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index if index == 0 else _refuse(15)(),
        nvmlDeviceGetName=lambda _: "NVIDIA H200",
        nvmlDeviceGetMemoryInfo=lambda _: SimpleNamespace(total=150754820096, used=1),
        nvmlDeviceGetCudaComputeCapability=lambda _: (9, 0),
        nvmlDeviceGetMigMode=lambda _: [1, 1],
        nvmlDeviceGetMaxMigDeviceCount=lambda _: 2,
        nvmlDeviceGetMigDeviceHandleByIndex=_refuse(6),
        nvmlDeviceGetComputeRunningProcesses=_refuse(4),
    )
    assert nvml_reader.read_nvml(nvml) == (
        {
            "schema": 1,
            "errors": [
                {
                    "call": "nvmlSystemGetCudaDriverVersion_v2",
                    "gpu": None,
                    "error": "NVML_ERROR_LIBRARY_NOT_FOUND",
                },
                {"call": "nvmlDeviceGetUUID", "gpu": 0, "error": "NVML_ERROR_NOT_SUPPORTED"},
                {"call": "nvmlDeviceGetPciInfo", "gpu": 0, "error": "NVML_ERROR_NOT_SUPPORTED"},
                {"call": "nvmlDeviceGetHandleByIndex", "gpu": 1, "error": "NVML_ERROR_GPU_IS_LOST"},
            ],
            "driver_version": "580.95.05",
            "cuda_driver_version": 13000,
            "gpu_count": 2,
            "gpus": [
                {
                    "index": 0,
                    "name": "NVIDIA H200",
                    "uuid": None,
                    "memory_total_bytes": 150754820096,
                    "memory_used_bytes": 1,
                    "compute_capability": [9, 0],
                    "mig_enabled": True,
                    "pci_bus_id": None,
                    "mig_instances": [],
                    "virtualization": None,
                    "driver_model": None,
                    "ecc_enabled": None,
                    "ecc_default": None,
                    "processes": None,
                }
            ],
            "refusals": [
                {
                    "call": "nvmlDeviceGetComputeRunningProcesses",
                    "gpu": 0,
                    "error": "NVML_ERROR_NO_PERMISSION",
                }
            ],
        },
        nvml_reader.EXIT_GPUS,
    )


def _ask_one(**functions):
    nvml = _build_nvml(
        nvmlInit=lambda: None,
        nvmlSystemGetCudaDriverVersion_v2=lambda: 13000,
        nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda index: "card",
        **functions,
    )
    document, _ = nvml_reader.read_nvml(nvml)
    return document


def test_the_reader_tells_mig_instances():
    names = {"a": "NVIDIA H200 MIG 1g.18gb", "b": "NVIDIA H200 MIG 3g.71gb", "card": "NVIDIA H200"}
    slots = ["a", None, "b"]
    document = _ask_one(
        nvmlDeviceGetMigMode=lambda _: [1, 1],
        nvmlDeviceGetMaxMigDeviceCount=lambda _: 3,
        nvmlDeviceGetMigDeviceHandleByIndex=lambda _, slot: slots[slot] or _refuse(6)(),
        nvmlDeviceGetName=lambda device: names[device],
        nvmlDeviceGetUUID=lambda device: f"MIG-{device}",
        nvmlDeviceGetMemoryInfo=lambda device: SimpleNamespace(total=len(device), used=0),
    )
    assert document["gpus"][0]["mig_instances"] == [
        {"uuid": "MIG-a", "name": "NVIDIA H200 MIG 1g.18gb", "memory_total_bytes": 1},
        {"uuid": "MIG-b", "name": "NVIDIA H200 MIG 3g.71gb", "memory_total_bytes": 1},
    ]
    assert document["refusals"] == []


def test_the_reader_tells_how_a_gpu_is_run():
    gpu = _ask_one(
        nvmlDeviceGetVirtualizationMode=lambda _: 2,
        nvmlDeviceGetDriverModel=lambda _: [0, 1],
        nvmlDeviceGetEccMode=lambda _: [0, 0],
        nvmlDeviceGetDefaultEccMode=lambda _: [1],
    )["gpus"][0]
    names = ("virtualization", "driver_model", "ecc_enabled", "ecc_default")
    assert [gpu[name] for name in names] == ["vgpu", "wddm", False, True]


def test_a_mode_that_came_later_has_no_word():
    gpu = _ask_one(nvmlDeviceGetVirtualizationMode=lambda _: 7)["gpus"][0]
    assert gpu["virtualization"] is None


def _process(pid, size):
    return SimpleNamespace(pid=pid, usedGpuMemory=size)


def test_the_reader_names_who_holds_memory(monkeypatch):
    monkeypatch.setattr(nvml_reader, "can_name_processes", lambda: True)
    monkeypatch.setattr(nvml_reader, "read_process_name", {7: "python3", 8: None, 9: "Xorg"}.__getitem__)
    document = _ask_one(
        nvmlDeviceGetComputeRunningProcesses=lambda _: [_process(8, 10), _process(7, 2000)],
        nvmlDeviceGetGraphicsRunningProcesses=lambda _: [_process(7, 2000), _process(9, None)],
    )
    assert document["gpus"][0]["processes"] == [
        {"pid": 7, "name": "python3", "memory_bytes": 2000},
        {"pid": 8, "name": None, "memory_bytes": 10},
        {"pid": 9, "name": "Xorg", "memory_bytes": None},
    ]


def test_the_reader_names_nobody_in_a_container(monkeypatch):
    monkeypatch.setattr(nvml_reader, "can_name_processes", lambda: False)
    document = _ask_one(nvmlDeviceGetComputeRunningProcesses=lambda _: [_process(1, 10)])
    assert document["gpus"][0]["processes"] == [{"pid": 1, "name": None, "memory_bytes": 10}]


def test_a_driver_older_than_the_binding_is_no_crash():
    class NVMLLibraryMismatchError(Exception):
        pass

    def mismatch(_):
        raise NVMLLibraryMismatchError

    def miss(_):
        raise AttributeError("nvmlDeviceGetAddressingMode")

    document = _ask_one(nvmlDeviceGetComputeRunningProcesses=mismatch, nvmlDeviceGetAddressingMode=miss)
    assert (document["gpus"][0]["processes"], document["refusals"]) == (None, [])


def test_another_fault_is_not_hidden():
    def fail(_):
        raise TypeError("a bug")

    with pytest.raises(TypeError, match=r"^a bug$"):
        _ask_one(nvmlDeviceGetEccMode=fail)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_is_named_without_its_arguments():
    name = Path("/proc/self/comm").read_text(encoding="utf-8").strip()
    assert nvml_reader.read_process_name(os.getpid()) == name
    assert nvml_reader.read_process_name(2**31) is None


@pytest.mark.parametrize(
    ("code", "name", "exit_code"),
    [
        (12, "NVML_ERROR_LIBRARY_NOT_FOUND", nvml_reader.EXIT_NO_LIBRARY),
        (15, "NVML_ERROR_GPU_IS_LOST", nvml_reader.EXIT_REFUSED),
        (998, "NVML_ERROR_998", nvml_reader.EXIT_REFUSED),
    ],
)
def test_the_reader_is_refused_at_the_start(code, name, exit_code):
    assert nvml_reader.read_nvml(_build_nvml(nvmlInit=_refuse(code))) == (
        {"schema": 1, "errors": [{"call": "nvmlInit", "gpu": None, "error": name}]},
        exit_code,
    )


def test_the_reader_imports_nothing_of_provision():
    source = Path(nvml_reader.__file__).read_text(encoding="utf-8")
    assert [line for line in source.splitlines() if "import" in line and "provision" in line] == []
