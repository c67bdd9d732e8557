"""An application's folder on trial: `provision` run on it as a process, and what must hold whatever happens."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PROFILE = Path(__file__).parents[1] / "profiles" / "cpu.yaml"
_STEP = re.compile(r"^ *(?P<seconds>\d+\.\d) s  (?P<title>.+)$", re.MULTILINE)
# What the doctor says of the state. A holder that died and leftovers are warnings, and cured by the next apply.
_CHECKED = ("state.", "stack.", "weights.", "config.")


@dataclass(kw_only=True)
class Application:
    """A root, the two CPU profiles between which its applies go, and the environment of every run."""

    root: Path
    profiles: tuple[Path, Path]
    env: dict[str, str] = field(default_factory=dict)

    @property
    def state_dir(self) -> Path:
        """`.provision`."""
        return self.root / ".provision"

    def build_argv(self, *arguments: str) -> list[str]:
        """The command line of the tool for this root."""
        return [sys.executable, "-m", "provision", *arguments, "--root", str(self.root)]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the tool to its end."""
        argv = self.build_argv(*arguments)
        return subprocess.run(argv, env=self.env, capture_output=True, text=True, check=False)

    def apply(self, profile: int) -> tuple[subprocess.CompletedProcess[str], float]:
        """Apply one of the two profiles; the outcome and the wall seconds."""
        start = time.perf_counter()
        done = self.run("apply", "cpu", "--profiles", str(self.profiles[profile]))
        return done, time.perf_counter() - start

    def read_number(self) -> int:
        """The number of the active generation."""
        return int((self.state_dir / "active").read_text(encoding="ascii"))

    def read_active(self) -> dict[str, Any]:
        """The record of the active generation."""
        path = self.state_dir / "generations" / str(self.read_number()) / "generation.json"
        record: dict[str, Any] = json.loads(path.read_bytes())
        return record

    def list_active_stacks(self) -> list[Path]:
        """The folders of the stacks that the active generation uses."""
        return [self.state_dir / stack["path"] for stack in self.read_active()["stacks"]]

    def mark_files(self) -> dict[str, tuple[int, int]]:
        """Size and time of every file of the active generation but bytecode, which importing writes."""
        marks = {}
        folders = [*self.list_active_stacks(), self.state_dir / "generations" / str(self.read_number())]
        for folder in folders:
            for path in folder.rglob("*"):
                if path.suffix != ".pyc" and path.is_file():
                    stat = path.stat()
                    marks[str(path)] = (stat.st_size, stat.st_mtime_ns)
        return marks

    def find_problems(self) -> list[str]:
        """Why the active generation is not the one that works; empty when all is well."""
        problems = []
        number = self.read_number()
        listed = self.run("generations", "--output", "json")
        rows = json.loads(listed.stdout)["data"]["generations"] if listed.returncode == 0 else []
        if [row["number"] for row in rows if row["active"]] != [number]:
            problems.append(f"`generations` ended with {listed.returncode}: {listed.stdout}{listed.stderr}")
        written = (self.state_dir / "generations" / str(number) / "config.yaml").read_bytes()
        if (self.root / "config.yaml").read_bytes() != written:
            problems.append(f"config.yaml is not the one of generation {number}")
        doctor = self.run("doctor", "--output", "json")
        findings = json.loads(doctor.stdout)["data"]["findings"]
        problems += [
            f"{finding['id']}: {finding['evidence']}"
            for finding in findings
            if finding["id"].startswith(_CHECKED) and finding["severity"] == "fail"
        ]
        return problems

    def list_unknown(self) -> list[str]:
        """What lies in the state folder and beside it and belongs to no generation, relative to the root."""
        entries = [*self.root.glob(".*"), *self.state_dir.glob(".*")]
        for name in ("stacks", "weights", "generations"):
            entries += (self.state_dir / name).glob(".*")
        kept = {self.state_dir, self.state_dir / ".gitignore"}
        return sorted(path.relative_to(self.root).as_posix() for path in entries if path not in kept)


def make_application(work: Path) -> Application:
    """An empty application in `work`, whose temporary files go to a folder of their own.

    The two profiles differ in attention and in a pinned package, so that each has a stack of its own.
    """
    text = _PROFILE.read_text(encoding="utf-8")
    first, second = work / "profiles-a", work / "profiles-b"
    for folder in (first, second, work / "root", work / "temporary"):
        folder.mkdir(parents=True)
    (first / "cpu.yaml").write_text(text, encoding="utf-8")
    other = text.replace("attention: [sdpa, eager]", "attention: [eager]")
    other = re.sub(r'pillow: "[^"]+"', 'pillow: "12.3.0"', other, count=1)
    if other.count("12.3.0") != 1 or "[eager]" not in other:
        sys.exit(f"{_PROFILE}: it has other lines than this script changes")
    (second / "cpu.yaml").write_text(other, encoding="utf-8")
    env = dict(os.environ) | {"PROVISION_YES": "1", "TMPDIR": str(work / "temporary")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return Application(root=work / "root", profiles=(first, second), env=env)


def read_steps(stderr: str) -> list[tuple[str, float]]:
    """The steps that a run told of, each with the seconds at which it began."""
    return [(match["title"], float(match["seconds"])) for match in _STEP.finditer(stderr)]
