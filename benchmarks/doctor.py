"""`provision doctor --output json`: at most 0.5 s, with an active generation of 20,000 files and without one.

    python benchmarks/doctor.py [FOLDER]

Without FOLDER, one where `provision apply` was run, a generation of that size is written for the occasion. The
same run times a bare interpreter, so that the figure can be compared between machines.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from measure import print_budget, time_commands

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.support.application import make_application

BUDGET_S = 0.5
_PACKAGES, _FILES_EACH = 60, 333


def main() -> None:
    """Measure in the folder that the command line names, or in one made here, and in an empty one."""
    # An installed tool has its bytecode; the uncounted round writes it.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory(prefix="provision-doctor-") as work:
        full, empty = Path(work) / "full", Path(work) / "empty"
        empty.mkdir()
        if len(sys.argv) > 1:
            full = Path(sys.argv[1]).resolve()
        else:
            make_application(full, packages=_PACKAGES, files_each=_FILES_EACH)
        doctor = [sys.executable, "-m", "provision", "doctor", "--output", "json", "--root"]
        medians = time_commands(
            {
                "full": [*doctor, str(full)],
                "empty": [*doctor, str(empty)],
                "driver": [*doctor, str(full), "--only", "driver"],
                "python": [sys.executable, "-c", "pass"],
            },
            rounds=9,
        )
    print(f"bare interpreter: {medians['python']:.3f} s; --only driver: {medians['driver']:.3f} s")
    kept = [
        print_budget("doctor with a generation", medians["full"], BUDGET_S, unit="s"),
        print_budget("doctor without one", medians["empty"], BUDGET_S, unit="s"),
    ]
    sys.exit(not all(kept))


if __name__ == "__main__":
    main()
