"""The machine that a log is about: what the log says of it, completed by facts where they do not contradict."""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace
from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from provision.core.architecture import GpuNames, choose_architecture, choose_capability_by_name
from provision.model.facts import Facts, Vendor
from provision.model.failure import Situation

_GPU_NAME = re.compile(
    r"\b(?:NVIDIA )?(?:GeForce )?(?:[RG]TX )(?:PRO |A)?\d{3,4}(?: ?Ti| SUPER| Ada)?\b"
    r"|\b(?:NVIDIA |Tesla )(?:[ABHL]\d{1,3}S?|[TKPMV]\d{1,3}|GB\d{2,3}|GH200|Thor|TITAN \w{1,3})\b"
)
# "8.0 or newer" is a demand, not what the card has.
_CAPABILITY = re.compile(
    r"(?:capability(?: of| is|=| :|:)?|actual =) ?`?(?:\((?=\d{1,2}, ?\d\) \(too )|sm_?)?"
    r"(\d{1,2})(?:[._]|, ?)?(\d)\b(?!\+| (?:or|and) )",
    re.I,
)
_DRIVER = re.compile(r"Driver Version:? ?(\d{3}\.\d{2,3}(?:\.\d{2})?)", re.I)
_WINDOWS = re.compile(
    r"\b[A-Za-z]:\\{1,2}[\w. -]{1,60}\\|\[WinError \d|\bwin_amd64\b|PS [A-Z]:\\|-[Ww]indows-\d"
)
_LINUX = re.compile(
    r"/usr/(?:local/)?lib|/home/\w|/root/|/opt/|/lib/x86_64|/content/|manylinux|linux_x86_64|\bLinux\b|/workspace/"
)
_MACOS = re.compile(r"/Users/\w|/opt/homebrew|macosx_1\d|\bDarwin\b")
_WSL = re.compile(r"microsoft-standard|\d-Microsoft\b|/mnt/[cde]/|\bWSL ?[12]?\b|/usr/lib/wsl")
_CONTAINER = re.compile(
    r"\bdocker\b|/\.dockerenv|nvidia-container|\bpodman\b|\bkubectl\b|\bkubernetes\b|root@[0-9a-f]{12}\b"
    r"|container (?:toolkit|process)\b|(?:\A| )[a-z][\w.-]{1,60}-\d{1,2} +\| ",
    re.I,
)
# A person's home folder is not what images are made with; these names are what images do call theirs.
_PERSONAL_HOME = re.compile(
    r"/home/(?!venv/|jovyan/|user/|app/|appuser/|ubuntu/|runner/|vscode/|coder/|node/|worker/)[\w.-]{2,40}/"
)
# What only a program with CUDA says: no Mac does, and none where the bus shows no GPU.
_CUDA_SEEN = re.compile(
    r"\bCUDA (?:error|driver|capability|out of memory|\d{4}\b)|\+cu1\d\d\b|\bnvidia-smi\b"
    r"|\bNVIDIA (?:GeForce|RTX|[AHBL]\d|driver)"
)
_PACKAGE = re.compile(
    r"\b(torch|torchvision|transformers|flash[-_]attn|vllm|numpy|tokenizers|huggingface[-_]hub|accelerate"
    r"|setuptools|xformers|triton|bitsandbytes)(?: version)?(?:==|[ :=]{1,3}|-)"
    r"v?(\d{1,2}\.\d{1,2}(?:\.\d{1,2})?)(\+[\w.]{1,12})?\b",
    re.I,
)
# Of a log of the largest kept size this is enough: such lines stand at its ends.
_LOOKED_AT = 400_000


class LogMachine(Struct, frozen=True, kw_only=True):
    """What a situation is held against; None or empty where nothing tells.

    `cuda` is whether the log shows a program that uses CUDA: no situation asks for it.
    """

    system: str | None = None
    distribution: tuple[str, ...] = ()
    wsl: bool | None = None
    container: bool | None = None
    gpu: bool | None = None
    vendor: Vendor | None = None
    arch: str | None = None
    capability: str | None = None
    driver: str | None = None
    cuda: bool | None = None
    packages: dict[str, str] = {}


def find_machine(text: str, names: GpuNames | None) -> LogMachine:
    """What the log itself says of its machine. Two GPUs of different architecture leave that unknown."""
    text = text[: _LOOKED_AT // 2] + text[-_LOOKED_AT // 2 :] if len(text) > _LOOKED_AT else text
    capabilities = {f"{major}.{minor}" for major, minor in _CAPABILITY.findall(text)}
    if not capabilities and names is not None:
        found = {choose_capability_by_name(_complete_name(name), names) for name in _GPU_NAME.findall(text)}
        capabilities = {capability for capability in found if capability is not None}
    capability = capabilities.pop() if len(capabilities) == 1 else None
    wsl = True if _WSL.search(text) else None
    contained = True if _CONTAINER.search(text) else None
    if contained is None and _PERSONAL_HOME.search(text):
        contained = False
    cuda = capability is not None or _CUDA_SEEN.search(text) is not None
    driver = _DRIVER.search(text)
    return LogMachine(
        system=_find_system(text, wsl),
        wsl=wsl,
        container=contained,
        gpu=True if capability else None,
        vendor=Vendor.NVIDIA if capability else None,
        cuda=cuda or None,
        arch=choose_architecture(capability),
        capability=capability,
        driver=None if driver is None else driver[1],
        packages={
            name.lower().replace("_", "-"): version + local for name, version, local in _PACKAGE.findall(text)
        },
    )


def complete_machine(log: LogMachine, facts: Facts | None) -> LogMachine:
    """`log` with what `facts` know beside, unless the log is of another machine.

    It is when it names another system or another GPU, is from WSL and this is not, comes from a person's
    home folder while this is a container, or shows CUDA while this is a Mac or surely has no GPU.
    """
    if facts is None:
        return log
    gpu = facts.gpus[0] if facts.gpus else None
    known = LogMachine(
        system=facts.host.system or None,
        distribution=_list_distributions(facts),
        wsl=bool(facts.host.wsl) if facts.host.system else None,
        container=bool(facts.host.container) if facts.host.system else None,
        gpu=True if gpu else (False if facts.vendor is Vendor.NONE else None),
        vendor=facts.vendor,
        arch=gpu.arch if gpu else None,
        capability=gpu.best_compute_capability if gpu else None,
        driver=facts.driver,
    )
    # With another system or GPU, the driver and the rest are not this machine's either.
    elsewhere = (
        (log.system and known.system and log.system != known.system)
        or (log.capability and log.capability != known.capability)
        or (log.container is False and known.container)
        or (log.wsl and known.wsl is False)
        or (log.cuda and (known.system == "Darwin" or facts.vendor is Vendor.NONE))
    )
    if elsewhere:
        return log
    told = {
        field: value
        for field in log.__struct_fields__
        if (value := getattr(log, field)) not in (None, (), {})
    }
    return replace(known, **told)


def judge_situation(situation: Situation, machine: LogMachine) -> bool | None:
    """Whether the machine is as described; None where something is not known and nothing contradicts."""
    answers = [
        _is_among(machine.system, situation.system),
        _shares(machine.distribution, situation.distribution),
        _is_same(machine.wsl, situation.wsl),
        _is_same(machine.container, situation.container),
        _is_same(machine.gpu, situation.gpu),
        _is_among(machine.vendor, situation.vendor),
        _is_among(machine.arch, situation.arch),
        _is_at_least(machine.capability, situation.capability_least),
        _negate(_is_at_least(machine.capability, situation.capability_below)),
        _negate(_is_at_least(machine.driver, situation.driver_below)),
        _holds(machine.packages, situation.package),
    ]
    asked = [answer for answer in answers if answer is not ...]
    if any(answer is False for answer in asked):
        return False
    return None if any(answer is None for answer in asked) else True


# `...` stands for "not asked" in what follows, None for "not known".
_Answer = object


def _is_among(value: str | None, wanted: tuple[str, ...]) -> _Answer:
    if not wanted:
        return ...
    return None if value is None else value in wanted


def _shares(values: tuple[str, ...], wanted: tuple[str, ...]) -> _Answer:
    if not wanted:
        return ...
    return bool(set(values) & set(wanted)) if values else None


def _is_same(value: bool | None, wanted: bool | None) -> _Answer:
    if wanted is None:
        return ...
    return None if value is None else value is wanted


def _is_at_least(value: str | None, least: str | None) -> _Answer:
    if least is None:
        return ...
    try:
        return None if value is None else Version(value) >= Version(least)
    except InvalidVersion:
        return None


def _negate(answer: _Answer) -> _Answer:
    return not answer if isinstance(answer, bool) else answer


def _holds(packages: dict[str, str], requirement: str | None) -> _Answer:
    if requirement is None:
        return ...
    wanted = Requirement(requirement)
    version = packages.get(wanted.name.lower().replace("_", "-"))
    return None if version is None else wanted.specifier.contains(version, prereleases=True)


def _find_system(text: str, wsl: bool | None) -> str | None:
    """Linux in WSL shows paths of both; otherwise the kind of path that the log has, if of one kind only."""
    if wsl:
        return "Linux"
    found = [
        system
        for system, pattern in (("Windows", _WINDOWS), ("Darwin", _MACOS), ("Linux", _LINUX))
        if pattern.search(text)
    ]
    return found[0] if len(found) == 1 else None


def _complete_name(name: str) -> str:
    """`RTX 4090` as people write it, in the words of the driver."""
    return f"NVIDIA GeForce {name}" if re.match("[RG]TX [1-9]", name) else name


def _list_distributions(facts: Facts) -> tuple[str, ...]:
    distribution = facts.host.distribution
    return () if distribution is None else (distribution.id, *distribution.like)
