"""Reports of Python environments: `torch.utils.collect_env`, vLLM's `collect_env.py`, `sglang.check_env`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from provision.core.parse.nvidia_text.answers import build_all, read_version
from provision.core.parse.source_report import SourceReport
from provision.model.facts import ConditionId, Distribution, Gpu, Vendor

_LINE_LIMIT = 1000
_REPORT_LIMIT = 20_000
_KEY = re.compile(r"[A-Za-z][\w /().&-]{1,60}")
_GPU = re.compile(r"(?:^|: )\s{0,20}GPU {1,3}(\d{1,3}): (\S.{0,100})$")
_UUID = re.compile(r" \(UUID: ([^)]{0,80})\)")
_GFX = re.compile(r" \((gfx[0-9a-f]{3,4})[^)]{0,40}\)")
_RANGE = re.compile(r"GPU {1,3}([\d,]{1,60})(?: (Compute Capability))?: (\S.{0,100})$")
_FOUND = re.compile(r"Found GPU(\d{1,3}) (.{1,100}?) which is of (?:cuda|compute) capability (\d{1,2})\.(\d)")
_TOO_NEW = re.compile(r" with CUDA capability sm_(\d{1,2})(\d)[a-f]? is not compatible")
_SGLANG = re.compile(r"^ {0,8}PyTorch: \S", re.MULTILINE)
_SGLANG_CUDA = re.compile(r"^ {0,8}(?:CUDA available|CUDA Driver Version|ROCM available): \S", re.MULTILINE)
_SPAN = re.compile(r"\((\d{1,2})\.(\d)\) - \((\d{1,2})\.(\d)\)")
_CUDA_RELEASE = re.compile(r"V(\d{1,3}\.\d{1,3}(?:\.\d{1,4})?)")
_DISTRIBUTION = re.compile(
    r"([A-Za-z][\w /.!-]{1,60}?)(?: (\d[\w.]{0,20}))?(?: LTS)?(?: \([^)]{0,60}\)){0,3}"
)
_MACHINE = re.compile(r"\b(x86_64|aarch64|arm64|AMD64|ppc64le)\b")
# Issue forms and commit messages join the lines of the report to one.
_JOINED = re.compile(
    r"(?<=\S) ((?:Is debug build|CUDA used to build PyTorch|ROCM used to build PyTorch|OS|GCC version|Python version"
    r"|Python platform|Is CUDA available|CUDA runtime version|CUDA_MODULE_LOADING set to"
    r"|GPU models and configuration|Nvidia driver version|cuDNN version|HIP runtime version|MIOpen runtime version"
    r"|CPU|GPU \d{1,2}): )"
)
_PYTHON = re.compile(r"3\.\d{1,2}(?:\.\d{1,2})?")
_WSL = re.compile(r"microsoft-standard|\bWSL2\b")
_APPLE = re.compile(r"^\s{0,20}(?:Model name: +)?Apple M\d", re.MULTILINE)
_NOTHING = ("Could not collect", "N/A", "No CUDA", "")


def is_collect_env(text: str) -> bool:
    """Whether the words of torch's or vLLM's report are there."""
    return "PyTorch version" in text and ("CUDA used to build PyTorch" in text or "Is CUDA available" in text)


def is_sglang_check_env(text: str) -> bool:
    """Whether the words of SGLang's report are there."""
    return _SGLANG.search(text) is not None and _SGLANG_CUDA.search(text) is not None


def parse_collect_env(text: str) -> SourceReport:
    """Versions, system and GPUs; torch built for ROCm calls AMD's GPUs CUDA devices too."""
    lines = [line[:_LINE_LIMIT].rstrip() for line in _split_joined(text).split("\n")]
    told = _read_pairs(lines)
    torch = told.get("PyTorch version")
    amd = "+rocm" in (torch or "") or _is_told(told.get("HIP runtime version"))
    gpus = _read_warned_capabilities(text, tuple(_list_gpus(lines)))
    if amd:
        gpus = tuple(replace(gpu, vendor=Vendor.AMD) for gpu in gpus or _read_single_gpu(told))
    platform = " ".join(told.get(key, "") for key in ("OS", "Python platform"))
    machine = _MACHINE.search(platform)
    versions = {
        "torch": torch,
        "cuda_runtime": read_version(told.get("CUDA runtime version")),
        "rocm": read_version(told.get("HIP runtime version")),
    }
    nvidia = not amd and (bool(gpus) or _is_told(told.get("Nvidia driver version")))
    return SourceReport(
        gpus=gpus,
        driver=None if amd else read_version(told.get("Nvidia driver version")),
        conditions=build_all([*_judge_build(text), *([ConditionId.WSL] if _WSL.search(platform) else [])]),
        nvidia=nvidia,
        vendor=Vendor.AMD if amd else Vendor.APPLE if _APPLE.search(text) and "macOS" in platform else None,
        system=_read_system(platform),
        machine=None if machine is None else machine[1],
        distribution=_read_distribution(told.get("OS")),
        cpu_model=told.get("Model name"),
        python_version=_read_python(told.get("Python version") or told.get("Python")),
        versions={key: value for key, value in versions.items() if value and value not in _NOTHING},
    )


def parse_sglang_check_env(text: str) -> SourceReport:
    """Its lines name several GPUs at once: `GPU 0,1: NVIDIA B200`."""
    names: dict[int, str] = {}
    capabilities: dict[int, str] = {}
    for raw in text.split("\n"):
        found = _RANGE.search(raw[:_LINE_LIMIT].rstrip())
        if found:
            into = capabilities if found[2] else names
            into.update((int(index), found[3]) for index in found[1].split(",") if index)
    told = _read_pairs([line[:_LINE_LIMIT] for line in text.split("\n")])
    driver = read_version(told.get("CUDA Driver Version"))
    release = _CUDA_RELEASE.search(told.get("NVCC", ""))
    versions = {"torch": told.get("PyTorch"), "cuda_runtime": release[1] if release else None}
    amd = "ROCM_HOME" in told or "HIP Driver Version" in told
    gpus = tuple(
        Gpu(
            name=name,
            compute_capability=None if amd else read_version(capabilities.get(index)),
            vendor=Vendor.AMD if amd else None,
        )
        for index, name in sorted(names.items())
    )
    return SourceReport(
        gpus=gpus,
        driver=driver,
        conditions=build_all([ConditionId.VM] if "Hypervisor vendor" in told else []),
        nvidia=not amd and bool(gpus or driver),
        vendor=Vendor.AMD if amd else None,
        python_version=_read_python(told.get("Python")),
        versions={key: value for key, value in versions.items() if value},
    )


def _read_python(text: str | None) -> str | None:
    match = _PYTHON.match(text or "")
    return None if match is None else match[0]


def _read_pairs(lines: Sequence[str]) -> dict[str, str]:
    """`Key   : value`; the first of a key counts."""
    told: dict[str, str] = {}
    for line in lines:
        key, colon, value = line.partition(":")
        if colon and value[:1].isspace() and value.strip() and _KEY.fullmatch(key.strip()):
            told.setdefault(key.strip(), value.strip())
    return told


def _split_joined(text: str) -> str:
    """The text with a line for each key again, where the report begins with several on one line."""
    start = text.find("PyTorch version")
    first = text[start : start + _REPORT_LIMIT].partition("\n")[0]
    if start < 0 or "CUDA used to build PyTorch" not in first:
        return text
    return text[:start] + _JOINED.sub(r"\n\1", first) + text[start + len(first) :]


def _is_told(value: str | None) -> bool:
    return (value or "") not in _NOTHING


def _list_gpus(lines: Sequence[str]) -> Iterator[Gpu]:
    """The list under "GPU models and configuration", which may begin on its line."""
    seen: set[str] = set()
    for line in lines:
        match = _GPU.search(line)
        if match is None or match[1] in seen:
            continue
        seen.add(match[1])
        uuid, gfx = _UUID.search(match[2]), _GFX.search(match[2])
        name = _GFX.sub("", _UUID.sub("", match[2])).strip()
        yield Gpu(name=name, uuid=uuid[1] if uuid else None, arch=gfx[1] if gfx else None)


def _read_single_gpu(told: dict[str, str]) -> tuple[Gpu, ...]:
    """For ROCm torch names the first GPU alone, without an index."""
    text = told.get("GPU models and configuration", "")
    gfx = _GFX.search(text)
    return (Gpu(name=_GFX.sub("", text).strip(), arch=gfx[1]),) if gfx else ()


def _read_warned_capabilities(text: str, gpus: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """torch warns of a GPU that it was not built for, and tells its capability then."""
    warned = {int(match[1]): (match[2], f"{match[3]}.{match[4]}") for match in _FOUND.finditer(text)}
    if not gpus:
        return tuple(Gpu(name=name, compute_capability=value) for _, (name, value) in sorted(warned.items()))
    by_name = {_read_warned_name(match): f"{match[1]}.{match[2]}" for match in _TOO_NEW.finditer(text)}
    by_name.update(warned.values())
    return tuple(replace(gpu, compute_capability=by_name.get(gpu.name or "")) for gpu in gpus)


def _read_warned_name(match: re.Match[str]) -> str:
    """What stands before the warning on its line; looked for backwards, since forwards each word is a beginning."""
    return match.string[max(0, match.start() - 100) : match.start()].rpartition("\n")[2].strip()


def _judge_build(text: str) -> Iterator[ConditionId]:
    """Newer than the build when the warned capability lies above what it carries."""
    span = _SPAN.search(text)
    for match in _FOUND.finditer(text):
        if span and (int(match[3]), int(match[4])) > (int(span[3]), int(span[4])):
            yield ConditionId.ARCH_NEWER_THAN_TORCH_BUILD
    if any(int(match[1]) >= 10 for match in _TOO_NEW.finditer(text)):
        yield ConditionId.ARCH_NEWER_THAN_TORCH_BUILD


def _read_system(platform: str) -> str | None:
    words = (
        ("Windows", "Windows"),
        ("macOS", "Darwin"),
        ("Linux", "Linux"),
        ("Ubuntu", "Linux"),
        ("glibc", "Linux"),
    )
    return next((system for word, system in words if word in platform), None)


def _read_distribution(text: str | None) -> Distribution | None:
    """`Ubuntu 24.04.3 LTS (aarch64)`; other systems are none."""
    match = _DISTRIBUTION.fullmatch(text or "")
    if match is None or match[1].split()[0] in {"Microsoft", "Windows", "macOS", "Mac"}:
        return None
    version = ".".join(match[2].split(".")[:2]) if match[2] else None
    name = (text or "").partition(" (")[0]
    return Distribution(id=match[1].split()[0].lower(), name=name, version_id=version)
