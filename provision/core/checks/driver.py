"""NVIDIA's driver: installed, loaded, of one version, and answering."""

from __future__ import annotations

from provision.core.checks.check import Check, Checkup
from provision.core.checks.conditions import (
    find_messages,
    find_troubles,
    has_condition,
    hears_driver,
    say_why_not_nvidia,
)
from provision.core.checks.results import Result, failed, join_sentences, passed, skipped, warned
from provision.core.cures import CureKind, choose_cure
from provision.model.facts import ConditionId, Facts, Vendor

_Id = ConditionId
_NO_ANSWER = "the driver does not answer, and nothing points to this: driver.answers"
_HUNG = (_Id.NVML_TIMEOUT, _Id.NVIDIA_SMI_TIMEOUT, _Id.NVML_ERROR, _Id.NVML_UNKNOWN_ERROR, _Id.NO_DEVICE)


def check_answers(checkup: Checkup) -> Result:
    """A driver that speaks for a GPU, and the CUDA that it serves."""
    facts = checkup.facts
    if facts.gpus and facts.vendor not in (Vendor.NVIDIA, Vendor.MIXED):
        return passed(f"driver {facts.driver}") if facts.driver else skipped("no NVIDIA GPU here")
    if reason := say_why_not_nvidia(facts):
        return skipped("no GPU driver is installed or needed" if facts.vendor is Vendor.NONE else reason)
    troubles = find_troubles(facts)
    if troubles and not hears_driver(facts):
        return failed(join_sentences(troubles), _choose_cure_of_silence(checkup))
    if not hears_driver(facts):
        return skipped("nothing that asks the driver has spoken")
    if facts.driver is None:
        return warned("the driver answers; its version is not told")
    served = f"CUDA up to {facts.cuda_driver_version or 'unknown'}"
    return passed(f"driver {facts.driver}, {served}")


def _choose_cure_of_silence(checkup: Checkup) -> str | None:
    """The cure of what is told apart, else where to look."""
    facts = checkup.facts
    if has_condition(facts, _Id.VFIO_PASSTHROUGH):
        return None
    contained = facts.host.container is not None and facts.host.wsl is None
    kinds = (
        (has_condition(facts, _Id.WSL1), CureKind.WSL_VERSION),
        (has_condition(facts, _Id.WSL_DRIVER_INSIDE), CureKind.WSL_DRIVER_INSIDE),
        (has_condition(facts, _Id.DRIVER_MISMATCH, _Id.GPU_LOST), CureKind.RESTART),
        (has_condition(facts, _Id.MIG_NO_INSTANCES), CureKind.MIG_INSTANCE),
        (has_condition(facts, _Id.DEVICE_NODES_DENIED), CureKind.DEVICE_ACCESS),
        (contained, CureKind.CONTAINER_GPU),
        (has_condition(facts, _Id.DEVICE_NODES_MISSING), CureKind.DEVICE_NODES),
        (has_condition(facts, *_HUNG), CureKind.DRIVER_LOG),
        (has_condition(facts, _Id.SECURE_BOOT), CureKind.SECURE_BOOT),
        (has_condition(facts, _Id.NO_DRIVER_INSTALLED, _Id.NOUVEAU), choose_install(facts)),
        (has_condition(facts, _Id.DRIVER_NOT_LOADED), CureKind.DRIVER_LOAD),
    )
    kind = next((kind for holds, kind in kinds if holds), choose_install(facts))
    return choose_cure(kind, checkup.place)


def choose_install(facts: Facts) -> CureKind:
    """Cards older than Turing need the proprietary modules, which not every package brings."""
    capabilities = [gpu.best_compute_capability for gpu in facts.gpus]
    old = any(told is not None and _major_minor(told) < (7, 5) for told in capabilities)
    return CureKind.DRIVER_INSTALL_LEGACY if old else CureKind.DRIVER_INSTALL


def _major_minor(capability: str) -> tuple[int, int]:
    major, _, minor = capability.partition(".")
    return (int(major) if major.isdecimal() else 99, int(minor) if minor.isdecimal() else 0)


def check_installed(checkup: Checkup) -> Result:
    """A card without any driver of NVIDIA's."""
    facts = checkup.facts
    if reason := say_why_not_nvidia(facts):
        return skipped(reason)
    if messages := find_messages(facts, _Id.NO_DRIVER_INSTALLED):
        return failed(join_sentences(messages), choose_cure(choose_install(facts), checkup.place))
    if facts.driver is not None:
        return passed(f"driver {facts.driver}")
    if has_condition(facts, _Id.DRIVER_NOT_LOADED, _Id.DRIVER_MISMATCH, _Id.NVML_ERROR):
        return passed("NVIDIA's software is installed")
    return skipped("whether a driver is installed is not told")


def check_mismatch(checkup: Checkup) -> Result:
    """Kernel module and libraries of different versions, as after an update without a restart."""
    return _judge_condition(
        checkup, _Id.DRIVER_MISMATCH, CureKind.RESTART, "kernel module and libraries are of one version"
    )


def check_not_loaded(checkup: Checkup) -> Result:
    """Software of NVIDIA's without its kernel module."""
    return _judge_condition(
        checkup, _Id.DRIVER_NOT_LOADED, CureKind.DRIVER_LOAD, "the kernel module is loaded"
    )


def check_nouveau(checkup: Checkup) -> Result:
    """The kernel's own driver on an NVIDIA card."""
    facts = checkup.facts
    installed = facts.driver is not None or has_condition(facts, _Id.DRIVER_NOT_LOADED)
    kind = CureKind.NOUVEAU if installed else choose_install(facts)
    return _judge_condition(checkup, _Id.NOUVEAU, kind, "nouveau does not hold the GPU")


def check_secure_boot(checkup: Checkup) -> Result:
    """Secure boot refuses a module without an enrolled key; where the driver answers it was let in."""
    facts = checkup.facts
    if reason := say_why_not_nvidia(facts):
        return skipped(reason)
    messages = find_messages(facts, _Id.SECURE_BOOT)
    if hears_driver(facts):
        return passed("the driver was let in" if not messages else "secure boot is on and let the driver in")
    if not messages:
        return skipped(_NO_ANSWER)
    return failed(join_sentences(messages), choose_cure(CureKind.SECURE_BOOT, checkup.place))


def check_uvm(checkup: Checkup) -> Result:
    """nvidia-smi works without nvidia_uvm, CUDA does not."""
    return _judge_condition(
        checkup, _Id.NVIDIA_UVM_MISSING, CureKind.UVM, "nothing says that nvidia_uvm is missing"
    )


def check_library(checkup: Checkup) -> Result:
    """The libraries that nvidia-smi and CUDA stand on."""
    facts = checkup.facts
    if reason := say_why_not_nvidia(facts):
        return skipped(reason)
    messages = find_messages(facts, _Id.NVML_LIBRARY_MISSING)
    if messages and not hears_driver(facts):
        inside = facts.host.container is not None and facts.host.wsl is None
        kind = CureKind.CONTAINER_GPU if inside else choose_install(facts)
        return failed(join_sentences(messages), choose_cure(kind, checkup.place))
    if messages := find_messages(facts, _Id.NVIDIA_SMI_NOT_FOUND):
        return warned(join_sentences(messages)) if hears_driver(facts) else skipped(join_sentences(messages))
    return passed("the driver's libraries are found") if hears_driver(facts) else skipped(_NO_ANSWER)


def check_device_nodes(checkup: Checkup) -> Result:
    """The device files, on a machine of one's own: in containers they are given, see container.devices."""
    if checkup.facts.host.container is not None:
        return skipped("in a container the device files are given to it: container.devices")
    return _judge_condition(
        checkup, _Id.DEVICE_NODES_MISSING, CureKind.DEVICE_NODES, "nothing says that a device file is missing"
    )


def check_device_access(checkup: Checkup) -> Result:
    """Device files that this user may not open."""
    return _judge_condition(
        checkup, _Id.DEVICE_NODES_DENIED, CureKind.DEVICE_ACCESS, "nothing says that they may not be opened"
    )


def check_kernel_module(checkup: Checkup) -> Result:
    """Blackwell is served by the open kernel modules only.

    https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/kernel-modules.html
    """
    facts = checkup.facts
    if reason := say_why_not_nvidia(facts):
        return skipped(reason)
    if has_condition(facts, _Id.OPEN_KERNEL_MODULE):
        return passed("the open kernel module is loaded")
    if not has_condition(facts, _Id.CLOSED_KERNEL_MODULE):
        return skipped("which kernel module is loaded is not told")
    evidence = "the proprietary kernel module is loaded; Blackwell is served by the open one only"
    if any(_major_minor(gpu.best_compute_capability or "0.0") >= (10, 0) for gpu in facts.gpus):
        return failed(evidence, choose_cure(CureKind.DRIVER_INSTALL, checkup.place))
    if not facts.gpus and has_condition(facts, _Id.NO_DEVICE):
        suspicion = f"{evidence}, and the driver shows no GPU: if the card is one, this is why"
        return warned(suspicion, choose_cure(CureKind.DRIVER_INSTALL, checkup.place))
    return passed("the proprietary kernel module is loaded, which serves this GPU")


def _judge_condition(checkup: Checkup, condition: ConditionId, kind: CureKind, otherwise: str) -> Result:
    """Fail with the condition's sentence and the cure; pass with `otherwise` only where a GPU answers."""
    if reason := say_why_not_nvidia(checkup.facts):
        return skipped(reason)
    if messages := find_messages(checkup.facts, condition):
        return failed(join_sentences(messages), choose_cure(kind, checkup.place))
    return passed(otherwise) if hears_driver(checkup.facts) else skipped(_NO_ANSWER)


CHECKS = (
    Check(
        id="driver.answers",
        question="Does the driver answer, and which CUDA does it serve?",
        run=check_answers,
    ),
    Check(id="driver.installed", question="Is a driver of NVIDIA's installed?", run=check_installed),
    Check(
        id="driver.mismatch",
        question="Are the kernel module and the driver's libraries of one version?",
        run=check_mismatch,
    ),
    Check(id="driver.not-loaded", question="Is the driver's kernel module loaded?", run=check_not_loaded),
    Check(
        id="driver.nouveau", question="Does nouveau hold the GPU in place of the driver?", run=check_nouveau
    ),
    Check(
        id="driver.secure-boot",
        question="Does secure boot refuse the driver's module?",
        run=check_secure_boot,
    ),
    Check(
        id="driver.uvm", question="Is the kernel module nvidia_uvm there, which CUDA needs?", run=check_uvm
    ),
    Check(id="driver.library", question="Are the driver's libraries found?", run=check_library),
    Check(id="driver.device-nodes", question="Are the GPU's device files there?", run=check_device_nodes),
    Check(
        id="driver.device-access",
        question="May this user open the GPU's device files?",
        run=check_device_access,
    ),
    Check(
        id="driver.kernel-module",
        question="Is it the kernel module, open or proprietary, that this GPU needs?",
        run=check_kernel_module,
    ),
)
