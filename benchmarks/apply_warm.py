"""`provision apply` from a warm uv cache: at most 1.15 times a bare `uv pip sync` of the same lock plus the smoke.

    python benchmarks/apply_warm.py

Each round builds the CPU stack twice in new folders: once by `provision apply cpu`, whose own progress tells when
its smoke began and ended, and once by `uv venv` and `uv pip sync` of the lock that the apply wrote.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import print_budget
from uv import find_uv_bin

BUDGET = 1.15
ROUNDS = 3


def time_apply(root: Path) -> tuple[float, float]:
    """Wall seconds of an apply into `root`, and of the smoke within it."""
    argv = [sys.executable, "-m", "provision", "apply", "cpu", "--root", str(root)]
    start = time.perf_counter()
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    elapsed_s = time.perf_counter() - start
    marks = dict(
        re.findall(r"^ *([\d.]+) s  (letting the models read|activating)", done.stderr, re.MULTILINE)
    )
    began, ended = sorted(float(mark) for mark in marks)
    return elapsed_s, ended - began


def time_sync(root: Path, lock: Path) -> float:
    """Wall seconds of a bare environment with the same packages."""
    uv, venv = find_uv_bin(), root / "bare"
    options = ["--require-hashes", "--link-mode", "hardlink", "--only-binary", ":all:"]
    if "PIP_FIND_LINKS" in os.environ:
        options += ["--find-links", os.environ["PIP_FIND_LINKS"]]
    start = time.perf_counter()
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(venv)], check=True)
    sync = [uv, "pip", "sync", "--quiet", "--python", str(venv), *options, str(lock)]
    subprocess.run(sync, check=True)
    return time.perf_counter() - start


def main() -> None:
    """Measure; the first round warms the cache and does not count."""
    ratios = []
    for counted in range(-1, ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            apply_s, smoke_s = time_apply(root)
            [lock] = (root / ".provision" / "stacks").glob("*/requirements.lock")
            sync_s = time_sync(root, lock)
        if counted >= 0:
            ratios.append(apply_s / (sync_s + smoke_s))
            print(f"apply {apply_s:.1f} s, of it smoke {smoke_s:.1f} s; bare sync {sync_s:.1f} s")
    sys.exit(not print_budget("apply over sync and smoke", statistics.median(ratios), BUDGET, unit="times"))


if __name__ == "__main__":
    main()
