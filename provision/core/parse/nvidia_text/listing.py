"""`nvidia-smi -L`: one line for each GPU, one below it for each instance of a split GPU."""

from __future__ import annotations

import re

from msgspec.structs import replace

from provision.core.parse.nvidia_text.answers import build_all, is_product_alone, judge_form
from provision.core.parse.source_report import SourceReport
from provision.model.facts import Gpu

_LINE_LIMIT = 400
# Drivers before 304 print the serial number where a board has one: `(S/N: 0330910008212)`.
_GPU = re.compile(r"\bGPU {1,3}(\d{1,3}): {0,3}(\S.{0,100}?) {1,3}\((?:UUID|S/N): ?([^)]{0,80})\)?")
_BARE = re.compile(r"\s{0,20}GPU {1,3}(\d{1,3}): {0,3}(\S.{0,100}?)\s{0,20}")
_INSTANCE = re.compile(r"\bMIG {1,3}\d\S{1,30} {1,20}Device {1,5}\d{1,3}:")


def is_listing(text: str) -> bool:
    """Whether a line of a GPU with its UUID is there."""
    return any(
        _GPU.search(line[:_LINE_LIMIT]) for line in text.split("\n") if "(UUID" in line or "(S/N" in line
    )


def is_bare_listing(text: str) -> bool:
    """Whether a line names a GPU of NVIDIA's, its UUID taken off, and nothing else."""
    return any(_read_bare(line[:_LINE_LIMIT]) for line in text.split("\n") if "GPU" in line)


def parse_listing(text: str) -> SourceReport:
    """The GPUs by index; of an index that comes again the first line counts."""
    gpus: dict[str, Gpu] = {}
    split: set[str] = set()
    index = ""
    for raw in text.split("\n"):
        line = raw[:_LINE_LIMIT]
        found = _GPU.search(line)
        if found:
            index = found[1]
            gpus.setdefault(index, Gpu(name=found[2], uuid=_read_uuid(found[3])))
        elif bare := _read_bare(line):
            index = bare[1]
            gpus.setdefault(index, Gpu(name=bare[2]))
        elif index and _INSTANCE.search(line):
            split.add(index)
    built = [replace(gpu, mig_enabled=True) if key in split else gpu for key, gpu in gpus.items()]
    return SourceReport(
        gpus=tuple(replace(gpu, uuid=gpu.uuid or None) for gpu in built),
        conditions=build_all(judge_form(built)),
        nvidia=True,
    )


def _read_bare(line: str) -> re.Match[str] | None:
    match = _BARE.fullmatch(line)
    return match if match and is_product_alone(match[2]) else None


def _read_uuid(text: str) -> str | None:
    """The UUID; "" for one that is empty behind its `GPU-`; None for a word that somebody put in its place."""
    stripped = text.strip()
    if stripped in {"GPU-", ""}:
        return ""
    return stripped if stripped.startswith("GPU-") else None
