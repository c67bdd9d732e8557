"""What one source came to: GPUs, versions, and the little of the host that it tells."""

from __future__ import annotations

import re
from collections.abc import Callable

from msgspec import Struct

from provision.model.facts import Condition, Distribution, Gpu, Vendor

_VERSION = re.compile(r"\d+(\.\d+)+")


class SourceReport(Struct, frozen=True, kw_only=True):
    """GPUs and versions as one source gave them, and what is to be said about it.

    `nvidia` is whether the source proves NVIDIA's driver software to be in use here; `found` whether the
    source was there to be asked at all. `vendor` is what the source settles without a GPU, else None.
    `system` (`Linux`, `Windows`, `Darwin`), `machine` (`x86_64`, `aarch64`), `distribution`, `cpu_model` and
    `memory_bytes` (of the system), `python_version` are for text that comes from a machine that cannot be asked itself.
    `versions`: see `Facts`.
    """

    gpus: tuple[Gpu, ...] = ()
    driver: str | None = None
    cuda_driver_version: str | None = None
    conditions: tuple[Condition, ...] = ()
    nvidia: bool = False
    found: bool = True
    vendor: Vendor | None = None
    system: str | None = None
    machine: str | None = None
    distribution: Distribution | None = None
    cpu_model: str | None = None
    memory_bytes: int | None = None
    python_version: str | None = None
    cpu_flags: tuple[str, ...] = ()
    versions: dict[str, str] = {}


class TextSource(Struct, frozen=True, kw_only=True):
    """The output of one program in one form: `kind` is its stable id, such as `nvidia-smi-table`.

    `recognise` says whether a text holds such output anywhere; it demands what no other program prints.
    `parse` never raises for bad text. The same parser serves what was pasted and what was asked live.
    """

    kind: str
    recognise: Callable[[str], bool]
    parse: Callable[[str], SourceReport]


def parse_version(text: str | None) -> str | None:
    """A dotted version such as "580.95.05" or "13.0"; None for "N/A" and everything else."""
    stripped = (text or "").strip()
    return stripped if _VERSION.fullmatch(stripped) else None
