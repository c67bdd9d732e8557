"""Child script: asks NVML what it knows of the GPUs and prints one JSON document.

A broken driver can hang or crash whoever calls NVML, so this runs in an interpreter of its own. It imports
nothing of `provision`: the JSON and the exit code are the whole interface.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SCHEMA = 1
EXIT_GPUS = 0
EXIT_NO_LIBRARY = 3
EXIT_NO_GPUS = 4
EXIT_REFUSED = 5


class Asker:
    """Calls NVML; what it refuses becomes None, and the refusal is kept with NVML's name for it."""

    def __init__(self, nvml: Any) -> None:
        self.nvml = nvml
        self.errors: list[dict[str, object]] = []

    def ask(self, call: str, *arguments: Any, gpu: int | None = None) -> Any:
        """The answer of the NVML function `call`, or None when it raised an NVMLError."""
        try:
            return getattr(self.nvml, call)(*arguments)
        except self.nvml.NVMLError as error:
            name = name_error(self.nvml, error.value)
        except UnicodeDecodeError as error:  # pynvml decodes names and versions strictly
            name = str(error)
        self.errors.append({"call": call, "gpu": gpu, "error": name})
        return None


def name_error(nvml: Any, code: int) -> str:
    """NVML's constant for an error code, such as NVML_ERROR_GPU_IS_LOST."""
    names = (name for name, value in vars(nvml).items() if name.startswith("NVML_ERROR_") and value == code)
    return next(names, f"NVML_ERROR_{code}")


def read_nvml(nvml: Any) -> tuple[dict[str, object], int]:
    """The document and the exit code. Sizes in bytes; the CUDA version is 1000 x major + 10 x minor."""
    asker = Asker(nvml)
    document: dict[str, object] = {"schema": SCHEMA, "errors": asker.errors}
    asker.ask("nvmlInit")
    if asker.errors:
        lacking = asker.errors[0]["error"] == "NVML_ERROR_LIBRARY_NOT_FOUND"
        return document, EXIT_NO_LIBRARY if lacking else EXIT_REFUSED
    document["driver_version"] = asker.ask("nvmlSystemGetDriverVersion")
    # The second form reads libcuda's own version and fails without libcuda; the first then still knows.
    document["cuda_driver_version"] = asker.ask("nvmlSystemGetCudaDriverVersion_v2") or asker.ask(
        "nvmlSystemGetCudaDriverVersion"
    )
    document["gpu_count"] = count = asker.ask("nvmlDeviceGetCount")
    gpus = [gpu for index in range(count or 0) if (gpu := read_gpu(asker, index)) is not None]
    document["gpus"] = gpus
    return document, EXIT_GPUS if gpus else EXIT_NO_GPUS


def read_gpu(asker: Asker, index: int) -> dict[str, object] | None:
    """One GPU, or None when NVML gives no handle to it."""
    handle = asker.ask("nvmlDeviceGetHandleByIndex", index, gpu=index)
    if handle is None:
        return None

    def ask(call: str, pick: Callable[[Any], object] = lambda answer: answer) -> object:
        answer = asker.ask(call, handle, gpu=index)
        return None if answer is None else pick(answer)

    memory = asker.ask("nvmlDeviceGetMemoryInfo", handle, gpu=index)
    return {
        "index": index,
        "name": ask("nvmlDeviceGetName"),
        "uuid": ask("nvmlDeviceGetUUID"),
        "memory_total_bytes": None if memory is None else memory.total,
        "memory_used_bytes": None if memory is None else memory.used,
        "compute_capability": ask("nvmlDeviceGetCudaComputeCapability", list),
        "mig_enabled": ask("nvmlDeviceGetMigMode", lambda modes: modes[0] == 1),
        "pci_bus_id": ask("nvmlDeviceGetPciInfo", lambda info: info.busId),
    }


def main() -> int:
    """Prints the document; says by its exit code whether GPUs were read."""
    import json

    import pynvml

    document, code = read_nvml(pynvml)
    print(json.dumps(document), flush=True)
    return code


if __name__ == "__main__":
    # Not nvmlShutdown and not the interpreter's own clean-up: both can hang on a driver that is in trouble.
    import os

    os._exit(main())
