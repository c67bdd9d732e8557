"""The tool as users run it: a process of its own in an application's folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.weights import NAN, copy_broken

ROOT = Path(__file__).parents[2]
EMBEDDED = ROOT / "smoke" / "embedded" / "tiny_qwen2_vl"


class Chain:
    """One application root and the commands that are run on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.first: subprocess.CompletedProcess[str] | None = None

    @property
    def config(self) -> Path:
        """The active configuration."""
        return self.root / "config.yaml"

    def build_argv(self, *arguments: str) -> list[str]:
        """The command line for a process of its own."""
        return [sys.executable, "-m", "provision", *arguments, "--root", str(self.root)]

    def build_env(self, **changes: str) -> dict[str, str]:
        """The environment of the tests, with changes."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PROVISION_")}
        return kept | {"PROVISION_YES": "1"} | changes

    def provision(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run `provision` to its end."""
        return subprocess.run(
            self.build_argv(*arguments),
            env=self.build_env(**env),
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )

    def read_json(self, *arguments: str, code: int = 0, **env: str) -> dict[str, Any]:
        """Run with `--output json`, check the exit code, and give the envelope."""
        done = self.provision(*arguments, "--output", "json", **env)
        assert done.returncode == code, done.stdout + done.stderr
        envelope: dict[str, Any] = json.loads(done.stdout)
        return envelope

    def find_stack_interpreter(self) -> Path:
        """The interpreter of the first stack."""
        return next((self.root / ".provision" / "stacks").glob("main-*/bin/python"))


def copy_model(folder: Path, *, spoil: str | None = None) -> Path:
    """A copy of the embedded model; the first value of the tensor `spoil` becomes NaN."""
    if spoil is None:
        return shutil.copytree(EMBEDDED, folder)
    return copy_broken(EMBEDDED, folder, spoil, NAN, count=1)
