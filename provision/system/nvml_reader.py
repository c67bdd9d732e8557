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

# What a GPU or an old driver does not offer is no refusal worth keeping.
NOT_OFFERED = ("NVML_ERROR_NOT_SUPPORTED", "NVML_ERROR_FUNCTION_NOT_FOUND", "NVML_ERROR_NOT_FOUND")
# NVML_GPU_VIRTUALIZATION_MODE_* and NVML_DRIVER_* of nvml.h, in their order.
VIRTUALIZATION_MODES = ("none", "passthrough", "vgpu", "host-vgpu", "host-vsga")
DRIVER_MODELS = ("wddm", "tcc", "mcdm")
# The inode of the first PID namespace, PROC_PID_INIT_INO in the kernel's include/linux/proc_ns.h.
FIRST_PID_NAMESPACE = "pid:[4026531836]"
PROCESS_LIMIT = 64


class Asker:
    """Calls NVML; what it refuses becomes None, and the refusal is kept with NVML's name for it.

    `errors` are refusals of what every GPU can tell, `refusals` those of details that few can.
    """

    def __init__(self, nvml: Any) -> None:
        self.nvml = nvml
        self.errors: list[dict[str, object]] = []
        self.refusals: list[dict[str, object]] = []

    def ask(self, call: str, *arguments: Any, gpu: int | None = None) -> Any:
        """The answer of the NVML function `call`, or None when it raised an NVMLError."""
        answer, error = self._call(call, arguments)
        if error is not None:
            self.errors.append({"call": call, "gpu": gpu, "error": error})
        return answer

    def ask_detail(self, call: str, *arguments: Any, gpu: int | None = None) -> Any:
        """Like `ask`, for what may well not be offered: that is no error, and is not kept."""
        answer, error = self._call(call, arguments)
        if error is not None and error not in NOT_OFFERED:
            self.refusals.append({"call": call, "gpu": gpu, "error": error})
        return answer

    def _call(self, call: str, arguments: tuple[Any, ...]) -> tuple[Any, str | None]:
        try:
            return getattr(self.nvml, call)(*arguments), None
        except self.nvml.NVMLError as error:
            return None, name_error(self.nvml, error.value)
        except UnicodeDecodeError as error:  # pynvml decodes names and versions strictly
            return None, str(error)
        except AttributeError:  # an older nvidia-ml-py lacks the function
            return None, "NVML_ERROR_FUNCTION_NOT_FOUND"
        except Exception as error:
            # nvidia-ml-py raises NVMLLibraryMismatchError, which is no NVMLError, where the driver is older.
            if type(error).__name__ != "NVMLLibraryMismatchError":
                raise
            return None, "NVML_ERROR_FUNCTION_NOT_FOUND"


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
    document["refusals"] = asker.refusals
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
    mig_enabled = ask("nvmlDeviceGetMigMode", lambda modes: modes[0] == 1)
    return {
        "index": index,
        "name": ask("nvmlDeviceGetName"),
        "uuid": ask("nvmlDeviceGetUUID"),
        "memory_total_bytes": None if memory is None else memory.total,
        "memory_used_bytes": None if memory is None else memory.used,
        "compute_capability": ask("nvmlDeviceGetCudaComputeCapability", list),
        "mig_enabled": mig_enabled,
        "pci_bus_id": ask("nvmlDeviceGetPciInfo", lambda info: info.busId),
        "mig_instances": read_mig_instances(asker, handle, index) if mig_enabled else None,
        **read_modes(asker, handle, index),
        "processes": read_processes(asker, handle, index),
    }


def read_modes(asker: Asker, handle: Any, index: int) -> dict[str, object]:
    """How the GPU is run: in words of ours, None where NVML does not say."""

    def ask(call: str) -> Any:
        return asker.ask_detail(call, handle, gpu=index)

    ecc = ask("nvmlDeviceGetEccMode")
    # GeForce cards have ECC switched off as they are sold: off says something only where on is the default.
    by_default = ask("nvmlDeviceGetDefaultEccMode") if ecc is not None and ecc[0] == 0 else None
    models = ask("nvmlDeviceGetDriverModel")
    return {
        "virtualization": choose_word(VIRTUALIZATION_MODES, ask("nvmlDeviceGetVirtualizationMode")),
        "driver_model": choose_word(DRIVER_MODELS, None if models is None else models[0]),
        "ecc_enabled": None if ecc is None else ecc[0] == 1,
        "ecc_default": None if by_default is None else by_default[0] == 1,
    }


def read_mig_instances(asker: Asker, handle: Any, index: int) -> list[dict[str, object]]:
    """The MIG devices of a GPU: a process can use one of them. Sizes in bytes."""
    instances: list[dict[str, object]] = []
    for slot in range(asker.ask_detail("nvmlDeviceGetMaxMigDeviceCount", handle, gpu=index) or 0):
        device = asker.ask_detail("nvmlDeviceGetMigDeviceHandleByIndex", handle, slot, gpu=index)
        if device is None:
            continue
        memory = asker.ask_detail("nvmlDeviceGetMemoryInfo", device, gpu=index)
        instances.append(
            {
                "uuid": asker.ask_detail("nvmlDeviceGetUUID", device, gpu=index),
                "name": asker.ask_detail("nvmlDeviceGetName", device, gpu=index),
                "memory_total_bytes": None if memory is None else memory.total,
            }
        )
    return instances


def read_processes(asker: Asker, handle: Any, index: int) -> list[dict[str, object]] | None:
    """Who holds memory of the GPU, each process once, the largest first; None where NVML does not say."""
    found: dict[int, dict[str, object]] = {}
    answers = [
        asker.ask_detail(f"nvmlDeviceGet{kind}RunningProcesses", handle, gpu=index)
        for kind in ("Compute", "Graphics")
    ]
    for process in (process for answer in answers for process in answer or ()):
        size = process.usedGpuMemory
        found.setdefault(process.pid, {"pid": process.pid, "name": None, "memory_bytes": size})
    if all(answer is None for answer in answers):
        return None
    largest = sorted(found.values(), key=lambda entry: -(entry["memory_bytes"] or 0))[:PROCESS_LIMIT]  # type: ignore[operator]
    named = can_name_processes()
    return [{**entry, "name": read_process_name(entry["pid"]) if named else None} for entry in largest]


def can_name_processes() -> bool:
    """NVML gives process ids of the whole machine; in a container the same id is somebody else."""
    import os

    try:
        return os.readlink("/proc/self/ns/pid") == FIRST_PID_NAMESPACE  # noqa: PTH115 - as below
    except OSError:
        return False


def read_process_name(pid: object) -> str | None:
    """The program's short name, without its arguments, which may hold secrets."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - no pathlib: it costs time
            return file.read(64).strip() or None
    except OSError:
        return None


def choose_word(words: tuple[str, ...], number: Any) -> str | None:
    """The word for one of NVML's enumerated numbers; None for none and for those that came later."""
    return words[number] if isinstance(number, int) and 0 <= number < len(words) else None


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
