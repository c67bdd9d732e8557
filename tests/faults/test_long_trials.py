"""The trials of `benchmarks/` in short: killed at a few instants, and a disk that is full."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

pytestmark = [pytest.mark.slow, pytest.mark.stack]


def run_trial(name: str, *arguments: str) -> str:
    """Run the script; what it printed."""
    argv = [sys.executable, str(BENCHMARKS / name), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_kill_9_at_three_instants_leaves_what_works() -> None:
    printed = run_trial("kill_apply.py", "--instants", "3", "--seed", "3")
    assert re.search(r"^3 applies killed in \d rounds, 0 failures", printed, re.MULTILINE)
    assert "left in the state folder: nothing" in printed


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_changes_nothing_and_is_named() -> None:
    assert "0 times something broke, 0 times the error was not clear" in run_trial("full_disk.py")
