"""The GPUs: is there one, is it known, alike, free and whole."""

from __future__ import annotations

from provision.core.checks.check import Check, Checkup
from provision.core.checks.conditions import (
    find_messages,
    find_troubles,
    hears_driver,
    names_no_gpu,
    say_why_not_nvidia,
)
from provision.core.checks.results import Result, failed, join_sentences, passed, skipped, warned
from provision.core.cures import CureKind, build_own_cure, choose_cure
from provision.core.shells import render_export
from provision.model.facts import ConditionId, Gpu, Vendor

# A desktop holds this much of a card, and this share of a large one; what is over it, a model misses.
_NOTABLE_MIB = 1024
_NOTABLE_SHARE = 0.1
_NO_ANSWER = "the driver does not answer: driver.answers"


def check_gpu(checkup: Checkup) -> Result:
    """A GPU that answers; a machine without one works, slowly."""
    facts = checkup.facts
    names = ", ".join(_name(gpu) for gpu in facts.gpus)
    if facts.gpus and (hears_driver(facts) or facts.vendor not in (Vendor.NVIDIA, Vendor.MIXED)):
        return passed(names)
    if facts.gpus:
        return warned(f"{names}, as {facts.gpu_source} lists it; whether the driver answers: driver.answers")
    return _judge_none(checkup) if facts.vendor is Vendor.NONE else _judge_unknown(checkup)


def _judge_unknown(checkup: Checkup) -> Result:
    """No GPU that could be read, and no word that there is none."""
    facts = checkup.facts
    if any(item.id is ConditionId.UNRECOGNISED for item in facts.conditions):
        # Else `nvidia-smi | provision doctor --paste -` is content when nvidia-smi has failed in silence.
        return failed("the text is not the output of a program that is known here", "provision detect --help")
    if checkup.scope.elsewhere and names_no_gpu(facts):
        return skipped("the text shows no GPU")
    if facts.vendor in (Vendor.AMD, Vendor.INTEL, Vendor.APPLE):
        told = join_sentences(find_troubles(facts) or (item.message for item in facts.conditions))
        return failed(told or f"a GPU by {facts.vendor} is there, but it does not answer")
    maker = "a GPU by nvidia is there" if facts.vendor else "there may be a GPU"
    return failed(f"{maker}, but it does not answer: driver.answers")


def _judge_none(checkup: Checkup) -> Result:
    """A machine without a GPU is whole; that models are slow there is said until somebody chose it."""
    generation = checkup.state.generation
    if checkup.state.profile == "cpu":
        return passed(f"no GPU was found, and generation {generation} is made for the CPU")
    return warned(
        "no GPU was found; models run on the CPU, slowly",
        None if checkup.scope.elsewhere else build_own_cure(checkup.place, "apply", "cpu"),
    )


def check_architecture(checkup: Checkup) -> Result:
    """Whether the choice of wheels stands on the driver's word, on a name, or on nothing."""
    gpus = checkup.facts.gpus
    if not gpus:
        return skipped("no GPU answers")
    unknown = [gpu for gpu in gpus if gpu.arch is None and gpu.best_compute_capability is None]
    guessed = [gpu for gpu in gpus if gpu.compute_capability is None and gpu.compute_capability_by_name]
    if unknown:
        names = ", ".join(gpu.name or "a GPU without a name" for gpu in unknown)
        return warned(f"the architecture of {names} is unknown: neither the driver nor the name tells it")
    if guessed:
        evidence = join_sentences(
            dict.fromkeys(
                f"{gpu.name} is taken for {gpu.arch or 'unknown'} "
                f"(compute capability {gpu.compute_capability_by_name}) by its name."
                for gpu in guessed
            )
        )
        # Most texts do not tell the capability, which is no fault of the machine that printed them.
        return passed(evidence) if checkup.scope.elsewhere else warned(evidence)
    return passed(", ".join(f"{gpu.name or 'a GPU'}: {gpu.arch or 'unknown'}" for gpu in gpus))


def check_mixed(checkup: Checkup) -> Result:
    """Several kinds of GPU: a stack is made for the first."""
    messages = find_messages(checkup.facts, ConditionId.MIXED_MODELS, ConditionId.MIXED_VENDORS)
    gpus = checkup.facts.gpus
    if messages:
        chosen = next((gpu.uuid for gpu in gpus if gpu.uuid), None)
        cure = render_export(checkup.place.shell, "CUDA_VISIBLE_DEVICES", chosen) if chosen else None
        return warned(join_sentences(messages), cure)
    if not gpus:
        return skipped("no GPU answers")
    return passed("one GPU" if len(gpus) == 1 else f"{len(gpus)} GPUs, all alike")


def check_memory(checkup: Checkup) -> Result:
    """Memory of the GPU that is free, and who holds the rest."""
    gpus = checkup.facts.gpus
    told = [gpu for gpu in gpus if gpu.memory_mib is not None]
    if not told:
        return skipped("no GPU tells the size of its memory" if gpus else "no GPU answers")
    sizes = ", ".join(_say_memory(gpu) for gpu in told)
    holders = find_messages(checkup.facts, ConditionId.GPU_MEMORY_IN_USE)
    held = any(_is_held(gpu) for gpu in told)
    if holders or held:
        cure = choose_cure(CureKind.GPU_PROCESSES, checkup.place)
        return warned(join_sentences([f"{sizes}.", *holders]), cure)
    return passed(sizes)


def check_lost(checkup: Checkup) -> Result:
    """A card that was there at boot and fell off the bus."""
    facts = checkup.facts
    if reason := say_why_not_nvidia(facts):
        return skipped(reason)
    if messages := find_messages(facts, ConditionId.GPU_LOST):
        return failed(join_sentences(messages), choose_cure(CureKind.RESTART, checkup.place))
    return passed("no GPU was lost since the start") if hears_driver(facts) else skipped(_NO_ANSWER)


def check_mig(checkup: Checkup) -> Result:
    """MIG without an instance shows no GPU at all."""
    facts = checkup.facts
    if reason := say_why_not_nvidia(facts):
        return skipped(reason)
    if messages := find_messages(facts, ConditionId.MIG_NO_INSTANCES):
        return failed(join_sentences(messages), choose_cure(CureKind.MIG_INSTANCE, checkup.place))
    if messages := find_messages(facts, ConditionId.MIG):
        return warned(join_sentences(messages))
    if messages := find_messages(facts, ConditionId.MIG_CAPABLE_DISABLED):
        return passed(join_sentences(messages))
    return passed("no GPU is in MIG mode") if hears_driver(facts) else skipped(_NO_ANSWER)


def check_virtual(checkup: Checkup) -> Result:
    """A card that belongs to virtual machines cannot be computed with from their host."""
    facts = checkup.facts
    if reason := say_why_not_nvidia(facts):
        return skipped(reason)
    away = find_messages(facts, ConditionId.VGPU_HOST, ConditionId.VFIO_PASSTHROUGH)
    if away:
        return failed(join_sentences(away), "run provision inside the virtual machine that has the GPU")
    if messages := find_messages(facts, ConditionId.VGPU):
        return warned(join_sentences(messages))
    return passed("the GPU is this machine's own") if hears_driver(facts) else skipped(_NO_ANSWER)


def _name(gpu: Gpu) -> str:
    told = gpu.best_compute_capability or gpu.arch or "capability unknown"
    return f"{gpu.name or gpu.marketing_name or 'a GPU without a name'} ({told})"


def _is_held(gpu: Gpu) -> bool:
    return (gpu.memory_used_mib or 0) >= max(_NOTABLE_MIB, _NOTABLE_SHARE * (gpu.memory_mib or 0))


def _say_memory(gpu: Gpu) -> str:
    total_mib = gpu.memory_mib or 0
    name = gpu.name or "a GPU"
    if gpu.memory_used_mib is None:
        return f"{name}: {total_mib / 1024:.1f} GiB, how much of it is free is not told"
    free_mib = total_mib - gpu.memory_used_mib
    return f"{name}: {free_mib / 1024:.1f} of {total_mib / 1024:.1f} GiB free"


CHECKS = (
    Check(id="hardware.gpu", question="Is there a GPU that can be used?", run=check_gpu),
    Check(
        id="hardware.architecture",
        question="Is the architecture of every GPU known?",
        run=check_architecture,
    ),
    Check(id="hardware.mixed", question="Are the GPUs all alike?", run=check_mixed),
    Check(
        id="hardware.memory",
        question="Is the GPUs' memory free, and who holds what is not?",
        run=check_memory,
    ),
    Check(
        id="hardware.lost",
        question="Does every GPU still answer that was there at the start?",
        run=check_lost,
    ),
    Check(id="hardware.mig", question="Is a GPU split by MIG, and are there instances?", run=check_mig),
    Check(
        id="hardware.virtual",
        question="Does the GPU belong to this machine, or to virtual machines?",
        run=check_virtual,
    ),
)
