"""Whether the installed versions belong together: what each asks for, torch's pairs, known bad pairs."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from provision.core.bad_pairs import accepts, find_bad_pairs
from provision.core.cuda_family import find_label
from provision.core.environment_cures import build_pip_cure, choose_backend, list_some
from provision.model.environment import BadPair, EnvironmentReport, InstalledDistribution, KnownPairs
from provision.model.facts import Facts, Host
from provision.model.finding import Finding, Severity


def check_requirements(report: EnvironmentReport, facts: Facts) -> Finding:
    """Is what each package asks for installed, in a version that it accepts?"""
    identity = "stack.requirements"
    installed = {item.name: item for item in reversed(report.distributions)}
    if not installed:
        return Finding(id=identity, severity=Severity.SKIP, evidence="nothing is installed")
    markers = build_marker_environment(report, facts.host)
    missing: dict[str, str] = {}
    wrong: dict[str, str] = {}
    for item, requirement in walk_requirements(installed, markers):
        name = canonicalize_name(requirement.name)
        wanted = f"{name}{requirement.specifier}"
        found = installed.get(name)
        if found is None:
            missing.setdefault(wanted, f"{item.name} asks for {wanted}, which is not installed")
        elif not accepts(requirement.specifier, found.version):
            wrong.setdefault(wanted, f"{item.name} asks for {wanted}, and {found.version} is installed")
    if not missing and not wrong:
        evidence = f"{len(installed)} packages have what they ask for"
        return Finding(id=identity, severity=Severity.PASS, evidence=evidence)
    evidence = "; ".join([*missing.values(), *wrong.values()][:4])
    hidden = len(missing) + len(wrong) - 4
    evidence += f"; and {hidden} more" if hidden > 0 else ""
    cure = build_pip_cure(report, facts.host, ["install", *missing, *wrong])
    severity = Severity.FAIL if missing else Severity.WARN
    return Finding(id=identity, severity=severity, evidence=evidence, cure=cure)


def walk_requirements(
    installed: dict[str, InstalledDistribution], markers: dict[str, str]
) -> Iterator[tuple[InstalledDistribution, Requirement]]:
    """Every requirement that applies here, with those of the extras that somebody asks for."""
    pending = [(name, "") for name in installed]
    done = set(pending)
    while pending:
        name, extra = pending.pop()
        for line in installed[name].requires:
            # Most lines are of extras that nobody asked for, and parsing each takes its time.
            if ("extra" in line.partition(";")[2]) != bool(extra) or extra not in canonicalize_name(line):
                continue
            requirement = _parse_requirement(line)
            if requirement is None or not _applies(requirement, {**markers, "extra": extra}):
                continue
            yield installed[name], requirement
            target = canonicalize_name(requirement.name)
            for wanted in map(canonicalize_name, requirement.extras):
                if target in installed and (target, wanted) not in done:
                    done.add((target, wanted))
                    pending.append((target, wanted))


def _parse_requirement(line: str) -> Requirement | None:
    try:
        return Requirement(line)
    except InvalidRequirement:
        return None


def _applies(requirement: Requirement, markers: dict[str, str]) -> bool:
    if requirement.marker is None:
        return True
    try:
        return requirement.marker.evaluate(dict(markers))
    except (UndefinedComparison, UndefinedEnvironmentName, InvalidVersion):
        return False


def build_marker_environment(report: EnvironmentReport, host: Host) -> dict[str, str]:
    """What markers are held against: the environment's python on its machine, not the one that runs us."""
    interpreter = report.interpreter
    minor = (interpreter.minor if interpreter else None) or ".".join(host.python_version.split(".")[:2])
    full = (interpreter.version or interpreter.base_version if interpreter else None) or f"{minor}.0"
    platforms = {"Windows": "win32", "Darwin": "darwin"}
    return {
        "python_version": minor,
        "python_full_version": full,
        "implementation_version": full,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "os_name": "nt" if host.system == "Windows" else "posix",
        "sys_platform": platforms.get(host.system, host.system.lower()),
        "platform_system": host.system,
        "platform_machine": host.machine,
        "platform_release": host.release,
        "platform_version": "",
    }


def check_torch_pair(report: EnvironmentReport, facts: Facts, pairs: KnownPairs) -> Finding:
    """Were torchvision and torchaudio built for this torch?"""
    identity = "stack.torch-pair"
    torch = report.get("torch")
    partners = [item for name in ("torchvision", "torchaudio") if (item := report.get(name))]
    if torch is None or torch.version is None or not partners:
        evidence = (
            "torch is not installed" if torch is None else "neither torchvision nor torchaudio is installed"
        )
        return Finding(id=identity, severity=Severity.SKIP, evidence=evidence)
    base = torch.version.partition("+")[0]
    known = next((pair for pair in pairs.torch_pairs if pair.torch == base), None)
    troubles = []
    for item in partners:
        pins = [r for line in item.requires if (r := _parse_requirement(line)) and r.name == "torch"]
        refused = next((pin for pin in pins if not accepts(pin.specifier, torch.version)), None)
        mine = (item.version or "").partition("+")[0]
        listed = known.torchvision if known and item.name == "torchvision" else ()
        if refused is not None:
            troubles.append(f"{item.name} {mine} is built for torch{refused.specifier}")
        elif listed and mine not in listed:
            troubles.append(f"{item.name} {mine} is not one of torch {base}'s, which are {', '.join(listed)}")
    named = " and ".join(f"{item.name} {(item.version or '').partition('+')[0]}" for item in partners)
    if not troubles:
        evidence = f"{named} {'goes' if len(partners) == 1 else 'go'} with torch {base}"
        return Finding(id=identity, severity=Severity.PASS, evidence=evidence)
    wanted = [f"torch=={base}"]
    for item in partners:
        choice = (known.torchvision[0] if item.name == "torchvision" else known.torchaudio) if known else None
        wanted.append(f"{item.name}=={choice}" if choice else item.name)
    backend = choose_backend(find_label(report.torch.version if report.torch else None))
    cure = build_pip_cure(report, facts.host, ["install", f"--torch-backend={backend}", *wanted])
    evidence = f"torch {base} is installed; {'; '.join(troubles)}"
    return Finding(id=identity, severity=Severity.FAIL, evidence=evidence, cure=cure)


def check_bad_pairs(report: EnvironmentReport, facts: Facts, pairs: KnownPairs) -> Finding:
    """Are there versions that are known not to work together?"""
    identity = "stack.bad-pairs"
    found = list(find_bad_pairs(report.versions, facts, pairs.bad_pairs))
    if not found:
        evidence = f"none of {len(pairs.bad_pairs)} known bad pairs is installed"
        return Finding(id=identity, severity=Severity.PASS, evidence=evidence)
    found.sort(key=lambda pair: pair.severity != "fail")
    sentences = [
        f"{_name_versions(pair, report)}: {pair.what} ({pair.status}, {pair.source})" for pair in found
    ]
    cure = build_pip_cure(report, facts.host, *found[0].cure)
    return Finding(
        id=identity,
        severity=Severity(found[0].severity),
        evidence=list_some(sentences, shown=4),
        cure=cure,
    )


def _name_versions(pair: BadPair, report: EnvironmentReport) -> str:
    return " with ".join(f"{name} {item.version}" for name in pair.packages if (item := report.get(name)))
