"""Wheels of flash-attn: what a file's name says, and whether it fits a torch and a device exactly."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from provision.model.flash_attention import FlashKnowledge

NAME = "flash-attn"
# Longer names and longer lists of tags are nobody's: each dot multiplies the tags.
_LONGEST_NAME, _MOST_DOTS = 300, 16
# What setup.py of flash-attn writes behind the plus sign: cu13torch2.10cxx11abiTRUE. Others leave the ABI out.
_LABEL = re.compile(
    r"(?:cu(\d{2,3})|rocm[\d.]{1,12}?)?torch(\d{1,2}\.\d{1,3})(?:cxx11abi(true|false))?", re.ASCII
)
_PLATFORMS = {
    "linux-x86_64": re.compile(r"(?:many)?linux\w*_x86_64", re.ASCII),
    "linux-aarch64": re.compile(r"(?:many)?linux\w*_aarch64", re.ASCII),
    "windows-amd64": re.compile(r"win_amd64", re.ASCII),
}
# From 2.7 on torch's own Linux wheels are built with the new ABI: https://github.com/pytorch/pytorch/issues/123649
_FIRST_TORCH_WITH_CXX11_ABI = Version("2.7")


class FlashTarget(Struct, frozen=True, kw_only=True):
    """What a build of flash-attn has to fit.

    `torch` is a version such as 2.11.0; `cuda` such as "13.0", None for a torch without CUDA; `python` such as
    "3.12"; `platform` as in profiles; `capability` such as "12.0", None where no NVIDIA GPU is known.
    """

    torch: str
    cuda: str | None
    python: str
    platform: str
    capability: str | None
    cxx11_abi: bool = True


class FlashWheel(Struct, frozen=True, kw_only=True):
    """What a wheel's name says. `cuda` is "13" or "12.8", `torch` "2.10"; None where the name does not tell."""

    version: str
    cuda: str | None
    torch: str | None
    cxx11_abi: bool | None
    tags: frozenset[Tag]


class WheelVerdict(Struct, frozen=True, kw_only=True):
    """Whether a wheel fits; `reason` is one sentence, and names the first thing that differs where it does not."""

    fits: bool
    reason: str


def build_flash_target(
    *, torch: str, cuda: str | None, python: str, platform: str, capability: str | None
) -> FlashTarget:
    """The target of one of torch's own wheels, whose C++ ABI its version tells."""
    try:
        cxx11_abi = not platform.startswith("linux") or Version(torch) >= _FIRST_TORCH_WITH_CXX11_ABI
    except InvalidVersion:
        cxx11_abi = True
    return FlashTarget(
        torch=torch, cuda=cuda, python=python, platform=platform, capability=capability, cxx11_abi=cxx11_abi
    )


def parse_flash_wheel(name: str) -> FlashWheel | None:
    """What the file name of a wheel of flash-attn says; None for any other name."""
    name = name.rpartition("/")[2].replace("%2B", "+").replace("%2b", "+")
    if len(name) > _LONGEST_NAME or name.count(".") > _MOST_DOTS or not name.isascii():
        return None
    try:
        project, version, _, tags = parse_wheel_filename(name)
    except (InvalidWheelFilename, InvalidVersion, ValueError):
        return None
    if project != NAME:
        return None
    cuda, torch, cxx11_abi = parse_label(version)
    return FlashWheel(version=str(version), cuda=cuda, torch=torch, cxx11_abi=cxx11_abi, tags=tags)


def parse_label(version: Version) -> tuple[str | None, str | None, bool | None]:
    """(CUDA, torch, C++11 ABI) of the local part of a version: ("13", "2.10", True)."""
    found = _LABEL.fullmatch(version.local or "")
    if found is None:
        return None, None, None
    digits = found[1]
    cuda = None if digits is None else ".".join(part for part in (digits[:2], digits[2:]) if part)
    return cuda, found[2], None if found[3] is None else found[3] == "true"


def judge_wheel(name: str, target: FlashTarget, knowledge: FlashKnowledge) -> WheelVerdict:
    """Whether the wheel called `name` fits exactly: torch, CUDA, Python, platform, ABI, code for the device."""
    wheel = parse_flash_wheel(name)
    if wheel is None:
        return WheelVerdict(fits=False, reason="the name is not that of a wheel of flash-attn")
    reason = (
        compare_torch(wheel.torch, target)
        or compare_cuda(wheel.cuda, target)
        or _compare_tags(wheel.tags, target)
        or _compare_abi(wheel.cxx11_abi, target)
        or compare_code(wheel.version, target, knowledge)
    )
    if reason is not None:
        return WheelVerdict(fits=False, reason=reason)
    said = f"built for torch {wheel.torch}, CUDA {wheel.cuda}, Python {target.python} on {target.platform}"
    return WheelVerdict(fits=True, reason=said)


def compare_torch(built_for: str | None, target: FlashTarget) -> str | None:
    wanted = ".".join(target.torch.split(".")[:2])
    if built_for is None:
        return f"it does not say for which torch it is built; this is {wanted}"
    return None if built_for == wanted else f"it is built for torch {built_for}; this is {wanted}"


def compare_cuda(built_for: str | None, target: FlashTarget) -> str | None:
    """A name with two digits means every minor version: flash-attn's makers build one for all."""
    if target.cuda is None:
        return "this torch is not built for CUDA"
    if built_for is None:
        return f"it does not say for which CUDA it is built; this is {target.cuda}"
    same = target.cuda == built_for if "." in built_for else target.cuda.partition(".")[0] == built_for
    return None if same else f"it is built for CUDA {built_for}; this is {target.cuda}"


def _compare_tags(tags: frozenset[Tag], target: FlashTarget) -> str | None:
    python = f"cp{target.python.replace('.', '')}"
    mine = [tag for tag in tags if tag.interpreter == python and tag.abi == python]
    if not mine:
        built_for = ", ".join(sorted({f"{tag.interpreter}-{tag.abi}" for tag in tags}))
        return f"it is built for {built_for}; this is {python}-{python}"
    pattern = _PLATFORMS.get(target.platform)
    if pattern is None or not any(pattern.fullmatch(tag.platform) for tag in mine):
        built_for = ", ".join(sorted({tag.platform for tag in mine}))
        return f"it is built for {built_for}; this is {target.platform}"
    return None


def _compare_abi(cxx11_abi: bool | None, target: FlashTarget) -> str | None:
    """Only Linux has two ABIs, and from torch 2.7 on only one of them: a name that is silent means that one."""
    if not target.platform.startswith("linux"):
        return None
    if cxx11_abi is None:
        return (
            None
            if target.cxx11_abi
            else "it does not say which C++ ABI it is built with; this is the old one"
        )
    words = {True: "new", False: "old"}
    if cxx11_abi == target.cxx11_abi:
        return None
    return (
        f"it is built with the {words[cxx11_abi]} C++ ABI; this torch has the {words[target.cxx11_abi]} one"
    )


def compare_code(version: str, target: FlashTarget, knowledge: FlashKnowledge) -> str | None:
    """Whether the makers' wheels of this version carry code for the device."""
    if target.capability is None:
        return "no compute capability is known to judge its code by"
    public = Version(version).public
    for build in knowledge.builds:
        if SpecifierSet(build.versions).contains(public, prereleases=True):
            return compare_sass(build.sass, target.capability, f"wheels of {public}")
    return f"which devices wheels of {public} carry code for is not known"


def compare_sass(sass: Sequence[int], capability: str, whose: str) -> str | None:
    """The rule for cubins: the device's own major version, a minor version up to its own."""
    major, minor = split_capability(capability)
    if any(number // 10 == major and number % 10 <= minor for number in sass):
        return None
    carried = " ".join(f"sm_{number}" for number in sass)
    return f"{whose} carry code for {carried}, which {capability} does not run"


def split_capability(capability: str) -> tuple[int, int]:
    """(12, 0) for "12.0"; (0, 0), which no code is for, where it is no capability."""
    found = re.fullmatch(r"(\d{1,2})\.(\d)", capability, re.ASCII)
    return (int(found[1]), int(found[2])) if found else (0, 0)
