"""What a job is measured by, and what is read off its device and its loaded model."""

from __future__ import annotations

import platform
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch


class Stopwatch:
    """`elapsed_s` of a `with` block, work on the device included."""

    def __init__(self, device: str) -> None:
        self.elapsed_s = 0.0
        self._gpu = find_gpu(device)

    def __enter__(self) -> Stopwatch:
        self._synchronize()
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._synchronize()
        self.elapsed_s = time.perf_counter() - self._start

    def _synchronize(self) -> None:
        if self._gpu is not None:
            self._gpu.synchronize()


def find_gpu(device: str) -> Any:
    """torch's module for a device such as `cuda:0`, `xpu` or `mps`; None for the CPU.

    A HIP build calls AMD's GPUs `cuda`.
    """
    kind = torch.device(device).type
    return getattr(torch, kind) if kind in ("cuda", "xpu", "mps") else None


def probe_device(device: str, *, threads: int | None) -> dict[str, Any]:
    """Compute something there, which starts its runtime, and say what it is. Raises whatever torch raises."""
    if threads is not None:
        torch.set_num_threads(threads)
    gpu = find_gpu(device)
    if hasattr(gpu, "set_device"):
        gpu.set_device(device)
    matrix = torch.ones(8, 8, device=device)
    if (matrix @ matrix).sum().item() != 512.0:
        raise ArithmeticError(f"{device} multiplies 8 x 8 ones wrongly")
    if gpu is None:
        return {"device_name": _read_cpu_name()}
    if not hasattr(gpu, "reset_peak_memory_stats"):
        # Metal's device is the chip that the processor is part of.
        return {"device_name": _read_cpu_name()}
    gpu.reset_peak_memory_stats(device)
    found = {"device_name": gpu.get_device_name(device)}
    # HIP answers with a target's digits, gfx1100 as 11.0, which would read as a capability of NVIDIA's.
    if gpu is torch.cuda and torch.version.hip is None:
        major, minor = gpu.get_device_capability(device)
        found["compute_capability"] = f"{major}.{minor}"
    return found


def is_usable(device: torch.device) -> bool:
    """False once the process has lost the device, as it does by a device-side assert."""
    try:
        return bool(torch.ones(1, device=device).item() == 1.0)
    except RuntimeError:
        return False


def describe_model(model: Any) -> dict[str, Any]:
    """dtype, attention and number of parameters as they are, whatever was asked for.

    The dtype is the one that most values have; attentions of several parts are joined by "+".
    """
    values: Counter[str] = Counter()
    for parameter in model.parameters():
        values[str(parameter.dtype).removeprefix("torch.")] += parameter.numel()
    configs = [module.config for module in model.modules() if hasattr(module, "config")]
    attentions = {getattr(config, "_attn_implementation", None) for config in configs}
    return {
        "dtype": values.most_common(1)[0][0],
        "attention": "+".join(sorted(name for name in attentions if name)) or None,
        "parameters": sum(values.values()),
    }


def read_peak_memory(device: str) -> dict[str, Any]:
    """The fields of the result that say how much memory the job took at most, in bytes.

    Metal counts no peak of tensors: what its driver holds for the process, which does not shrink meanwhile,
    stands for it.
    """
    gpu = find_gpu(device)
    if hasattr(gpu, "max_memory_allocated"):
        return {
            "peak_memory_bytes": gpu.max_memory_allocated(device),
            "peak_memory_kind": "vram",
            "peak_reserved_bytes": gpu.max_memory_reserved(device),
        }
    if gpu is not None:
        return {"peak_memory_bytes": gpu.driver_allocated_memory(), "peak_memory_kind": "metal"}
    peak_bytes = _read_status("VmHWM") or _read_max_rss_bytes()
    return {"peak_memory_bytes": peak_bytes, "peak_memory_kind": "rss"} if peak_bytes else {}


def read_resident_bytes() -> int | None:
    """The process's resident set now; None where the system does not tell it in a file."""
    return _read_status("VmRSS")


def _read_status(key: str) -> int | None:
    """A figure of this process's own memory. `getrusage` would count what a parent had before an exec."""
    path = Path("/proc/self/status")
    if not path.exists():
        return None
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return None


def _read_max_rss_bytes() -> int | None:
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _read_cpu_name() -> str | None:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or None
