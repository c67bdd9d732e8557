"""What ROCm's runtime says of its agents: `rocminfo`, `rocm_agent_enumerator`, `amdgpu-arch`, `hipInfo`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from provision.core.parse.conditions import build_wsl
from provision.core.parse.plain_conditions import build_plain
from provision.core.parse.source_report import SourceReport, TextSource
from provision.core.parse.text_blocks import read_blocks
from provision.model.facts import Condition, ConditionId, Gpu, Vendor

_AGENT = re.compile(r"^[ \t]{0,16}Agent (\d{1,3})[ \t]{0,80}$", re.MULTILINE)
# Of a selection of its lines: the forms for issues of ROCm ask for `rocminfo | grep -E "...Name:"`.
_NAMED_AGENT = re.compile(
    r"^[ \t]{0,16}Name:[ \t]{1,40}(gfx[0-9][0-9a-f]{2,4})[ \t]{0,40}\r?\n"
    r"(?:[ \t]{0,16}Uuid:[^\n]{0,120}\n)?[ \t]{0,16}Marketing Name:[ \t]{1,40}(?=\S)",
    re.MULTILINE,
)
_AGENT_KEY = re.compile(r"^[ \t]{0,16}(?:Marketing Name|Device Type):[ \t]{2,}", re.MULTILINE)
_MODULE = re.compile(r"^[ \t]{0,16}ROCk module (?:version ([\w.+-]{1,40}) )?is (NOT )?loaded", re.MULTILINE)
_WSL = "WSL environment detected."
_DENIED = re.compile(r"/dev/kfd read-write: Permission denied")
_TARGET = re.compile(r"gfx[0-9][0-9a-f]{2,4}")
_CHIP_ID = re.compile(r"\d{1,9}\(0x([0-9a-f]{1,4})\)")
_POOL_KIB = re.compile(r"(\d{1,12})\(0x[0-9a-f]{1,12}\) KB")
_NO_UUID = re.compile(r"[A-Z]{3}-(?:X+|0+)")
_TARGET_LINE = re.compile(r"(gfx[0-9][0-9a-f]{2,4})(?::[a-z]{1,16}[+-]){0,2}")
# Such lines around a list of targets say who was asked, not what is there.
_PROMPT = re.compile(r"[$#>] ?\S{0,80}\b(?:amdgpu-arch|offload-arch|rocm.agent.enumerator)\b|[$#>]$")
_WINDOWS_PROMPT = re.compile(r"^(?:PS )?[A-Z]:\\|\.exe\b", re.MULTILINE)
_HIP_DEVICE = re.compile(r"^[ \t]{0,16}device#[ \t]{1,40}\d{1,3}", re.MULTILINE)
_HIP_TARGET = re.compile(r"^[ \t]{0,16}gcnArchName:[ \t]{1,40}gfx", re.MULTILINE)
_GB = re.compile(r"(\d{1,6}(?:\.\d{1,4})?) ?GB")


def parse_rocminfo(text: str) -> SourceReport:
    """The agents of type GPU. `driver` is the version of the kernel module (ROCk), which is amdgpu's."""
    agents = list(_read_agents(text))
    gpus = tuple(_build_agent(keys) for _, keys in agents if _is_gpu(keys))
    module = _MODULE.search(text)
    return SourceReport(
        gpus=gpus,
        driver=module[1] if module else None,
        conditions=tuple(_judge_rocminfo(text, agents, module)),
        vendor=Vendor.AMD if module or gpus else None,
        system="Linux" if module else None,
    )


def parse_agent_targets(text: str) -> SourceReport:
    """One target a line, of `rocm_agent_enumerator` or `amdgpu-arch`; gfx000 stands for the processor."""
    matches = (_TARGET_LINE.fullmatch(line.strip()) for line in text.splitlines())
    targets = [match[1] for match in matches if match]
    conditions = [build_plain(ConditionId.GFX000)] if "gfx000" in targets else []
    windows = _WINDOWS_PROMPT.search(text) is not None
    if windows:
        conditions.append(build_plain(ConditionId.WINDOWS))
    gpus = tuple(Gpu(name=None, arch=target, vendor=Vendor.AMD) for target in targets if target != "gfx000")
    return SourceReport(
        gpus=gpus,
        conditions=tuple(conditions),
        vendor=Vendor.AMD if gpus else Vendor.NONE,
        system="Windows" if windows else None,
    )


def parse_hipinfo(text: str) -> SourceReport:
    """`hipInfo`, HIP's own sample program, which the HIP SDK for Windows installs."""
    gpus: list[Gpu] = []
    for _, block in read_blocks(_HIP_DEVICE, text):
        keys = _read_keys(block)
        target = _TARGET.match(keys.get("gcnArchName", ""))
        if target is None:
            continue
        size = _GB.match(keys.get("totalGlobalMem", ""))
        memory_mib = None if size is None else round(float(size[1]) * 1024)
        gpus.append(
            Gpu(name=keys.get("Name") or None, arch=target[0], memory_mib=memory_mib, vendor=Vendor.AMD)
        )
    return SourceReport(gpus=tuple(gpus))


def _read_agents(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """(number, keys) of each agent. The keys of an agent's caches and pools come after its own."""
    if _AGENT.search(text):
        for match, block in read_blocks(_AGENT, text):
            yield int(match[1]), _read_keys(block)
        return
    for number, (match, block) in enumerate(read_blocks(_NAMED_AGENT, text), start=1):
        yield number, {"Name": match[1], "Marketing Name": block.partition("\n")[0].strip()}


def _is_gpu(keys: dict[str, str]) -> bool:
    """By the type, and where the lines end before it by the name: a target is a GPU's."""
    return keys.get("Device Type", "GPU" if keys.get("Name", "").startswith("gfx") else "") == "GPU"


def _read_keys(block: str) -> dict[str, str]:
    """The first value of each key; of `Size`, the first that belongs to the pools of global memory."""
    keys: dict[str, str] = {}
    for line in block.splitlines():
        key, colon, value = (part.strip() for part in line.partition(":"))
        if colon and (key != "Size" or keys.get("Segment", "").startswith("GLOBAL")):
            keys.setdefault(key, value)
    return keys


def _build_agent(keys: dict[str, str]) -> Gpu:
    uuid = keys.get("Uuid", "")
    chip = _CHIP_ID.match(keys.get("Chip ID", ""))
    pool = _POOL_KIB.match(keys.get("Size", ""))
    target = _TARGET.match(keys.get("Name", ""))
    return Gpu(
        name=keys.get("Marketing Name") or None,
        uuid=uuid if uuid and not _NO_UUID.fullmatch(uuid) else None,
        memory_mib=None if pool is None else int(pool[1]) // 1024,
        arch=None if target is None else target[0],
        vendor=Vendor.AMD,
        pci_id=None if chip is None or int(chip[1], 16) == 0 else f"1002:{chip[1]:0>4}",
    )


def _judge_rocminfo(
    text: str, agents: list[tuple[int, dict[str, str]]], module: re.Match[str] | None
) -> Iterator[Condition]:
    if module is not None and module[2]:
        message = "AMD's software is installed, but its kernel driver amdgpu is not loaded."
        yield Condition(id=ConditionId.DRIVER_NOT_LOADED, message=message)
    if _WSL in text:
        yield build_wsl(2)
    if _DENIED.search(text):
        yield build_plain(ConditionId.DEVICE_NODES_DENIED)
    gpus = [keys for _, keys in agents if _is_gpu(keys)]
    if module is not None and module[2] is None and agents and not gpus:
        yield Condition(id=ConditionId.NO_DEVICE, message="rocminfo shows no GPU to this process.")
    # A desktop has one processor, agent 1: a Radeon as agent 3 has another GPU before it.
    if agents and agents[0][0] >= 3 and "Radeon" in agents[0][1].get("Marketing Name", ""):
        yield build_plain(ConditionId.TRUNCATED)
    if any(line != line.rstrip() for line in text.splitlines() if "Marketing Name:" in line):
        yield build_plain(ConditionId.TRAILING_SPACES)


def _recognise_rocminfo(text: str) -> bool:
    if _MODULE.search(text) or _DENIED.search(text):
        return True
    if _NAMED_AGENT.search(text):
        return True
    return _AGENT.search(text) is not None and _AGENT_KEY.search(text) is not None


def _recognise_targets(text: str, *, processor: bool) -> bool:
    """Nothing but targets, and the prompts around them."""
    lines = [line.strip() for line in text[:10_000].splitlines() if line.strip()]
    targets = [line for line in lines if _TARGET_LINE.fullmatch(line)]
    others = [line for line in lines if not _TARGET_LINE.fullmatch(line) and not _PROMPT.search(line)]
    return bool(targets) and not others and ("gfx000" in targets) is processor


def _recognise_enumerator(text: str) -> bool:
    return _recognise_targets(text, processor=True)


def _recognise_amdgpu_arch(text: str) -> bool:
    return _recognise_targets(text, processor=False)


def _recognise_hipinfo(text: str) -> bool:
    return _HIP_DEVICE.search(text) is not None and _HIP_TARGET.search(text) is not None


SOURCES = (
    TextSource(kind="rocminfo", recognise=_recognise_rocminfo, parse=parse_rocminfo),
    TextSource(kind="rocm-agent-enumerator", recognise=_recognise_enumerator, parse=parse_agent_targets),
    TextSource(kind="amdgpu-arch", recognise=_recognise_amdgpu_arch, parse=parse_agent_targets),
    TextSource(kind="hipinfo", recognise=_recognise_hipinfo, parse=parse_hipinfo),
)
