"""`provision apply` from a warm uv cache: at most 1.15 times a bare `uv pip sync` of the same lock plus the smoke.

    python benchmarks/apply_warm.py

Each round builds the CPU stack twice in new folders: once by `provision apply cpu`, whose own progress tells when
its smoke began and ended, and once by `uv venv` and `uv pip sync` of the lock that the apply wrote. The steps of each
apply are printed, so that a missed budget says where the time went.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from application import read_steps
from measure import print_budget
from uv import find_uv_bin

BUDGET = 1.15
ROUNDS = 3
_SMOKE = "letting the models read"


def time_apply(root: Path) -> tuple[float, dict[str, float]]:
    """Wall seconds of an apply into `root`, and of each of its steps."""
    argv = [sys.executable, "-m", "provision", "apply", "cpu", "--root", str(root)]
    env = dict(os.environ) | {"PROVISION_YES": "1"}
    start = time.perf_counter()
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    elapsed_s = time.perf_counter() - start
    if done.returncode != 0:
        sys.exit(f"apply ended with {done.returncode}: {done.stderr}")
    begun = [*read_steps(done.stderr), ("", elapsed_s)]
    return elapsed_s, {title: after - at for (title, at), (_, after) in pairwise(begun)}


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
            apply_s, steps = time_apply(root)
            [lock] = (root / ".provision" / "stacks").glob("*/requirements.lock")
            sync_s = time_sync(root, lock)
        if counted >= 0:
            smoke_s = steps[_SMOKE]
            ratios.append(apply_s / (sync_s + smoke_s))
            print(f"apply {apply_s:.1f} s, of it smoke {smoke_s:.1f} s; bare sync {sync_s:.1f} s")
            print("  " + ", ".join(f"{title} {seconds:.1f} s" for title, seconds in steps.items()))
    sys.exit(not print_budget("apply over sync and smoke", statistics.median(ratios), BUDGET, unit="times"))


if __name__ == "__main__":
    main()
