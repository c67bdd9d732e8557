"""From a probe to the facts of a machine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from provision.core.architecture import GpuNames, build_identity
from provision.core.parse.conditions import (
    build_container,
    build_cuda_visible_devices,
    build_wsl,
)
from provision.core.parse.gpu_conditions import is_on_arm, is_splittable, judge_driver, judge_gpus
from provision.core.parse.gpu_merge import choose_gpus, judge_vendor
from provision.core.parse.host import parse_environment, parse_host
from provision.core.parse.pci import parse_pci
from provision.core.parse.plain_conditions import build_plain
from provision.core.parse.presence import judge_presence, leave_out_idle_cards
from provision.core.parse.reports import is_pasted, parse_form, parse_readings
from provision.core.parse.source_report import SourceReport
from provision.model.facts import Condition, ConditionId, Facts, Gpu, Host, Probe, Reading, Vendor

_NVIDIA_IS_IN = (Vendor.NVIDIA, Vendor.MIXED)
_MODULE_VERSION = re.compile(r"\b\d{2,4}\.\d{1,3}(?:\.\d{1,3})?\b")


def parse_probe(probe: Probe, names: GpuNames | None = None) -> Facts:
    """What the probe means, of this machine or of pasted text. Never raises for what a source printed.

    `names` are the rules of `profiles/gpus.yaml`; they are looked at only for what a GPU's own source does not
    tell, and without them that stays unknown. Of a pasted text nothing is concluded from what it lacks.
    """
    host = parse_host(probe)
    reports = parse_readings(probe, host)
    pasted = is_pasted(probe)
    choice = choose_gpus(reports if pasted else leave_out_idle_cards(reports, names))
    found = _apply_override(choice.gpus, reports.get("override"))
    gpus = tuple(build_identity(gpu, names) for gpu in found)
    module = parse_module_version(probe.get("nvidia-module"))
    verdict: tuple[Condition, ...] = ()
    vendor = _judge_pasted(gpus, reports)
    if not pasted:
        vendor, verdict = judge_presence(gpus, reports, parse_pci(probe.get("pci"), host), module)
    driver = next((report.driver for report in reports.values() if report.driver), module)
    cuda = next((r.cuda_driver_version for r in reports.values() if r.cuda_driver_version), None)
    host = _complete_host(host, reports, gpus) if pasted else host
    # Not split: so is nearly every live H200, and only in a pasted text it is worth a word.
    idle = (ConditionId.MIG_CAPABLE_DISABLED,) if pasted and is_splittable(gpus) else ()
    mixed = (ConditionId.MIXED_VENDORS,) if len(choice.vendors) > 1 else ()
    of_driver = judge_driver(driver, cuda, gpus) if vendor in _NVIDIA_IS_IN else ()
    of_host = _judge_host(host, parse_environment(probe).get("CUDA_VISIBLE_DEVICES"), gpus)
    return Facts(
        vendor=vendor,
        gpus=gpus,
        gpu_source=choice.source or ("override" if gpus else None),
        driver=driver,
        cuda_driver_version=cuda,
        conditions=_merge(
            (
                _build_all(parse_form(probe)),
                *(report.conditions for report in reports.values()),
                (*verdict, *judge_gpus(gpus, cuda, names)),
                (*_build_all((*mixed, *idle)), *of_driver, *of_host),
            )
        ),
        host=host,
        versions=_merge_versions(reports),
    )


def parse_module_version(reading: Reading | None) -> str | None:
    """The kernel module's version from `/sys/module/nvidia/version` or `/proc/driver/nvidia/version`."""
    match = _MODULE_VERSION.search("" if reading is None else reading.text)
    return None if match is None else match[0]


def _build_all(ids: Iterable[ConditionId]) -> tuple[Condition, ...]:
    return tuple(build_plain(condition_id) for condition_id in ids)


def _merge_versions(reports: Mapping[str, SourceReport]) -> dict[str, str]:
    """The first source that tells a version counts."""
    return {key: text for report in list(reports.values())[::-1] for key, text in report.versions.items()}


def _apply_override(gpus: tuple[Gpu, ...], override: SourceReport | None) -> tuple[Gpu, ...]:
    if override is None:
        return gpus
    from provision.core.parse.overrides import apply_overrides

    return apply_overrides(gpus, override)


def _judge_pasted(gpus: Sequence[Gpu], reports: Mapping[str, SourceReport]) -> Vendor | None:
    """Whose GPU a pasted text is about; None where it does not say."""
    if gpus:
        return judge_vendor(gpus)
    if any(report.nvidia for report in reports.values()):
        return Vendor.NVIDIA
    return next((report.vendor for report in reports.values() if report.vendor is not None), None)


def _complete_host(host: Host, reports: Mapping[str, SourceReport], gpus: Sequence[Gpu]) -> Host:
    """What the text tells of the machine that it comes from; the rest stays unknown."""
    told = tuple(reports.values())
    said = {condition.id for report in told for condition in report.conditions}
    on_arm = is_on_arm(gpus)
    return replace(
        host,
        system=host.system or next((r.system for r in told if r.system), "Linux" if on_arm else ""),
        machine=host.machine or next((r.machine for r in told if r.machine), "aarch64" if on_arm else ""),
        distribution=host.distribution or next((r.distribution for r in told if r.distribution), None),
        cpu_model=host.cpu_model or next((r.cpu_model for r in told if r.cpu_model), None),
        memory_bytes=host.memory_bytes or next((r.memory_bytes for r in told if r.memory_bytes), None),
        python_version=host.python_version or next((r.python_version for r in told if r.python_version), ""),
        wsl=host.wsl or (2 if ConditionId.WSL in said else None),
    )


def _merge(groups: Iterable[Sequence[Condition]]) -> tuple[Condition, ...]:
    """Every condition of the first source, and of each later one those of a kind that is new."""
    merged: list[Condition] = []
    for group in groups:
        known = {condition.id for condition in merged}
        merged.extend(condition for condition in group if condition.id not in known)
    return tuple(merged)


def _judge_host(host: Host, cuda_visible_devices: str | None, gpus: Sequence[Gpu]) -> Iterator[Condition]:
    if cuda_visible_devices is not None:
        yield build_cuda_visible_devices(cuda_visible_devices, gpus)
    if host.wsl is not None:
        yield build_wsl(host.wsl)
    if host.container is not None:
        yield build_container(host.container)
    if host.system == "Windows":
        yield build_plain(ConditionId.WINDOWS)
    if host.system == "Darwin":
        yield build_plain(ConditionId.MACOS)
    elif host.machine.lower() in {"aarch64", "arm64"} or is_on_arm(gpus):
        yield build_plain(ConditionId.AARCH64)
