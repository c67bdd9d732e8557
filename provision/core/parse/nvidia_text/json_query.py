"""NVIDIA's GPUs in JSON that other programs make of `nvidia-smi`: `gpustat --json`, converted XML, exporters."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping

from provision.core.parse.json_excerpt import parse_json_excerpts
from provision.core.parse.nvidia_smi import build_csv_gpu
from provision.core.parse.nvidia_text.answers import build_all, is_product, judge_form, read_version
from provision.core.parse.source_report import SourceReport

_NUMBER = re.compile(r"(\d{1,9})(?: ?(?:MiB|MB))?")
# Our field of a query, and the keys that tell it: the part behind the last dot of a path counts.
_KEYS = {
    "name": ("name", "gpu_name", "product_name", "productName"),
    "uuid": ("uuid", "gpu_uuid"),
    "memory.total": (
        "memory.total",
        "memory_total",
        "fb_memory_usage.total",
        "memoryTotal",
        "memory_total_mib",
    ),
    "memory.used": ("memory.used", "memory_used", "fb_memory_usage.used", "memoryUsed"),
    "compute_cap": ("compute_cap", "compute_capability"),
    "pci.bus_id": ("pci.bus_id", "@id", "pci_bus_id", "bus_id"),
    "pci.device_id": ("pci.device_id", "pci.pci_device_id"),
    "mig.mode.current": ("mig.mode.current", "mig_mode.current_mig"),
}
_DRIVER = ("driver_version", "driverVersion", "driver")
_CUDA = ("cuda_version", "cudaVersion", "cuda_driver_version")


def is_json_query(text: str) -> bool:
    """Whether a JSON document has an object with the name of a product and its memory or UUID."""
    return '"' in text and next(_list_records(text), None) is not None


def parse_json_query(text: str) -> SourceReport:
    """The GPUs in the order of the document; sizes without a unit are MiB, as nvidia-smi's are."""
    records = list(_list_records(text))
    gpus = tuple(build_csv_gpu(record) for record in records)
    told = [dict(_flatten(value)) for value in _list_objects(text)]
    driver = next((v for found in told if (v := read_version(_find(found, _DRIVER)))), None)
    cuda = next((v for found in told if (v := read_version(_find(found, _CUDA)))), None)
    return SourceReport(
        gpus=gpus,
        driver=driver,
        cuda_driver_version=cuda,
        conditions=build_all(judge_form(gpus)),
        nvidia=bool(gpus),
    )


def _list_objects(text: str) -> Iterator[Mapping[str, object]]:
    """Every object, outer ones first, without recursion."""
    pending: deque[object] = deque(parse_json_excerpts(text))
    while pending:
        value = pending.popleft()
        if isinstance(value, dict):
            yield value
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value[:1024])


def _flatten(value: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """The texts and numbers of an object and of the objects in it, by `key` and `outer.inner`."""
    for key, inner in value.items():
        pairs = inner.items() if isinstance(inner, dict) else ()
        for name, item in ((key, inner), *((f"{key}.{deeper}", item) for deeper, item in pairs)):
            if isinstance(item, str | int | float) and not isinstance(item, bool):
                yield name, str(item)


def _list_records(text: str) -> Iterator[dict[str, str]]:
    for value in _list_objects(text):
        found = dict(_flatten(value))
        record = {field: told for field, keys in _KEYS.items() if (told := _find(found, keys)) is not None}
        name = record.get("name", "")
        if is_product(name) and ("memory.total" in record or record.get("uuid", "").startswith("GPU-")):
            for field in ("memory.total", "memory.used"):
                number = _NUMBER.fullmatch(record.pop(field, ""))
                record |= {field: number[1]} if number else {}
            yield record


def _find(found: Mapping[str, str], keys: tuple[str, ...]) -> str | None:
    return next((found[key] for key in keys if key in found), None)
