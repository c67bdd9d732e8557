"""`provision detect --output json`: at most 0.35 s, and on a GPU machine at most twice `nvidia-smi -q -x`.

    python benchmarks/detect.py [STACK_PYTHON]

With the interpreter of a stack it is also held against `python -m torch.utils.collect_env`: ten times faster.
All are whole processes, run in turn; what is not here to compare with is said, not left out.
"""

from __future__ import annotations

import shutil
import sys

from measure import print_budget, time_commands

BUDGET_S = 0.35


def main() -> None:
    """Measure, with what this machine offers to compare with."""
    commands = {"detect": [sys.executable, "-m", "provision", "detect", "--output", "json"]}
    if len(sys.argv) > 1:
        commands["collect_env"] = [sys.argv[1], "-m", "torch.utils.collect_env"]
    if shutil.which("nvidia-smi"):
        commands["nvidia-smi"] = ["nvidia-smi", "-q", "-x"]
    medians = time_commands(commands, rounds=7)
    detect = medians["detect"]
    kept = [print_budget("detect", detect, BUDGET_S, unit="s")]
    for name, title, budget, lacking in (
        ("collect_env", "detect over collect_env", 0.1, "no interpreter of a stack was named"),
        ("nvidia-smi", "detect over nvidia-smi -q -x", 2.0, "nvidia-smi is not on this machine"),
    ):
        if name in medians:
            print(f"{name}: {medians[name]:.3f} s")
            kept.append(print_budget(title, detect / medians[name], budget, unit="times"))
        else:
            print(f"{title}: not measured: {lacking}")
    sys.exit(not all(kept))


if __name__ == "__main__":
    main()
