"""What a container or Windows' Linux subsystem was given of the GPU."""

from __future__ import annotations

from provision.core.checks.check import Check, Checkup
from provision.core.checks.conditions import find_messages, has_condition, hears_driver
from provision.core.checks.results import Result, failed, join_sentences, passed, skipped, warned
from provision.core.cures import CureKind, choose_cure
from provision.model.facts import ConditionId, Facts, Vendor

_Id = ConditionId
_SILENT = "no NVIDIA driver answers"
_NOTHING_GIVEN = (
    _Id.DEVICE_NODES_MISSING,
    _Id.NO_DEVICE,
    _Id.NVML_LIBRARY_MISSING,
    _Id.GPU_NOT_ANSWERING,
    _Id.GPU_UNKNOWN,
    _Id.NO_DRIVER_INSTALLED,
)


def check_container(checkup: Checkup) -> Result:
    """A container sees the GPUs that it was started with."""
    facts = checkup.facts
    if facts.host.container is None or facts.host.wsl is not None:
        return skipped("not in a container")
    if hears_driver(facts) or (facts.gpus and facts.vendor is not Vendor.NVIDIA):
        return passed(f"the container ({facts.host.container}) was given {len(facts.gpus)} GPU(s)")
    cure = choose_cure(CureKind.CONTAINER_GPU, checkup.place)
    if messages := find_messages(facts, *_NOTHING_GIVEN):
        return failed(join_sentences(messages), cure)
    if facts.vendor is Vendor.NONE:
        return skipped("the container sees no GPU; if the host has one, it was not given")
    return skipped("why the GPU does not answer is not the container's doing: driver.answers")


def check_cuda_compat(checkup: Checkup) -> Result:
    """cuda-compat serves data centre cards; on others it breaks what the driver alone would do.

    https://docs.nvidia.com/deploy/cuda-compatibility/ (forward compatibility)
    """
    facts = checkup.facts
    if messages := find_messages(facts, _Id.CUDA_COMPAT, _Id.CUDA_FORWARD_COMPAT):
        cure = "find / -xdev -path '*cuda*/compat/libcuda.so*' 2>/dev/null   # keep it out of LD_LIBRARY_PATH"
        return warned(join_sentences(messages), cure)
    return passed("no forward compatibility libraries were seen") if hears_driver(facts) else skipped(_SILENT)


def check_wsl_version(checkup: Checkup) -> Result:
    """WSL 1 has no GPU at all."""
    facts = checkup.facts
    if facts.host.wsl is None and not has_condition(facts, _Id.WSL1):
        return skipped("not in WSL")
    if facts.host.wsl == 1 or has_condition(facts, _Id.WSL1):
        messages = find_messages(facts, _Id.WSL1) or find_messages(facts, _Id.WSL)
        return failed(
            join_sentences(messages) or "this is WSL 1", choose_cure(CureKind.WSL_VERSION, checkup.place)
        )
    return passed(f"WSL {facts.host.wsl}")


def check_wsl_driver(checkup: Checkup) -> Result:
    """A Linux driver inside WSL hides the one of Windows."""
    facts = checkup.facts
    if facts.host.wsl is None and not has_condition(facts, _Id.WSL_DRIVER_INSIDE):
        return skipped("not in WSL")
    if messages := find_messages(facts, _Id.WSL_DRIVER_INSIDE):
        return failed(join_sentences(messages), choose_cure(CureKind.WSL_DRIVER_INSIDE, checkup.place))
    return passed("no Linux driver was found inside WSL")


def check_wsl_library(checkup: Checkup) -> Result:
    """Windows' driver brings /usr/lib/wsl/lib, where libcuda and nvidia-smi of WSL lie."""
    facts = checkup.facts
    if facts.host.wsl is None:
        return skipped("not in WSL")
    if hears_driver(facts):
        return passed("the driver of Windows answers inside WSL")
    if facts.host.wsl == 1:
        return skipped("WSL 1 has no GPU: wsl.version")
    evidence = _explain_silence(facts)
    return failed(evidence, choose_cure(CureKind.DRIVER_INSTALL, checkup.place))


def _explain_silence(facts: Facts) -> str:
    said = join_sentences(
        find_messages(facts, _Id.NVML_LIBRARY_MISSING, _Id.NO_GPU, _Id.NVIDIA_SMI_NOT_FOUND)
    )
    start = "no GPU answers inside WSL: Windows has no NVIDIA driver, or one or a WSL that is too old"
    return f"{start}. {said}" if said else start


CHECKS = (
    Check(id="container.devices", question="Was the container given a GPU?", run=check_container),
    Check(
        id="container.cuda-compat",
        question="Do newer CUDA libraries (cuda-compat) stand before the driver's own?",
        run=check_cuda_compat,
    ),
    Check(id="wsl.version", question="Is it WSL 2, which has GPUs?", run=check_wsl_version),
    Check(
        id="wsl.driver-inside",
        question="Is a Linux driver installed inside WSL, where it hides that of Windows?",
        run=check_wsl_driver,
    ),
    Check(id="wsl.library", question="Does the driver of Windows reach into WSL?", run=check_wsl_library),
)
