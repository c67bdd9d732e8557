"""Breaks the weights of a saved model, with nothing but the standard library."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

# bfloat16 is the upper half of float32.
NAN = float("nan")
INF = float("inf")


def copy_broken(source: Path, target: Path, tensor: str, value: float, *, count: int | None = None) -> Path:
    """Copy the model folder `source` to `target` with the first `count` values of `tensor`, or all, replaced.

    The weights must be one safetensors file in bfloat16. Returns `target`.
    """
    shutil.copytree(source, target)
    path = target / "model.safetensors"
    data = bytearray(path.read_bytes())
    header_bytes = struct.unpack_from("<Q", data)[0]
    entry = json.loads(data[8 : 8 + header_bytes])[tensor]
    assert entry["dtype"] == "BF16"
    begin, end = entry["data_offsets"]
    size = end - begin if count is None else 2 * count
    upper_half = struct.pack("<f", value)[2:]
    start = 8 + header_bytes + begin
    data[start : start + size] = upper_half * (size // 2)
    path.write_bytes(data)
    return target
