"""Asks the machine's own sources, each within its time, and keeps what they said."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec.structs import replace

from provision.model.facts import Outcome, Probe, Reading
from provision.system.nvml_reader import EXIT_GPUS
from provision.system.probe_host import (
    probe_container,
    probe_cpuinfo,
    probe_environment,
    probe_file,
    probe_host,
    probe_overrides,
    probe_pci,
    read_kernel,
)
from provision.system.probe_nvidia import build_nvidia_smi_questions, build_table_questions, probe_nvml
from provision.system.probe_program import Question, Runner, ask_questions
from provision.system.probe_state import probe_machine_state
from provision.system.probe_vendors import LSPCI, build_later_questions, build_vendor_questions
from provision.system.run import run as run_program

# `detect` answers within 6 s whatever hangs: this for all sources, the rest for starting and printing.
TOTAL_LIMIT_S = 5.4
# What `run` may take over its limit to end a program that sits in the kernel, deaf to SIGKILL.
ENDING_S = 0.9
# Where NVML hangs `nvidia-smi`, which stands on it, mostly hangs too, but it gets what is left.
NVML_LIMIT_S = 3.5
PROGRAM_LIMIT_S = 4.5
PROGRAM_LEAST_S = 0.1
# Files answer in milliseconds, unless one lies on a file system whose server is gone.
FILES_LIMIT_S = 1.0

Clock = Callable[[], float]
Source = Callable[[], Reading]


def start_probe(*, env: Mapping[str, str], root: Path | None) -> Callable[[], Probe]:
    """Begin `probe_machine` in a thread; what is returned waits for it and gives the probe."""
    answers: list[Probe | BaseException] = []

    def ask() -> None:
        try:
            answers.append(probe_machine(env=env, root=root))
        except BaseException as error:  # raised again where the answer is asked for
            answers.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()

    def wait() -> Probe:
        thread.join()
        answer = answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return wait


def probe_machine(
    *,
    env: Mapping[str, str],
    root: Path | None,
    run: Runner = run_program,
    clock: Clock = time.monotonic,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    system_root: Path = Path("/"),
    platform: str = sys.platform,
) -> Probe:
    """Raw text of every source that may know something, in at most about 5.4 s.

    `root` is the state folder, whose file system's free space is read; None leaves that out. `system_root`
    is where `/proc`, `/sys`, `/etc` and trusted programs are looked for. Programs are asked only when NVML
    did not answer with GPUs. The drivers' state comes last: asking NVML can make the device files.
    """
    deadline = clock() + TOTAL_LIMIT_S
    readings = _read_within(FILES_LIMIT_S, _list_file_sources(env, root, system_root), clock)
    overrides = probe_overrides(env)
    if overrides is not None:
        readings.insert(0, overrides)
    pci = next(reading for reading in readings if reading.source == "pci")
    nvml = probe_nvml(env, run=run, timeout_s=NVML_LIMIT_S, system_root=system_root, platform=platform)
    readings.append(nvml)
    if nvml.exit_code != EXIT_GPUS:

        def ask(questions: Sequence[Question]) -> tuple[Reading, ...]:
            left_s = deadline - ENDING_S - clock()
            timeout_s = round(max(PROGRAM_LEAST_S, min(PROGRAM_LIMIT_S, left_s)), 1)
            return ask_questions(questions, env, run=run, timeout_s=timeout_s, system_root=system_root)

        readings.extend(_ask_programs(ask, _choose_questions(pci, platform, system_root), platform))
    if platform == "linux":
        _, release, _ = read_kernel(env)
        state = {
            "machine-state": lambda: probe_machine_state(env, pci, release=release, system_root=system_root)
        }
        left_s = max(PROGRAM_LEAST_S, deadline - clock())
        readings.extend(_read_within(min(FILES_LIMIT_S, left_s), state, clock))
    return Probe(created=now().isoformat(timespec="seconds"), readings=tuple(readings))


def _ask_programs(
    ask: Callable[[Sequence[Question]], tuple[Reading, ...]], questions: Sequence[Question], platform: str
) -> tuple[Reading, ...]:
    """What the programs say, and then those that are worth asking only because these did not answer."""
    answers = ask(questions)
    later = (*build_table_questions(answers, platform), *build_later_questions(answers, platform=platform))
    return (*answers, *ask(later)) if later else answers


def _list_file_sources(env: Mapping[str, str], root: Path | None, system_root: Path) -> dict[str, Source]:
    """What can be read without starting a program."""
    module_path = system_root / "sys/module/nvidia/version"
    proc_path = system_root / "proc/driver/nvidia/version"
    return {
        "host": lambda: probe_host(env, root),
        "environment": lambda: probe_environment(env),
        "os-release": lambda: probe_file("os-release", system_root / "etc/os-release"),
        "cpuinfo": lambda: probe_cpuinfo(system_root),
        "container": lambda: probe_container(system_root),
        "pci": lambda: probe_pci(system_root),
        "nvidia-module": lambda: probe_file("nvidia-module", module_path),
        "proc-driver-nvidia-version": lambda: probe_file("proc-driver-nvidia-version", proc_path),
    }


def _choose_questions(pci: Reading, platform: str, system_root: Path) -> tuple[Question, ...]:
    """NVIDIA's program always, since it costs nothing where it is not; the others where the bus shows why."""
    vendors: set[str] | None = None
    if pci.outcome is Outcome.OK:
        document = msgspec.json.decode(pci.text)
        cards = [*document["display"], *document["accelerators"]]
        vendors = {card["vendor"] for card in cards} if document["devices"] else None
    has_kfd = (system_root / "dev/kfd").exists()
    lspci = (LSPCI,) if platform == "linux" and pci.outcome is not Outcome.OK else ()
    others = build_vendor_questions(platform=platform, vendors=vendors, has_kfd=has_kfd)
    return (*build_nvidia_smi_questions(platform), *lspci, *others)


def _read_within(limit_s: float, sources: Mapping[str, Source], clock: Clock) -> list[Reading]:
    """The readings of `sources` in order; those that did not come in time are TIMEOUT.

    They are read in a thread that is left behind when a file does not answer: nothing can end such a read.
    """
    readings: dict[str, Reading] = {}

    def read() -> None:
        for name, source in sources.items():
            start = clock()
            try:
                reading = source()
            except (OSError, ValueError, RuntimeError) as error:
                reading = Reading(source=name, outcome=Outcome.FAILED, error=str(error))
            readings[name] = replace(reading, elapsed_s=round(clock() - start, 4))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(limit_s)
    read_so_far = dict(readings)
    return [
        read_so_far.get(name, Reading(source=name, outcome=Outcome.TIMEOUT, limit_s=limit_s))
        for name in sources
    ]
