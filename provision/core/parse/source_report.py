"""What one source of GPUs came to."""

from __future__ import annotations

import re

from msgspec import Struct

from provision.model.facts import Condition, Gpu

_VERSION = re.compile(r"\d+(\.\d+)+")


class SourceReport(Struct, frozen=True, kw_only=True):
    """GPUs and versions as one source gave them, and what is to be said about it.

    `nvidia` is whether the source proves NVIDIA's driver software to be in use here; `found` whether the
    source was there to be asked at all.
    """

    gpus: tuple[Gpu, ...] = ()
    driver: str | None = None
    cuda_driver_version: str | None = None
    conditions: tuple[Condition, ...] = ()
    nvidia: bool = False
    found: bool = True


def parse_version(text: str | None) -> str | None:
    """A dotted version such as "580.95.05" or "13.0"; None for "N/A" and everything else."""
    stripped = (text or "").strip()
    return stripped if _VERSION.fullmatch(stripped) else None
