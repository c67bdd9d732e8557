"""The checks of `provision doctor`: each looks at one thing of a checkup and gives one finding."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from provision.model.facts import ConditionId, Facts, Vendor
from provision.model.finding import Finding, Severity
from provision.model.packages import Answer, SourceAttempt
from provision.model.smoke import SmokeResult, Verdict

# The CUDA stack takes 5 GB installed and as much again in uv's cache when that lies on another file system.
_DISK_CUDA_BYTES = 12_000_000_000
_DISK_CPU_BYTES = 3_000_000_000
_MEMORY_BYTES = 4 * 2**30


class StackState(Struct, frozen=True, kw_only=True):
    """A stack of the active generation: `problem` is None when it is complete and unaltered."""

    name: str
    path: str
    problem: str | None
    packages: int


class Checkup(Struct, frozen=True, kw_only=True):
    """What the checks look at. `sources` is None when the network was not asked.

    `config_problem` is the reason why config.yaml cannot be read; `drift` lists owned keys that were changed.
    """

    facts: Facts
    profile: str | None
    obstacle: str | None
    uv_version: str | None
    uv_problem: str | None
    python_supported: bool
    config_exists: bool
    config_problem: str | None
    drift: tuple[str, ...]
    pending: bool
    state_problem: str | None
    generation: int | None
    stacks: tuple[StackState, ...]
    weights_problems: tuple[str, ...]
    smoke: tuple[SmokeResult, ...]
    sources: tuple[SourceAttempt, ...] | None


_APPLY = "provision apply auto"
# Conditions that keep a GPU from being used, with the cure where one command is enough.
_BLOCKING: dict[ConditionId, str | None] = {
    ConditionId.DRIVER_MISMATCH: "sudo reboot",
    ConditionId.DRIVER_NOT_LOADED: "sudo modprobe nvidia",
    ConditionId.GPU_LOST: "sudo reboot",
    ConditionId.GPU_NOT_ANSWERING: None,
    ConditionId.GPU_UNKNOWN: None,
    ConditionId.NO_DEVICE: None,
    ConditionId.NVML_ERROR: None,
    ConditionId.NVML_TIMEOUT: "sudo dmesg | grep -i -e nvrm -e xid   # what the driver says",
    ConditionId.NVML_LIBRARY_MISSING: None,
    ConditionId.NVIDIA_SMI_TIMEOUT: "sudo dmesg | grep -i -e nvrm -e xid   # what the driver says",
    ConditionId.NVIDIA_SMI_BROKEN: None,
}


def check_gpu(checkup: Checkup) -> Finding:
    """Is there a GPU that can be used?"""
    facts = checkup.facts
    if facts.gpus:
        names = ", ".join(
            f"{gpu.name} ({gpu.compute_capability or 'capability unknown'})" for gpu in facts.gpus
        )
        return Finding(id="hardware.gpu", severity=Severity.PASS, evidence=names)
    if facts.vendor is Vendor.NONE:
        evidence = "no GPU was found; models run on the CPU, slowly"
        return Finding(id="hardware.gpu", severity=Severity.WARN, evidence=evidence)
    maker = f"a GPU by {facts.vendor} is there" if facts.vendor else "there may be a GPU"
    return Finding(id="hardware.gpu", severity=Severity.FAIL, evidence=f"{maker}, but it does not answer")


def check_driver(checkup: Checkup) -> Finding:
    """Does the driver answer, and say which CUDA it serves?"""
    troubles = [condition for condition in checkup.facts.conditions if condition.id in _BLOCKING]
    if troubles and not checkup.facts.gpus:
        cure = next((cure for condition in troubles if (cure := _BLOCKING[condition.id])), None)
        evidence = "; ".join(condition.message for condition in troubles)
        return Finding(id="driver.answers", severity=Severity.FAIL, evidence=evidence, cure=cure)
    if checkup.facts.driver is None:
        return Finding(
            id="driver.answers", severity=Severity.SKIP, evidence="no GPU driver is installed or needed"
        )
    evidence = f"driver {checkup.facts.driver}, CUDA up to {checkup.facts.cuda_driver_version or 'unknown'}"
    return Finding(id="driver.answers", severity=Severity.PASS, evidence=evidence)


def check_profile(checkup: Checkup) -> Finding:
    """Does a profile fit this machine?"""
    if checkup.profile:
        return Finding(id="profile.fits", severity=Severity.PASS, evidence=f"profile {checkup.profile} fits")
    evidence = checkup.obstacle or "no profile fits"
    return Finding(id="profile.fits", severity=Severity.FAIL, evidence=evidence, cure="provision profiles")


def check_disk(checkup: Checkup) -> Finding:
    """Is there room for a stack?"""
    free = checkup.facts.host.disk_free_bytes
    if free is None:
        return Finding(id="disk.space", severity=Severity.SKIP, evidence="free space is not known")
    needed = _DISK_CPU_BYTES if checkup.profile == "cpu" else _DISK_CUDA_BYTES
    evidence = f"{free / 1e9:.1f} GB free, a stack needs up to {needed / 1e9:.0f} GB"
    if free >= needed or checkup.stacks:
        return Finding(id="disk.space", severity=Severity.PASS, evidence=evidence)
    return Finding(id="disk.space", severity=Severity.FAIL, evidence=evidence, cure="uv cache prune")


def check_memory(checkup: Checkup) -> Finding:
    """Is there memory enough to import torch and load a model?"""
    memory = checkup.facts.host.memory_bytes
    if memory is None:
        return Finding(id="memory.size", severity=Severity.SKIP, evidence="the size of memory is not known")
    evidence = f"{memory / 2**30:.1f} GiB of memory"
    severity = Severity.PASS if memory >= _MEMORY_BYTES else Severity.WARN
    return Finding(id="memory.size", severity=severity, evidence=evidence)


def check_python(checkup: Checkup) -> Finding:
    """Does the interpreter that stacks are made of have wheels?"""
    version = checkup.facts.host.python_version
    if checkup.python_supported:
        return Finding(id="python.version", severity=Severity.PASS, evidence=f"Python {version}")
    evidence = f"Python {version}; wheels of torch exist for 3.11 to 3.14"
    cure = "uv tool install --python 3.12 --force --editable ."
    return Finding(id="python.version", severity=Severity.FAIL, evidence=evidence, cure=cure)


def check_uv(checkup: Checkup) -> Finding:
    """Can uv be run?"""
    if checkup.uv_version:
        return Finding(id="tool.uv", severity=Severity.PASS, evidence=checkup.uv_version)
    evidence = checkup.uv_problem or "uv does not answer"
    return Finding(id="tool.uv", severity=Severity.FAIL, evidence=evidence, cure="./install.sh")


def check_sources(checkup: Checkup) -> Finding:
    """Does a source of packages serve the profile's torch?"""
    if checkup.sources is None:
        return Finding(id="network.packages", severity=Severity.SKIP, evidence="asked with --network only")
    answers = "; ".join(f"{item.source.label}: {item.answer}, {item.detail}" for item in checkup.sources)
    serving = any(item.answer is Answer.SERVES for item in checkup.sources)
    silent = any(item.answer is Answer.UNREACHABLE for item in checkup.sources)
    if not serving:
        cure = "export PIP_INDEX_URL=…   # a mirror that answers, or the proxy in HTTPS_PROXY"
        return Finding(id="network.packages", severity=Severity.FAIL, evidence=answers, cure=cure)
    severity = Severity.WARN if silent else Severity.PASS
    return Finding(id="network.packages", severity=severity, evidence=answers)


def check_state(checkup: Checkup) -> Finding:
    """Is the state whole?"""
    if checkup.state_problem is not None:
        return Finding(id="state.whole", severity=Severity.FAIL, evidence=checkup.state_problem)
    if checkup.pending:
        evidence = "an apply was cut short while it activated a generation"
        return Finding(id="state.whole", severity=Severity.WARN, evidence=evidence, cure=_APPLY)
    if checkup.generation is None:
        return Finding(
            id="state.whole", severity=Severity.SKIP, evidence="nothing was applied here", cure=_APPLY
        )
    evidence = f"generation {checkup.generation} is active"
    return Finding(id="state.whole", severity=Severity.PASS, evidence=evidence)


def check_stacks(checkup: Checkup) -> Finding:
    """Is every stack of the active generation complete?"""
    if not checkup.stacks:
        return Finding(id="stack.complete", severity=Severity.SKIP, evidence="no generation is active")
    broken = [stack for stack in checkup.stacks if stack.problem]
    if broken:
        evidence = "; ".join(f"{stack.name}: {stack.problem}" for stack in broken)
        return Finding(id="stack.complete", severity=Severity.FAIL, evidence=evidence, cure=_APPLY)
    evidence = ", ".join(f"{stack.name}: {stack.packages} packages" for stack in checkup.stacks)
    return Finding(id="stack.complete", severity=Severity.PASS, evidence=evidence)


def check_weights(checkup: Checkup) -> Finding:
    """Are the weights of every configured model there?"""
    if checkup.generation is None:
        return Finding(id="weights.present", severity=Severity.SKIP, evidence="no generation is active")
    if checkup.weights_problems:
        evidence = "; ".join(checkup.weights_problems)
        return Finding(id="weights.present", severity=Severity.FAIL, evidence=evidence, cure=_APPLY)
    evidence = "every file has the size that it had when its model was verified"
    return Finding(id="weights.present", severity=Severity.PASS, evidence=evidence)


def check_config(checkup: Checkup) -> Finding:
    """Can config.yaml be read, and does it say what the active generation wrote?"""
    if checkup.config_problem:
        return Finding(id="config.valid", severity=Severity.FAIL, evidence=checkup.config_problem)
    if not checkup.config_exists:
        severity = Severity.SKIP if checkup.generation is None else Severity.FAIL
        cure = None if checkup.generation is None else _APPLY
        return Finding(id="config.valid", severity=severity, evidence="there is no config.yaml", cure=cure)
    if checkup.drift:
        evidence = f"changed since it was written: {'; '.join(checkup.drift)}"
        return Finding(id="config.valid", severity=Severity.WARN, evidence=evidence, cure=_APPLY)
    return Finding(id="config.valid", severity=Severity.PASS, evidence="as the active generation wrote it")


def check_smoke(checkup: Checkup) -> Finding:
    """What did the models read when the active generation was verified?"""
    if not checkup.smoke:
        return Finding(id="smoke.verdict", severity=Severity.SKIP, evidence="no model was smoked here")
    evidence = "; ".join(f"{result.model}: {result.verdict}, {result.reason}" for result in checkup.smoke)
    worst = {result.verdict for result in checkup.smoke}
    if Verdict.FAIL in worst:
        return Finding(id="smoke.verdict", severity=Severity.FAIL, evidence=evidence, cure=_APPLY)
    severity = Severity.WARN if Verdict.DEGRADED in worst else Severity.PASS
    return Finding(id="smoke.verdict", severity=severity, evidence=evidence)


CHECKS: dict[str, Callable[[Checkup], Finding]] = {
    "hardware.gpu": check_gpu,
    "driver.answers": check_driver,
    "profile.fits": check_profile,
    "disk.space": check_disk,
    "memory.size": check_memory,
    "python.version": check_python,
    "tool.uv": check_uv,
    "network.packages": check_sources,
    "state.whole": check_state,
    "stack.complete": check_stacks,
    "weights.present": check_weights,
    "config.valid": check_config,
    "smoke.verdict": check_smoke,
}
