"""`kill -9` at random instants of an apply: what was active works after each, and the next apply succeeds.

    python benchmarks/kill_apply.py [--instants 40] [--seed 1] [--mode both|process|tree]

Each round kills an apply that has a stack to build: only the process, as the out-of-memory killer does, or it and
all that it started, as the end of a container does. Half of the instants are spread over time, the other half over
the steps, since most of the time is smoke. Then the checks, and the next apply at once, while what the killed one
had started may still run. About half a minute a round; ends with 1 when anything did not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil
from application import Application, make_application, read_steps

# The last step is over within hundredths of a second.
_END_S = 0.03
_MODES = ("process", "tree")
_MOST_ROUNDS = 3


@dataclass(frozen=True, kw_only=True)
class Instant:
    """When to kill: so long after the tool says `title`, or after it was started where that is None."""

    title: str | None
    delay_s: float


@dataclass(frozen=True, kw_only=True)
class Killed:
    """An apply that was killed: when, in which step, and what it had started that went on."""

    at_s: float
    step: str
    orphans: list[psutil.Process]
    ended_before: bool


def main() -> None:
    """Run the rounds in a folder that is removed at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--instants", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mode", choices=("both", *_MODES), default="both")
    parser.add_argument("--keep", type=Path, help="work in this folder and keep it")
    options = parser.parse_args()
    modes = _MODES if options.mode == "both" else (options.mode,)
    with contextlib.ExitStack() as stack:
        work = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kill-apply-")))
        application = make_application(work)
        failures = run_rounds(application, work, random.Random(options.seed), options.instants, modes)  # noqa: S311
    for failure in failures:
        print(f"FAILED {failure}")
    sys.exit(bool(failures))


def run_rounds(
    application: Application, work: Path, source: random.Random, instants: int, modes: tuple[str, ...]
) -> list[str]:
    """Kill and apply again `instants` times; what did not hold."""
    steps, whole_s = _calibrate(application)
    print(f"an apply takes {whole_s:.1f} s: " + ", ".join(f"{title} at {at:.1f} s" for title, at in steps))
    failures: list[str] = []
    hit: Counter[str] = Counter()
    number = 0
    # A round whose apply was over before its instant came has killed nothing, and does not count.
    while hit.total() < instants and number < _MOST_ROUNDS * instants:
        number += 1
        wanted = 1 - _find_profile(application)
        _remove_idle_stacks(application)
        instant = _draw_instant(source, steps, whole_s, by_step=number % 2 == 0)
        mode = modes[(number - 1) // 2 % len(modes)]
        before, marks = application.read_number(), application.mark_files()
        killed = _kill(application, wanted, instant, mode)
        problems = application.find_problems()
        active = application.read_number()
        if active == before and application.mark_files() != marks:
            problems.append("files of the active generation changed")
        after, after_s = application.apply(wanted)
        if after.returncode != 0:
            problems.append(f"the next apply ended with {after.returncode}: {after.stderr[-600:]}")
        problems += [f"after the next apply: {problem}" for problem in application.find_problems()]
        orphans = [process for process in killed.orphans if process.is_running()]
        if not killed.ended_before:
            hit[killed.step] += 1
        print(
            f"{number:3} {mode:7} {killed.at_s:6.2f} s  {killed.step:42.42} "
            f"{'ended before' if killed.ended_before else f'generation {before} -> {active}':18} "
            f"left running {len(killed.orphans)} -> {len(orphans)}  next apply {after_s:5.1f} s  "
            f"unknown {len(application.list_unknown())}, temporary {_count(work / 'temporary')}  "
            f"{'ok' if not problems else 'FAILED'}",
            flush=True,
        )
        failures += [f"round {number} ({mode}, {killed.step}): {problem}" for problem in problems]
    if hit.total() < instants:
        failures.append(f"only {hit.total()} of {instants} instants came while an apply ran")
    print(f"\n{hit.total()} applies killed in {number} rounds, {len(failures)} failures; steps hit:")
    for step, count in hit.most_common():
        print(f"  {count:3}  {step}")
    print(f"left in the state folder: {application.list_unknown() or 'nothing'}")
    print(f"left among temporary files: {_count(work / 'temporary')} folders")
    return failures


def _calibrate(application: Application) -> tuple[list[tuple[str, float]], float]:
    """Two applies that end: the first generation, and one whose steps are timed."""
    for profile in (0, 1):
        done, whole_s = application.apply(profile)
        if done.returncode != 0:
            sys.exit(f"an apply that nobody disturbs ended with {done.returncode}: {done.stderr}")
    return read_steps(done.stderr), whole_s


def _find_profile(application: Application) -> int:
    """Which of the two profiles is active, by the attention that was verified."""
    return 0 if application.read_active()["models"][0]["attention"] == "sdpa" else 1


def _remove_idle_stacks(application: Application) -> None:
    """So that there is something to build."""
    active = application.list_active_stacks()
    for folder in (application.state_dir / "stacks").glob("[!.]*"):
        if folder not in active:
            shutil.rmtree(folder)


def _draw_instant(
    source: random.Random, steps: list[tuple[str, float]], whole_s: float, *, by_step: bool
) -> Instant:
    if not by_step:
        return Instant(title=None, delay_s=source.uniform(0.0, whole_s))
    position = source.randrange(len(steps))
    title, start = steps[position]
    end = steps[position + 1][1] if position + 1 < len(steps) else start + _END_S
    return Instant(title=title, delay_s=source.uniform(0.0, max(end - start, _END_S)))


def _kill(application: Application, profile: int, instant: Instant, mode: str) -> Killed:
    argv = application.build_argv("apply", "cpu", "--profiles", str(application.profiles[profile]))
    log = application.root.parent / "stderr.log"
    start = time.perf_counter()
    with log.open("wb") as stream:
        running = subprocess.Popen(argv, env=application.env, stdout=subprocess.DEVNULL, stderr=stream)
    while instant.title is not None and running.poll() is None:
        if instant.title in log.read_text(encoding="utf-8", errors="replace"):
            break
        time.sleep(0.002)
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.wait(instant.delay_s)
    ended = running.poll() is not None
    children = [] if ended else psutil.Process(running.pid).children(recursive=True)
    with contextlib.suppress(ProcessLookupError):
        os.kill(running.pid, signal.SIGKILL)
    at_s = time.perf_counter() - start
    for child in children if mode == "tree" else ():
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    running.wait()
    steps = read_steps(log.read_text(encoding="utf-8", errors="replace"))
    _, orphans = psutil.wait_procs(children, timeout=0.05)
    step = steps[-1][0] if steps else "(before the first step)"
    return Killed(at_s=at_s, step=step, orphans=orphans, ended_before=ended)


def _count(folder: Path) -> int:
    return len(list(folder.iterdir()))


if __name__ == "__main__":
    main()
