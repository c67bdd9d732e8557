"""Asks the machine's own sources, each within its time, and keeps what they said."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from provision.model.facts import Probe, Reading
from provision.system.nvml_reader import EXIT_GPUS
from provision.system.probe_host import (
    probe_container,
    probe_cpuinfo,
    probe_environment,
    probe_file,
    probe_host,
    probe_nvidia_module,
    probe_pci,
)
from provision.system.probe_nvidia import Runner, probe_nvidia_smi, probe_nvml
from provision.system.run import run as run_program

# `detect` answers within 6 s whatever hangs: this for all sources, the rest for starting and printing.
TOTAL_LIMIT_S = 5.4
# What `run` may take over its limit to end a program that sits in the kernel, deaf to SIGKILL.
ENDING_S = 0.9
# Where NVML hangs `nvidia-smi`, which stands on it, mostly hangs too, but it gets what is left.
NVML_LIMIT_S = 3.5
NVIDIA_SMI_LIMIT_S = 4.5
NVIDIA_SMI_LEAST_S = 0.1

Clock = Callable[[], float]


def probe_machine(
    *,
    env: Mapping[str, str],
    root: Path | None,
    run: Runner = run_program,
    clock: Clock = time.monotonic,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    system_root: Path = Path("/"),
) -> Probe:
    """Raw text of every source, in at most about 5.4 s.

    `root` is the state folder, whose file system's free space is read; None leaves that out. `system_root`
    is where `/proc`, `/sys`, `/etc` and trusted programs are looked for. `nvidia-smi` is asked only when
    NVML did not answer with GPUs.
    """
    deadline = clock() + TOTAL_LIMIT_S
    readings = list(_probe_files(env, root, system_root, clock))
    nvml = probe_nvml(env, run=run, timeout_s=NVML_LIMIT_S, system_root=system_root)
    readings.append(nvml)
    if nvml.exit_code != EXIT_GPUS:
        left_s = deadline - ENDING_S - clock()
        timeout_s = round(max(NVIDIA_SMI_LEAST_S, min(NVIDIA_SMI_LIMIT_S, left_s)), 1)
        readings.extend(probe_nvidia_smi(env, run=run, timeout_s=timeout_s, system_root=system_root))
    return Probe(created=now().isoformat(timespec="seconds"), readings=tuple(readings))


def _probe_files(
    env: Mapping[str, str], root: Path | None, system_root: Path, clock: Clock
) -> Iterator[Reading]:
    """What can be read without starting a program."""
    sources: tuple[Callable[[], Reading], ...] = (
        lambda: probe_host(env, root),
        lambda: probe_environment(env),
        lambda: probe_file("os-release", system_root / "etc/os-release"),
        lambda: probe_cpuinfo(system_root),
        lambda: probe_container(system_root),
        lambda: probe_pci(system_root),
        lambda: probe_nvidia_module(system_root),
    )
    for source in sources:
        start = clock()
        reading = source()
        yield replace(reading, elapsed_s=round(clock() - start, 4))
