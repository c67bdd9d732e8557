"""What becomes of flash-attn: absent, a wheel that fits exactly, the Hub's kernels, or a build that was asked for."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from provision.core.flash_wheels import (
    NAME,
    FlashTarget,
    compare_code,
    compare_cuda,
    compare_sass,
    compare_torch,
    judge_wheel,
    parse_flash_wheel,
    parse_label,
    split_capability,
)
from provision.model.flash_attention import FlashKnowledge
from provision.model.profile import EvidenceStatus, FlashAttention, FlashChoice


class FlashDecision(Struct, frozen=True, kw_only=True):
    """What is done about flash-attn. `requirement` is in pip's syntax, `wheel` the name of the file that fits."""

    choice: FlashChoice
    reason: str
    requirement: str | None = None
    wheel: str | None = None


def choose_flash_attention(
    chosen: FlashAttention,
    target: FlashTarget,
    transformers: str,
    knowledge: FlashKnowledge,
    *,
    found: Sequence[str] = (),
    asked: FlashChoice | None = None,
) -> FlashDecision:
    """What becomes of flash-attn in a stack.

    `chosen` is the profile's; `asked` is the user's and goes before it; `transformers` is the stack's version;
    `found` are the names of the wheels that the sources offer. Whatever does not fit becomes absent, with the reason.
    """
    choice = asked or chosen.choice
    if choice is FlashChoice.ABSENT:
        return _leave_out("it was asked to be left out" if asked else chosen.reason)
    refusal = refuse_device(target, knowledge)
    if refusal is not None:
        return _leave_out(refusal)
    if choice is FlashChoice.WHEEL:
        return _choose_wheel(found, target, knowledge)
    if choice is FlashChoice.KERNELS:
        return _choose_kernels(target, transformers, knowledge)
    if asked is None:
        return _leave_out("flash-attn is never built from source unless asked")
    return _choose_source(target, knowledge)


def refuse_device(target: FlashTarget, knowledge: FlashKnowledge) -> str | None:
    """Why no flash-attn can run on the target's device; None when some may."""
    if target.cuda is None:
        return "flash-attn needs a torch that is built for CUDA"
    if target.capability is None:
        return "no NVIDIA GPU is known here to choose flash-attn for"
    if split_capability(target.capability) < split_capability(knowledge.minimum_capability):
        least = knowledge.minimum_capability
        return f"flash-attn 2 needs compute capability {least} or newer; this is {target.capability}"
    return None


def _leave_out(reason: str) -> FlashDecision:
    return FlashDecision(choice=FlashChoice.ABSENT, reason=reason)


def _choose_wheel(found: Sequence[str], target: FlashTarget, knowledge: FlashKnowledge) -> FlashDecision:
    """The newest wheel that fits. Of those that do not, the last of the newest version says why."""
    wheels = [(name, wheel) for name in found if (wheel := parse_flash_wheel(name)) is not None]
    wheels.sort(key=lambda pair: Version(pair[1].version))
    for name, wheel in reversed(wheels):
        verdict = judge_wheel(name, target, knowledge)
        if verdict.fits:
            return FlashDecision(
                choice=FlashChoice.WHEEL,
                reason=verdict.reason,
                requirement=f"{NAME}=={wheel.version}",
                wheel=name,
            )
    if not wheels:
        return _leave_out("no wheel of flash-attn was found")
    nearest = wheels[-1][0]
    count = (
        "the only wheel found does not fit"
        if len(wheels) == 1
        else f"none of {len(wheels)} wheels found fits"
    )
    return _leave_out(f"{count}; {nearest}: {judge_wheel(nearest, target, knowledge).reason}")


def _choose_kernels(target: FlashTarget, transformers: str, knowledge: FlashKnowledge) -> FlashDecision:
    kernels = knowledge.kernels
    refusal = compare_sass(kernels.sass, target.capability or "", f"builds of {kernels.repository}")
    if refusal is not None:
        return _leave_out(refusal)
    for row in kernels.ranges:
        if SpecifierSet(row.transformers).contains(transformers):
            return FlashDecision(
                choice=FlashChoice.KERNELS,
                reason=f"transformers {transformers} fetches {kernels.repository} through kernels {row.kernels}",
                requirement=f"kernels{row.kernels}",
            )
    return _leave_out(f"which kernels transformers {transformers} takes is not known")


def _choose_source(target: FlashTarget, knowledge: FlashKnowledge) -> FlashDecision:
    version = knowledge.source_version
    refusal = compare_sass(knowledge.source_sass, target.capability or "", f"builds of {version} from source")
    if refusal is not None:
        return _leave_out(refusal)
    return FlashDecision(
        choice=FlashChoice.SOURCE,
        reason="asked for; it needs CUDA's compiler, 12.8 or newer for Blackwell, and takes about an hour",
        requirement=f"{NAME}=={version}",
    )


def judge_installed(
    version: str, target: FlashTarget, knowledge: FlashKnowledge, *, torch_before: str | None = None
) -> tuple[bool, str]:
    """Whether a flash-attn that is installed may stay beside the target's torch: (keep, one sentence why).

    `version` is the installed one with its label; `torch_before` is the torch that it was installed beside, by
    which a build that names none is judged. Where it is not known to work on the device it goes.
    """
    try:
        installed = Version(version)
    except InvalidVersion:
        return False, f"flash-attn's version {version!r} cannot be read"
    refusal = refuse_device(target, knowledge)
    if refusal is not None:
        return False, refusal
    if installed < Version(knowledge.minimum_version):
        return False, f"transformers takes flash-attn {knowledge.minimum_version} or newer; this is {version}"
    unproven = _find_unproven(target, knowledge)
    if unproven is not None:
        return False, unproven
    cuda, torch, _ = parse_label(installed)
    before = ".".join((torch_before or "").split(".")[:2]) or None
    refusal = compare_torch(torch or before, target)
    if refusal is None and cuda is not None:
        refusal = compare_cuda(cuda, target)
    if refusal is None:
        refusal = compare_code(version, target, knowledge)
    if refusal is not None:
        return False, f"flash-attn {version}: {refusal}"
    return True, f"flash-attn {version} is built for this torch, and known to work on {target.capability}"


def _find_unproven(target: FlashTarget, knowledge: FlashKnowledge) -> str | None:
    status = {device.capability: device.status for device in knowledge.devices}
    if status.get(target.capability or "", EvidenceStatus.UNKNOWN) is not EvidenceStatus.UNKNOWN:
        return None
    return f"flash-attn is not verified on compute capability {target.capability}, and sdpa needs none"
