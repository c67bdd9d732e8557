"""`provision diagnose` of 100 MB: at most 5 s, whatever the bytes are, and 300 MB of memory.

    python benchmarks/diagnose.py

Six logs: lines of progress with one failure in the middle, one failure repeated from end to end, random bytes, lines
each of which holds what some failure is known by, one letter per line, and the failures with such lines between them.
The same run times `wc -l` of each, so that the figures can be compared between machines.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from measure import print_budget

from provision.core.diagnosis.matching import list_literals
from provision.core.yaml_text import convert, parse_yaml
from provision.model.failure import Failures

PATH = Path(__file__).parents[1] / "profiles" / "failures.yaml"
SIZE_BYTES = 100_000_000
BUDGET_S = 5.0
BUDGET_MB = 300.0
_PIECE_BYTES = 1_000_000
_PROGRESS = (
    b"2026-11-21 12:00:00,123 | INFO | worker 3 | page 123 of 4567 |####      | 345.2 tokens/s, 12.3 GiB\n"
)
_FAILURE = b"RuntimeError: CUDA error: no kernel image is available for execution on the device\n"


def main() -> None:
    """Measure each kind of log once: the sizes make the run long enough."""
    kept = True
    with tempfile.TemporaryDirectory() as folder:
        for name, pieces, codes in (
            ("progress", _list_progress(), {0}),
            ("repeated", _repeat(_FAILURE * (_PIECE_BYTES // len(_FAILURE))), {0}),
            ("random", _list_random(), {0, 1}),
            ("all failures", _list_failures(""), {0}),
            ("one letter per line", _repeat(b"x\n" * (_PIECE_BYTES // 2)), {1}),
            ("failures in short lines", _list_failures("x\n" * 1600), {0}),
        ):
            path = Path(folder) / f"{name}.log"
            with path.open("wb") as stream:
                stream.writelines(pieces)
            counting_s = _time(["wc", "-l", str(path)], {0})
            argv = [sys.executable, "-m", "provision", "diagnose", str(path), "--output", "json"]
            elapsed_s = _time(argv, codes)
            print(f"{name}: wc -l takes {counting_s:.3f} s, ratio {elapsed_s / counting_s:.1f}")
            kept &= print_budget(f"{name}, 100 MB", elapsed_s, BUDGET_S, unit="s")
    # The largest of all children so far, in KiB on Linux: wc takes next to nothing.
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
    kept &= print_budget("peak memory", peak_mb, BUDGET_MB, unit="MB")
    sys.exit(not kept)


def _time(argv: list[str], codes: set[int]) -> float:
    start = time.perf_counter()
    done = subprocess.run(argv, capture_output=True, check=False)
    if done.returncode not in codes:
        sys.exit(f"{' '.join(argv)} ended with {done.returncode}: {done.stderr.decode()[-500:]}")
    return time.perf_counter() - start


def _list_progress() -> Iterator[bytes]:
    count = SIZE_BYTES // _PIECE_BYTES
    for index in range(count):
        yield _PROGRESS * (_PIECE_BYTES // len(_PROGRESS))
        if index == count // 2:
            yield _FAILURE


def _repeat(piece: bytes) -> Iterator[bytes]:
    return (piece for _ in range(SIZE_BYTES // len(piece)))


def _list_random() -> Iterator[bytes]:
    source = random.Random(20261121)  # noqa: S311 - noise, the same each time
    return (source.randbytes(_PIECE_BYTES) for _ in range(SIZE_BYTES // _PIECE_BYTES))


def _list_failures(between: str) -> Iterator[bytes]:
    source = random.Random(20261121)  # noqa: S311 - an order, the same each time
    text = PATH.read_text(encoding="utf-8")
    literals = list_literals(convert(parse_yaml(text, where=PATH.name), Failures, where=PATH.name).failures)
    lines = [f"W {literal} (12)\n{between}".encode() for literal in literals]
    written = 0
    while written < SIZE_BYTES:
        source.shuffle(lines)
        piece = b"".join(lines)
        piece *= max(1, _PIECE_BYTES // len(piece))
        written += len(piece)
        yield piece


if __name__ == "__main__":
    main()
