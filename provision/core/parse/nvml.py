"""The JSON of `provision/system/nvml_reader.py`."""

from __future__ import annotations

from msgspec import Struct

from provision.core.parse.conditions import (
    build_driver_library_mismatch,
    build_driver_not_loaded,
    build_excerpt,
    build_gpu_lost,
    build_no_devices,
    build_nvml_error,
    build_nvml_timeout,
)
from provision.core.parse.json_text import parse_json
from provision.core.parse.nvml_details import parse_nvml_details
from provision.core.parse.source_report import SourceReport, parse_version
from provision.model.facts import Condition, Gpu, Outcome, Reading

_MIB = 2**20
# What a GPU or an old driver does not offer is no fault: a GeForce has no MIG.
_NO_FAULT = ("NVML_ERROR_NOT_SUPPORTED", "NVML_ERROR_FUNCTION_NOT_FOUND", "NVML_ERROR_LIBRARY_NOT_FOUND")

_SILENT = "it answered, but said nothing of GPUs"


class NvmlError(Struct, frozen=True, kw_only=True):
    """A call that NVML refused; `gpu` is the index where it concerned one."""

    call: str
    error: str
    gpu: int | None = None


class NvmlGpu(Struct, frozen=True, kw_only=True):
    """One GPU. What NVML refused is None."""

    index: int
    name: str | None = None
    uuid: str | None = None
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    compute_capability: tuple[int, int] | None = None
    mig_enabled: bool | None = None
    pci_bus_id: str | None = None


class NvmlDocument(Struct, frozen=True, kw_only=True):
    """All of it. `cuda_driver_version` is 1000 x major + 10 x minor."""

    driver_version: str | None = None
    cuda_driver_version: int | None = None
    gpu_count: int | None = None
    gpus: tuple[NvmlGpu, ...] = ()
    errors: tuple[NvmlError, ...] = ()


def parse_nvml(reading: Reading | None) -> SourceReport:
    """What NVML said, or why it said nothing. Never raises for bad text."""
    if reading is None or reading.outcome is Outcome.ABSENT:
        return SourceReport(found=False)
    if reading.outcome is Outcome.TIMEOUT:
        return SourceReport(conditions=(build_nvml_timeout(reading),))
    document = parse_json(reading.text, NvmlDocument)
    if document is None:
        return SourceReport(conditions=(build_nvml_error(_describe_death(reading)),))
    gpus = tuple(_build_gpu(gpu) for gpu in document.gpus)
    conditions = [_judge_error(error) for error in document.errors if _is_fault(error)]
    if not gpus and not conditions:
        conditions = [build_no_devices("NVML") if document.gpu_count == 0 else build_nvml_error(_SILENT)]
    return SourceReport(
        gpus=gpus,
        driver=parse_version(document.driver_version),
        cuda_driver_version=_render_cuda_version(document.cuda_driver_version),
        conditions=(*conditions, *parse_nvml_details(reading.text)),
        nvidia=True,
    )


def _build_gpu(gpu: NvmlGpu) -> Gpu:
    capability = gpu.compute_capability
    return Gpu(
        name=gpu.name,
        uuid=gpu.uuid,
        memory_mib=None if gpu.memory_total_bytes is None else gpu.memory_total_bytes // _MIB,
        memory_used_mib=None if gpu.memory_used_bytes is None else gpu.memory_used_bytes // _MIB,
        compute_capability=None if capability is None else f"{capability[0]}.{capability[1]}",
        mig_enabled=gpu.mig_enabled,
        pci_bus_id=gpu.pci_bus_id,
    )


def _is_fault(error: NvmlError) -> bool:
    return error.call == "nvmlInit" or error.error not in _NO_FAULT


def _judge_error(error: NvmlError) -> Condition:
    match error.error:
        case "NVML_ERROR_LIB_RM_VERSION_MISMATCH":
            return build_driver_library_mismatch(None)
        case "NVML_ERROR_DRIVER_NOT_LOADED":
            return build_driver_not_loaded()
        case "NVML_ERROR_GPU_IS_LOST":
            return build_gpu_lost("a GPU" if error.gpu is None else f"GPU {error.gpu}")
        case name:
            which = "" if error.gpu is None else f" for GPU {error.gpu}"
            return build_nvml_error(f"{error.call} gave {name}{which}")


def _render_cuda_version(version: int | None) -> str | None:
    return f"{version // 1000}.{version % 1000 // 10}" if version else None


def _describe_death(reading: Reading) -> str:
    last = reading.error.strip().rsplit("\n", 1)[-1]
    said = f" and said {build_excerpt(last)}" if last else ""
    return f"its reader ended with exit code {reading.exit_code}{said}"
