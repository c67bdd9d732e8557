"""A disk that is full at each step of an apply: what was active stays as it was, and with room again it succeeds.

    sudo python benchmarks/full_disk.py

The application lies on a tmpfs of its own, which needs root. It is shrunk to what is used while the apply runs:
at each step at once, and during the smoke to a few kilobytes more each time, with temporary files elsewhere, so that
the writing of the generation ends at every file in turn. About half a minute a case. Two things are counted apart:
what was active changed (never), and the error was not clear: exit code 6 or 7, with a hint that names `df`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from application import Application, make_application, read_steps

ROOMY_BYTES = 4 << 30
_PAGE_BYTES = 4096
# The generation's files, the pointer and config.yaml take a page or two each.
_LATE_PAGES = (0, 1, 2, 3, 4, 6, 8, 12)
# A stack holds about a gigabyte: these end its installation early and late.
_FREE_MIB = (0, 1, 300, 900)
_STATE, _APPLY_FAILED = 6, 7
_UNCLEAR = "not clear: "


@dataclass(frozen=True, kw_only=True)
class Case:
    """When the disk becomes full: when the tool says `title`, or before it is started; and what is left free."""

    title: str | None
    free_bytes: int
    builds: bool


class Disk:
    """A tmpfs whose size changes under those who use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def mounted(self) -> Iterator[None]:
        """Mount it, and unmount it whatever happens."""
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={ROOMY_BYTES}", "tmpfs", self.folder], check=True
        )
        try:
            yield
        finally:
            subprocess.run(["umount", "--lazy", self.folder], check=True)

    def make_room(self) -> None:
        """There is room for everything again."""
        self._resize(ROOMY_BYTES)

    def leave_free(self, free_bytes: int) -> None:
        """Shrink to what is used and `free_bytes` more; while files are being written a little may be used up."""
        for _ in range(50):
            stat = os.statvfs(self.folder)
            used = (stat.f_blocks - stat.f_bfree) * stat.f_frsize
            # A size of 0 would mean no limit.
            if self._resize(max(used + free_bytes, _PAGE_BYTES)):
                return
        sys.exit("the disk was filled faster than it could be shrunk")

    def _resize(self, size_bytes: int) -> bool:
        argv = ["mount", "-o", f"remount,size={size_bytes}", self.folder]
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def main() -> None:
    """Run every case on one disk."""
    if os.name == "nt" or os.geteuid() != 0:
        sys.exit("full_disk: not measured: mounting a small file system needs root")
    # Nothing may stay mounted.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="full-disk-")))
        disk = Disk(work / "disk")
        disk.folder.mkdir()
        (work / "elsewhere").mkdir()
        stack.enter_context(disk.mounted())
        failures = run_cases(make_application(disk.folder), disk, work / "stderr.log")
    for failure in failures:
        print(f"FAILED {failure}")
    sys.exit(bool(failures))


def run_cases(application: Application, disk: Disk, log: Path) -> list[str]:
    """Every case after the other; what did not hold."""
    for profile in (0, 1):
        done, whole_s = application.apply(profile)
        if done.returncode != 0:
            sys.exit(f"an apply with room enough ended with {done.returncode}: {done.stderr}")
    titles = [title for title, _ in read_steps(done.stderr)]
    print(f"an apply takes {whole_s:.1f} s: {', '.join(titles)}")
    wanted = 0
    failures: list[str] = []
    for case in list_cases(titles):
        problems, said, done = _run_case(application, disk, log, case, wanted)
        wanted = wanted if not done else 1 - wanted
        when = case.title or "before it starts"
        print(
            f"{case.free_bytes / 1024:9.0f} KiB free, {when:38.38} {_judge(problems):9} {said:.300}",
            flush=True,
        )
        failures += [f"{case.free_bytes / 1024:.0f} KiB free, {when}: {problem}" for problem in problems]
    unclear = sum(_UNCLEAR in failure for failure in failures)
    print(f"{len(failures) - unclear} times something broke, {unclear} times the error was not clear")
    print(f"left in the state folder: {application.list_unknown() or 'nothing'}")
    return failures


def _judge(problems: list[str]) -> str:
    if not problems:
        return "ok"
    return "not clear" if all(problem.startswith(_UNCLEAR) for problem in problems) else "BROKEN"


def list_cases(titles: list[str]) -> list[Case]:
    """The stack's installation by what is free, each step, and the generation's files by pages."""
    cases = [Case(title=None, free_bytes=mib << 20, builds=True) for mib in _FREE_MIB]
    cases += [Case(title=title, free_bytes=0, builds=True) for title in titles[:-1]]
    smoke = titles[-2]
    return cases + [Case(title=smoke, free_bytes=pages * _PAGE_BYTES, builds=False) for pages in _LATE_PAGES]


def _run_case(
    application: Application, disk: Disk, log: Path, case: Case, wanted: int
) -> tuple[list[str], str, bool]:
    """What did not hold, the case in one phrase, and whether the apply came to its end all the same."""
    if case.builds:
        active = application.list_active_stacks()
        for folder in (application.state_dir / "stacks").glob("[!.]*"):
            if folder not in active:
                shutil.rmtree(folder)
    before = application.read_number()
    config, marks = (application.root / "config.yaml").read_bytes(), application.mark_files()
    env = application.env if case.builds else application.env | {"TMPDIR": str(log.parent / "elsewhere")}
    exit_code = _apply_on_full_disk(application, disk, log, case, wanted, env)
    said = log.read_text(encoding="utf-8", errors="replace")
    error = next((line for line in said.splitlines() if line.startswith("error: ")), "")
    hint = next((line for line in said.splitlines() if line.startswith("hint: ")), "")
    problems = []
    ended = exit_code == 0
    if not ended:
        if exit_code not in (_STATE, _APPLY_FAILED) or not error or "df" not in hint:
            problems.append(f"{_UNCLEAR}exit {exit_code}, {error!r}, {hint!r}")
        if (application.root / "config.yaml").read_bytes() != config or application.mark_files() != marks:
            problems.append("what was active changed")
        if application.read_number() != before:
            problems.append(f"generation {application.read_number()} is active, not {before}")
    problems += application.find_problems()
    disk.make_room()
    if not ended:
        after, _ = application.apply(wanted)
        if after.returncode != 0:
            problems.append(f"with room again it ended with {after.returncode}: {after.stderr[-600:]}")
        problems += [f"with room again: {problem}" for problem in application.find_problems()]
    return (
        problems,
        f"exit {exit_code}: {error or 'it ended well'} | {hint}",
        application.read_number() != before,
    )


def _apply_on_full_disk(
    application: Application, disk: Disk, log: Path, case: Case, wanted: int, env: dict[str, str]
) -> int:
    argv = application.build_argv("apply", "cpu", "--profiles", str(application.profiles[wanted]))
    if case.title is None:
        disk.leave_free(case.free_bytes)
    with log.open("wb") as stream:
        running = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=stream)
    while case.title is not None and running.poll() is None:
        if case.title in log.read_text(encoding="utf-8", errors="replace"):
            disk.leave_free(case.free_bytes)
            break
        time.sleep(0.002)
    return running.wait()


if __name__ == "__main__":
    main()
