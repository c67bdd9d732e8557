"""Machines for tests: facts as parsing would give them."""

from __future__ import annotations

from provision.model.facts import Facts, Gpu, Host, Vendor

LINUX = Host(
    system="Linux", release="6.8.0", machine="x86_64", python_version="3.11.7", disk_free_bytes=10**12
)


def make_gpu(name: str, capability: str | None) -> Gpu:
    return Gpu(name=name, compute_capability=capability, memory_mib=16303)


def make_facts(*gpus: Gpu, driver: str | None = "580.95.05", **changes: object) -> Facts:
    fields: dict[str, object] = {
        "vendor": Vendor.NVIDIA if gpus else Vendor.NONE,
        "gpus": gpus,
        "gpu_source": "nvml" if gpus else None,
        "driver": driver if gpus else None,
        "cuda_driver_version": "13.0" if gpus else None,
        "conditions": (),
        "host": LINUX,
    }
    return Facts(**(fields | changes))  # type: ignore[arg-type]
