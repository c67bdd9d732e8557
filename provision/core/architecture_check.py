"""Whether torch's binary has code for the GPUs of this machine: compiled, to be compiled at run time, or none."""

from __future__ import annotations

import re

from provision.core.compiled_code import Runs, choose_cubin, parse_capability
from provision.core.environment_cures import build_pip_cure
from provision.model.environment import EnvironmentReport
from provision.model.facts import Facts, Gpu, Host, Vendor
from provision.model.finding import Finding, Severity
from provision.model.profile import Architectures, EvidenceStatus

ID = "stack.architectures"
_ENTRY = re.compile(r"(sm|compute)_(\d{2,3})([af]?)")


def choose_code(architectures: tuple[str, ...], capability: str) -> tuple[Runs, str | None]:
    """What a device of `capability`, such as "12.0", runs of torch's own list such as ("sm_90", "compute_90").

    `sm_90a` is for 9.0 alone, `sm_100f` for the family of 10.x; PTX with either letter likewise.
    """
    device = parse_capability(capability)
    entries = [match for name in architectures if (match := _ENTRY.fullmatch(name))]
    plain = {
        kind: tuple(int(m[2]) for m in entries if m[1] == kind and not m[3]) for kind in ("sm", "compute")
    }
    carried = Architectures(
        sass=plain["sm"],
        ptx=plain["compute"],
        status=EvidenceStatus.VERIFIED,
        source="the list that torch's library holds",
        date="",
    )
    special = [m for m in entries if m[3] and _is_of_family(device, int(m[2]), m[3])]
    native = next((m[0] for m in special if m[1] == "sm"), None)
    cubin = choose_cubin(capability, carried)
    if native or cubin is not None:
        return Runs.NATIVE, native or f"sm_{cubin}"
    portable = [f"compute_{ptx}" for ptx in sorted(carried.ptx) if ptx <= device] or [m[0] for m in special]
    return (Runs.COMPILED, portable[-1]) if portable else (Runs.NOT, None)


def _is_of_family(device: int, sm: int, suffix: str) -> bool:
    if suffix == "a":
        return device == sm
    return device // 10 == sm // 10 and device >= sm


def check_architectures(report: EnvironmentReport, facts: Facts) -> Finding:
    """Has torch code for this machine's GPUs?"""
    torch = report.torch
    known = [gpu for gpu in facts.gpus if gpu.best_compute_capability]
    if torch is None or torch.hip or torch.xpu or not known:
        return Finding(id=ID, severity=Severity.SKIP, evidence=_explain_skip(report, facts))
    if torch.cuda is None:
        evidence = f"torch {torch.version} is built for the CPU, and there is {_name(known[0])}"
        cure = _build_cure(report, facts.host, known[0])
        return Finding(id=ID, severity=Severity.WARN, evidence=evidence, cure=cure)
    if torch.architectures is None:
        evidence = f"no list of architectures was found in the libraries of torch {torch.version}"
        return Finding(id=ID, severity=Severity.SKIP, evidence=evidence)
    judged = [(gpu, *choose_code(torch.architectures, gpu.best_compute_capability or "")) for gpu in known]
    sentences = {_describe(gpu, kind, name): None for gpu, kind, name in judged}
    without = next((gpu for gpu, kind, _ in judged if kind is Runs.NOT), None)
    evidence = "; ".join(sentences)
    if without is not None:
        evidence = f"torch {torch.version} has code for {' '.join(torch.architectures)}; {evidence}"
        cure = _build_cure(report, facts.host, without)
        return Finding(id=ID, severity=Severity.FAIL, evidence=evidence, cure=cure)
    compiled = all(kind is Runs.NATIVE for _, kind, _ in judged)
    return Finding(id=ID, severity=Severity.PASS if compiled else Severity.WARN, evidence=evidence)


def _explain_skip(report: EnvironmentReport, facts: Facts) -> str:
    if report.torch is None:
        return "torch is not installed"
    if report.torch.hip or report.torch.xpu:
        kind = f"ROCm {report.torch.hip}" if report.torch.hip else f"XPU {report.torch.xpu}"
        return f"torch is built for {kind}, whose list is not compared"
    if facts.vendor is Vendor.NONE:
        return "there is no GPU"
    return "the compute capability of no GPU is known"


def _name(gpu: Gpu) -> str:
    return f"{gpu.name or 'a GPU without a name'} ({gpu.best_compute_capability})"


def _describe(gpu: Gpu, kind: Runs, code: str | None) -> str:
    match kind:
        case Runs.NATIVE:
            return f"{_name(gpu)} runs torch's {code}"
        case Runs.COMPILED:
            return f"{_name(gpu)} has no compiled code; the driver compiles {code} at first use, which takes minutes"
        case Runs.NOT:
            return f"nothing runs on {_name(gpu)}"


def _build_cure(report: EnvironmentReport, host: Host, gpu: Gpu) -> str:
    """What serves Maxwell to Volta is built for CUDA 12.6, up to torch 2.14; all newer ones the current default."""
    old = int(
        (gpu.best_compute_capability or "0.0").partition(".")[0]
    ) < 7 or gpu.best_compute_capability in (
        "7.0",
        "7.2",
    )
    packages = ["--torch-backend=cu126", "torch<2.15"] if old else ["--torch-backend=auto", "torch"]
    return build_pip_cure(report, host, ["install", "--upgrade", *packages, "torchvision"])
