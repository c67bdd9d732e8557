"""Times whole processes in turn, so that a ratio holds while the machine's speed drifts."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence


def time_commands(
    commands: Mapping[str, Sequence[str]], *, rounds: int, cwd: str | None = None
) -> dict[str, float]:
    """Median wall seconds of each command over `rounds`, after one uncounted round; A B A B …"""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for counted in range(-1, rounds):
        for name, argv in commands.items():
            start = time.perf_counter()
            done = subprocess.run(argv, cwd=cwd, capture_output=True, check=False)
            if done.returncode != 0:
                sys.exit(f"{' '.join(argv)} ended with {done.returncode}: {done.stderr.decode()[-500:]}")
            if counted >= 0:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def print_budget(what: str, value: float, budget: float, *, unit: str) -> bool:
    """One line with the verdict; True when the budget is kept."""
    kept = value <= budget
    print(f"{what}: {value:.3f} {unit}, budget {budget:g} {unit}: {'kept' if kept else 'MISSED'}")
    return kept
