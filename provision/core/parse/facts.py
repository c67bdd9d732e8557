"""From a probe to the facts of a machine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from provision.core.architecture import GpuNames, build_identity
from provision.core.parse.conditions import (
    build_compute_capability_by_name,
    build_compute_capability_unknown,
    build_container,
    build_cuda_visible_devices,
    build_gpu_not_answering,
    build_gpu_unknown,
    build_mig_enabled,
    build_mixed_gpus,
    build_no_gpu,
    build_wsl,
)
from provision.core.parse.host import parse_environment, parse_host
from provision.core.parse.nvidia_smi import parse_nvidia_smi
from provision.core.parse.nvml import parse_nvml
from provision.core.parse.pci import PciReport, parse_pci
from provision.core.parse.source_report import SourceReport
from provision.model.facts import Condition, ConditionId, Facts, Gpu, Host, Probe, Reading, Vendor

# The kernel module does not load without a GPU, so these contradict a bus that shows none.
_DRIVER_IS_LOADED = (ConditionId.DRIVER_MISMATCH, ConditionId.GPU_LOST, ConditionId.NO_DEVICE)
_MODULE_VERSION = re.compile(r"\b\d{2,4}\.\d{1,3}(?:\.\d{1,3})?\b")


def parse_probe(probe: Probe, names: GpuNames | None = None) -> Facts:
    """What the probe means. Never raises for what a source printed: that becomes a condition.

    `names` are the rules of `profiles/gpus.yaml`; they are looked at only for a GPU whose driver does not
    tell the compute capability, and without them it stays unknown.
    """
    host = parse_host(probe)
    sources = {
        "nvml": parse_nvml(probe.get("nvml")),
        "nvidia-smi": parse_nvidia_smi(probe.get("nvidia-smi-csv"), probe.get("nvidia-smi-xml")),
    }
    reports = list(sources.values())
    pci = parse_pci(probe.get("pci"), host)
    module = parse_module_version(probe.get("nvidia-module"))
    source = next((name for name, report in sources.items() if report.gpus), None)
    found = () if source is None else sources[source].gpus
    gpus = tuple(build_identity(gpu, names) for gpu in found)
    vendor, verdict = _judge_presence(gpus, reports, pci, module)
    environment = parse_environment(probe)
    conditions = (
        *_merge(report.conditions for report in reports),
        *verdict,
        *_judge_gpus(gpus),
        *_judge_host(host, environment.get("CUDA_VISIBLE_DEVICES")),
    )
    return Facts(
        vendor=vendor,
        gpus=gpus,
        gpu_source=source,
        driver=next((report.driver for report in reports if report.driver), module),
        cuda_driver_version=next((r.cuda_driver_version for r in reports if r.cuda_driver_version), None),
        conditions=conditions,
        host=host,
    )


def parse_module_version(reading: Reading | None) -> str | None:
    """The kernel module's version from `/sys/module/nvidia/version` or `/proc/driver/nvidia/version`."""
    match = _MODULE_VERSION.search("" if reading is None else reading.text)
    return None if match is None else match[0]


def _judge_presence(
    gpus: Sequence[Gpu], reports: Sequence[SourceReport], pci: PciReport, module: str | None
) -> tuple[Vendor | None, tuple[Condition, ...]]:
    """Whose GPU it is, and what is to be said when none was read: none, not answering, or not known."""
    if gpus:
        return Vendor.NVIDIA, ()
    said = {condition.id for report in reports for condition in report.conditions}
    if pci.nvidia:
        return Vendor.NVIDIA, () if ConditionId.NO_DEVICE in said else (build_gpu_not_answering(pci.nvidia),)
    loaded = module is not None or not said.isdisjoint(_DRIVER_IS_LOADED)
    if pci.conclusive and not loaded:
        return Vendor.NONE, (build_no_gpu("the PCI bus shows none"),)
    if loaded or any(report.nvidia for report in reports):
        return Vendor.NVIDIA, () if ConditionId.NO_DEVICE in said else (build_gpu_unknown(),)
    if any(report.found for report in reports):
        return None, (build_gpu_unknown(),)
    return Vendor.NONE, (build_no_gpu("neither NVIDIA's driver library nor nvidia-smi is on this machine"),)


def _merge(groups: Iterable[Sequence[Condition]]) -> tuple[Condition, ...]:
    """Every condition of the first source, and of each later one those of a kind that is new."""
    merged: list[Condition] = []
    for group in groups:
        known = {condition.id for condition in merged}
        merged.extend(condition for condition in group if condition.id not in known)
    return tuple(merged)


def _judge_gpus(gpus: Sequence[Gpu]) -> Iterator[Condition]:
    if len({(gpu.name, gpu.best_compute_capability) for gpu in gpus}) > 1:
        yield build_mixed_gpus(gpus)
    for index, gpu in enumerate(gpus):
        if gpu.mig_enabled:
            yield build_mig_enabled(index, gpu)
    # One sentence for each kind of GPU, not for each GPU.
    for gpu in {gpu.name: gpu for gpu in gpus if gpu.compute_capability is None}.values():
        if gpu.compute_capability_by_name is None:
            yield build_compute_capability_unknown(gpu)
        else:
            yield build_compute_capability_by_name(gpu)


def _judge_host(host: Host, cuda_visible_devices: str | None) -> Iterator[Condition]:
    if cuda_visible_devices is not None:
        yield build_cuda_visible_devices(cuda_visible_devices)
    if host.wsl is not None:
        yield build_wsl(host.wsl)
    if host.container is not None:
        yield build_container(host.container)
