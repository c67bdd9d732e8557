"""Which CUDA the installed wheels were built for, and whether all are of torch's family."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from provision.core.environment_cures import build_pip_cure, choose_backend, list_some
from provision.model.environment import EnvironmentReport, InstalledDistribution
from provision.model.facts import Facts, Host
from provision.model.finding import Finding, Severity

ID = "stack.cuda-family"
_LABEL = re.compile(r"(?:^|[^a-z])cu(\d{2,3})(?!\d)")
_TORCH_LABEL = re.compile(r"(?:torch|pt)(\d)\.?(\d{1,2})")
_NAME = re.compile(r"-(?:cu|cuda)(\d{2})x?(?:-|$)")
# Since CUDA 13 these carry no `-cu12` in their names, and their version is CUDA's own.
_BY_VERSION = frozenset(
    """nvidia-cuda-runtime nvidia-cuda-nvrtc nvidia-cuda-cupti nvidia-nvjitlink nvidia-nvtx cuda-toolkit
    cuda-bindings cuda-python""".split()  # noqa: SIM905
)
# Compiled against torch's libraries: of another CUDA major they do not load.
_COMPILED = frozenset({"torchvision", "torchaudio", "flash-attn", "flash-attn-3", "torch-scatter", "vllm"})


class CudaBuild(Struct, frozen=True, kw_only=True):
    """What a wheel was built for. `major` None: for the CPU. `torch` is such as "2.8", None when it does not say."""

    name: str
    major: int | None
    minor: int | None = None
    torch: str | None = None

    @property
    def cuda(self) -> str:
        """`CUDA 13.0`, `CUDA 12` or `the CPU`."""
        if self.major is None:
            return "the CPU"
        return f"CUDA {self.major}" + ("" if self.minor is None else f".{self.minor}")


def find_label(version: str | None) -> str | None:
    """The local label of a version: `cu130` for 2.11.0+cu130."""
    return version.partition("+")[2] or None if version else None


def parse_build(item: InstalledDistribution) -> CudaBuild | None:
    """What a distribution was built for, by its own files, its version's label, or its name; None if none tells."""
    label = find_label(item.build.get("version") or item.version) or ""
    if item.build.get("cuda"):
        major, _, minor = item.build["cuda"].partition(".")
        torch = ".".join(item.build.get("torch", "").split(".")[:2]) or None
        return CudaBuild(name=item.name, major=int(major), minor=_to_int(minor), torch=torch)
    by_label = _LABEL.search(label)
    if by_label:
        digits = by_label[1]
        torch_label = _TORCH_LABEL.search(label)
        return CudaBuild(
            name=item.name,
            major=int(digits[:2]),
            minor=_to_int(digits[2:]),
            torch=f"{torch_label[1]}.{torch_label[2]}" if torch_label else None,
        )
    by_name = _NAME.search(item.name)
    if by_name:
        return CudaBuild(name=item.name, major=int(by_name[1]))
    if item.name in _BY_VERSION:
        major, _, rest = (item.version or "").partition(".")
        return CudaBuild(name=item.name, major=int(major), minor=_to_int(rest)) if major.isdecimal() else None
    return CudaBuild(name=item.name, major=None) if label == "cpu" else None


def _to_int(text: str) -> int | None:
    digits = text.partition(".")[0]
    return int(digits) if digits.isdecimal() else None


def check_cuda_family(report: EnvironmentReport, facts: Facts) -> Finding:
    """Is every wheel built for torch's CUDA?"""
    torch = report.torch
    if torch is None:
        return Finding(id=ID, severity=Severity.SKIP, evidence="torch is not installed")
    if torch.hip:
        return Finding(id=ID, severity=Severity.SKIP, evidence=f"torch is built for ROCm {torch.hip}")
    own = _build_of_torch(torch.cuda)
    builds = [
        build for item in report.distributions if (build := parse_build(item)) and build.name != "torch"
    ]
    troubles = [trouble for build in builds if (trouble := _judge(build, own, report))]
    troubles += _judge_bitsandbytes(report, own)
    if not troubles:
        verb = "package is" if len(builds) == 1 else "packages are"
        more = f"; {len(builds)} more {verb} of the same family" if builds else ""
        return Finding(id=ID, severity=Severity.PASS, evidence=f"torch is built for {own.cuda}{more}")
    fatal = any(severity is Severity.FAIL for severity, _, _ in troubles)
    evidence = f"torch is built for {own.cuda}; " + "; ".join(_join(troubles))
    cure = _build_cure(report, facts.host, [name for _, name, _ in troubles])
    return Finding(id=ID, severity=Severity.FAIL if fatal else Severity.WARN, evidence=evidence, cure=cure)


def _build_of_torch(cuda: str | None) -> CudaBuild:
    major, _, minor = (cuda or "").partition(".")
    return CudaBuild(name="torch", major=_to_int(major), minor=_to_int(minor))


def _judge(build: CudaBuild, own: CudaBuild, report: EnvironmentReport) -> tuple[Severity, str, str] | None:
    """(severity, package, sentence) when a wheel does not belong to torch's family."""
    compiled = build.name in _COMPILED
    wanted = ".".join((report.torch.version or "").split(".")[:2]) if report.torch else ""
    if compiled and build.torch and wanted and build.torch != wanted:
        return Severity.FAIL, build.name, f"{build.name} is built for torch {build.torch}, not {wanted}"
    if build.major == own.major:
        differs = compiled and None not in (build.minor, own.minor) and build.minor != own.minor
        return (Severity.WARN, build.name, f"{build.name} is built for {build.cuda}") if differs else None
    if build.major is None:
        sentence = f"{build.name} is built for the CPU, so its operators do not run on the GPU"
        return Severity.WARN, build.name, sentence
    severity = Severity.FAIL if compiled else Severity.WARN
    return severity, build.name, f"{build.name} is built for {build.cuda}"


def _judge_bitsandbytes(report: EnvironmentReport, own: CudaBuild) -> list[tuple[Severity, str, str]]:
    """It loads a library of torch's CUDA major and no other: bitsandbytes/cextension.py of 0.50.2."""
    item = report.get("bitsandbytes")
    versions = item.build.get("cuda_libraries", "").split() if item else []
    if own.major is None or not versions or any(v.partition(".")[0] == str(own.major) for v in versions):
        return []
    sentence = f"bitsandbytes has libraries for CUDA {', '.join(versions)} only"
    return [(Severity.FAIL, "bitsandbytes", sentence)]


def _join(troubles: list[tuple[Severity, str, str]]) -> Iterator[str]:
    """The sentences, with NVIDIA's own packages, of which there may be fifteen, as one."""
    libraries = [name for _, name, _ in troubles if name.startswith("nvidia-")]
    yield from (sentence for _, name, sentence in troubles if name not in libraries)
    if libraries:
        verb = "is" if len(libraries) == 1 else "are"
        yield f"{list_some(libraries)} {verb} of another CUDA, which torch does not load"


def _build_cure(report: EnvironmentReport, host: Host, names: list[str]) -> str:
    """torch's own partners from its own index; what has no wheel for it goes; the rest may have a newer one."""
    pair = [name for name in names if name in ("torchvision", "torchaudio")]
    gone = [name for name in names if name.startswith("flash-attn") or _NAME.search(name)]
    newer = [name for name in names if name not in (*pair, *gone)]
    calls = [["uninstall", *gone]] if gone else []
    if pair and report.torch:
        version, _, label = (report.torch.version or "").partition("+")
        backend = f"--torch-backend={choose_backend(label)}"
        calls.append(["install", "--reinstall", backend, f"torch=={version}", *pair])
    if newer:
        calls.append(["install", "--upgrade", *newer])
    return build_pip_cure(report, host, *calls)
