"""What the child that talks to NVML makes of its answers and refusals."""

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
                }
            ],
        },
        nvml_reader.EXIT_GPUS,
    )


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
