"""`provision apply auto` with nothing to do: at most 0.6 s.

    python benchmarks/apply_noop.py FOLDER

FOLDER is one where `provision apply auto` has been run. The same run times a bare interpreter, so that the
figure can be compared between machines.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from measure import print_budget, time_commands

BUDGET_S = 0.6


def main() -> None:
    """Measure in the folder that the command line names."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = str(Path(sys.argv[1]).resolve())
    apply = [sys.executable, "-m", "provision", "apply", "auto", "--root", folder]
    said = subprocess.run(apply, capture_output=True, text=True, check=False)
    if "nothing to do" not in said.stdout:
        sys.exit(f"{folder}: there is something to do; run `provision apply auto --root {folder}` first")
    medians = time_commands({"apply": apply, "python": [sys.executable, "-c", "pass"]}, rounds=15)
    print(f"bare interpreter: {medians['python']:.3f} s, ratio {medians['apply'] / medians['python']:.1f}")
    sys.exit(not print_budget("apply with nothing to do", medians["apply"], BUDGET_S, unit="s"))


if __name__ == "__main__":
    main()
