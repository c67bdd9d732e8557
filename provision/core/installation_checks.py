"""Whether an environment is whole and its own: interpreter, files, duplicates, what else it imports and loads."""

from __future__ import annotations

from packaging.version import InvalidVersion, Version

from provision.core.environment_cures import (
    build_pip_cure,
    build_recreate_cure,
    build_reinstall_cure,
    build_removal_cure,
    list_some,
)
from provision.core.shells import render_export, render_unset
from provision.model.checkup import Shell
from provision.model.environment import (
    OTHER_INSTALLERS,
    EnvironmentKind,
    EnvironmentReport,
    FaultKind,
    InstalledDistribution,
    LibraryFolder,
)
from provision.model.facts import Facts
from provision.model.finding import Finding, Severity

_FAULT_WORDS = {
    FaultKind.MISSING: "is missing",
    FaultKind.SIZE: "has another size",
    FaultKind.HASH: "has another content",
    FaultKind.UNREADABLE: "cannot be read",
}


def check_interpreter(report: EnvironmentReport, facts: Facts) -> Finding:
    """Does the environment's python exist, and is it the one that it was made of?"""
    identity = "stack.interpreter"
    python = report.interpreter
    if report.problem is not None or python is None:
        evidence = f"{report.prefix}: {report.problem or 'it has no interpreter'}"
        return Finding(id=identity, severity=Severity.FAIL, evidence=evidence)
    cure = build_recreate_cure(report, facts.host) if report.kind is EnvironmentKind.VENV else None
    if python.home_exists is False:
        evidence = f"it was made from the python in {python.home}, which is gone"
        return Finding(id=identity, severity=Severity.FAIL, evidence=evidence, cure=cure)
    if not python.exists:
        return Finding(
            id=identity, severity=Severity.FAIL, evidence=f"{python.path} does not exist", cure=cure
        )
    made, now = _take_minor(python.version) or python.minor, _take_minor(python.base_version)
    if made and now and made != now:
        evidence = f"it was made for Python {made}, and the python behind it is {python.base_version} now"
        return Finding(id=identity, severity=Severity.FAIL, evidence=evidence, cure=cure)
    version = python.base_version or python.version or python.minor or "of unknown version"
    return Finding(id=identity, severity=Severity.PASS, evidence=f"Python {version} at {python.path}")


def _take_minor(version: str | None) -> str | None:
    return ".".join(version.split(".")[:2]) if version else None


def check_interrupted(report: EnvironmentReport, facts: Facts) -> Finding:
    """Was every installation and removal finished?"""
    identity = "stack.interrupted-install"
    broken = {item.name: sentence for item in report.distributions if (sentence := _find_interruption(item))}
    if not broken and not report.leftovers:
        count = len(report.distributions)
        return Finding(
            id=identity, severity=Severity.PASS, evidence=f"{count} packages, none of them in part"
        )
    sentences = list(broken.values())
    if report.leftovers:
        sentences.append(f"{list_some(report.leftovers)} was left by a removal that did not finish")
    if not broken:
        cure = build_removal_cure(report, facts.host, report.leftovers[0])
        return Finding(id=identity, severity=Severity.WARN, evidence=sentences[0], cure=cure)
    pins = [_pin(item) for item in report.distributions if item.name in broken]
    cure = build_reinstall_cure(report, facts.host, pins)
    return Finding(id=identity, severity=Severity.FAIL, evidence="; ".join(sentences[:4]), cure=cure)


def _find_interruption(item: InstalledDistribution) -> str | None:
    if item.module_missing:
        return f"{item.name} is registered, but none of its files is there"
    if not item.info_name.endswith(".dist-info") or (item.installer or "").lower() in OTHER_INSTALLERS:
        return None
    if not item.has_metadata:
        return f"{item.info_name} has no METADATA"
    return f"{item.info_name} has no RECORD" if item.listed is None else None


def _pin(item: InstalledDistribution) -> str:
    return f"{item.name}=={item.version}" if item.version else item.name


def check_files(report: EnvironmentReport, facts: Facts) -> Finding:
    """Is every file as the package that brought it lists it?"""
    identity = "stack.files"
    faulty = [item for item in report.distributions if item.fault_count and not item.module_missing]
    compared = "size and SHA-256" if report.verified else "size"
    if not faulty:
        evidence = f"{report.files} files have the {compared} that their packages list"
        return Finding(id=identity, severity=Severity.PASS, evidence=evidence)
    evidence = "; ".join([_describe_faults(item) for item in faulty][:4])
    # Companies add their certificates there, and an installation over it would take them away again.
    if all(fault.path.endswith("cacert.pem") for item in faulty for fault in item.faults):
        evidence = f"{evidence}; certificates may have been added"
        return Finding(id=identity, severity=Severity.WARN, evidence=evidence)
    cure = build_reinstall_cure(report, facts.host, [_pin(item) for item in faulty])
    return Finding(id=identity, severity=Severity.FAIL, evidence=evidence, cure=cure)


def _describe_faults(item: InstalledDistribution) -> str:
    first = item.faults[0]
    more = "" if item.fault_count == 1 else f" and {item.fault_count - 1} more"
    return f"{_pin(item)}: {first.path} {_FAULT_WORDS[first.kind]}{more}"


def check_duplicates(report: EnvironmentReport, facts: Facts) -> Finding:
    """Is every package there once, and did none replace another's files?"""
    identity = "stack.duplicates"
    places: dict[tuple[str, str], list[InstalledDistribution]] = {}
    for item in report.distributions:
        places.setdefault((item.site_dir, item.name), []).append(item)
    twice = {name: versions for (_, name), found in places.items() if len(versions := _tell_apart(found)) > 1}
    if twice:
        evidence = "; ".join(
            f"{name} is there as {' and as '.join(versions)}" for name, versions in twice.items()
        )
        cure = build_reinstall_cure(report, facts.host, twice)
        return Finding(id=identity, severity=Severity.FAIL, evidence=evidence, cure=cure)
    if not report.overwrites:
        return Finding(id=identity, severity=Severity.PASS, evidence=f"{len(places)} packages, each once")
    sentences = [
        f"{item.names[0]} and {item.names[1]} both bring {item.path}"
        + ("" if item.count == 1 else f" and {item.count - 1} more")
        for item in report.overwrites
    ]
    first, second = report.overwrites[0].names
    calls = [["uninstall", first], ["install", "--reinstall", "--no-deps", second]]
    cure = build_pip_cure(report, facts.host, *calls)
    return Finding(id=identity, severity=Severity.WARN, evidence="; ".join(sentences[:4]), cure=cure)


def _tell_apart(found: list[InstalledDistribution]) -> list[str]:
    """The versions, each once, but for one version that is registered twice in wheels' own way."""
    versions = [item.version or "?" for item in found]
    wheels = [item for item in found if item.info_name.endswith(".dist-info")]
    return versions if len(wheels) > 1 else list(dict.fromkeys(versions))


def check_isolation(report: EnvironmentReport, shell: Shell) -> Finding:
    """Does the environment import only what was installed into it?"""
    identity = "stack.isolation"
    sentences = [f"{item.path} is imported in place of {item.name}" for item in report.shadows[:3]]
    cure = None
    if report.user_site_packages:
        sentences.append(f"{report.user_site_dir} comes first, with {list_some(report.user_site_packages)}")
        cure = render_export(shell, "PYTHONNOUSERSITE", "1")
    elif report.shadows:
        cure = render_unset(shell, "PYTHONPATH")
    if report.interpreter and report.interpreter.system_site_packages:
        sentences.append(f"pyvenv.cfg lets in the packages of {report.interpreter.home}")
        cure = cure or f"set include-system-site-packages = false in {report.prefix}/pyvenv.cfg"
    editable = sorted(item.name for item in report.distributions if item.editable)
    sentences += _describe_path_files(report, editable)
    if not sentences:
        noted = f"; installed from a folder (editable): {list_some(editable)}" if editable else ""
        evidence = f"nothing from outside is imported{noted}"
        return Finding(id=identity, severity=Severity.PASS, evidence=evidence)
    severity = Severity.FAIL if report.shadows else Severity.WARN
    return Finding(id=identity, severity=severity, evidence="; ".join(sentences), cure=cure)


def _describe_path_files(report: EnvironmentReport, editable: list[str]) -> list[str]:
    """What `.pth` files add from outside, but for those of editable installations, which mean to."""
    sentences = []
    for file in report.path_files:
        foreign = [folder for folder in file.folders if not _is_within(folder, report)]
        owner = (
            file.name.removesuffix(".pth").removeprefix("__editable__.").lstrip("_").replace("_", "-").lower()
        )
        if foreign and not any(owner.startswith(name) for name in editable):
            sentences.append(f"{file.name} adds {list_some(foreign)}")
    return sentences


def _is_within(folder: str, report: EnvironmentReport) -> bool:
    """Whether a `.pth` file's folder lies in the environment itself."""
    return f"{folder}/".startswith(f"{report.prefix.rstrip('/')}/")


# Torch's own libraries carry RPATH, which comes before LD_LIBRARY_PATH; NVIDIA's carry RUNPATH, which comes
# after it (read from libtorch_cuda.so of torch 2.11.0+cu130 and libcudnn.so.9 of cuDNN 9.19). So the user's
# folder decides what NVIDIA's libraries load in turn: https://github.com/pytorch/pytorch/issues/131312
_LOADED_IN_TURN = ("libnvJitLink.", "libcudnn_", "libcublasLt.")


def check_foreign_libraries(report: EnvironmentReport, shell: Shell) -> Finding:
    """Does LD_LIBRARY_PATH leave the wheels' CUDA libraries alone?"""
    identity = "stack.foreign-libraries"
    if report.torch is None or not report.torch.cuda:
        return Finding(id=identity, severity=Severity.SKIP, evidence="no torch for CUDA is installed")
    if not report.library_folders:
        evidence = "LD_LIBRARY_PATH names no folder with CUDA libraries"
        return Finding(id=identity, severity=Severity.PASS, evidence=evidence)
    same = {
        folder.path: names
        for folder in report.library_folders
        if (names := sorted(set(folder.libraries) & set(report.libraries)))
    }
    if not same:
        places = list_some([folder.path for folder in report.library_folders])
        evidence = f"{places} holds CUDA libraries, of other versions than the wheels ask for"
        return Finding(id=identity, severity=Severity.PASS, evidence=evidence)
    places = "; ".join(f"{path} has {list_some(names)}" for path, names in same.items())
    taken = [name for names in same.values() for name in names if name.startswith(_LOADED_IN_TURN)]
    if not taken:
        evidence = f"{places}, which torch's RPATH passes by"
        return Finding(id=identity, severity=Severity.PASS, evidence=evidence)
    older = [text for folder in report.library_folders if (text := _find_older(folder, report))]
    evidence = "; ".join([f"LD_LIBRARY_PATH comes before the wheels' own copies: {places}", *older])
    severity = Severity.FAIL if older else Severity.WARN
    cure = render_unset(shell, "LD_LIBRARY_PATH")
    return Finding(id=identity, severity=severity, evidence=evidence, cure=cure)


def _find_older(folder: LibraryFolder, report: EnvironmentReport) -> str | None:
    """libnvJitLink of an older CUDA lacks what the wheel's libcusparse asks for: torch cannot be imported."""
    item = report.get("nvidia-nvjitlink-cu12") or report.get("nvidia-nvjitlink")
    for name, version in folder.libraries.items():
        if (
            item
            and item.version
            and version
            and name.startswith("libnvJitLink.")
            and name in report.libraries
        ):
            try:
                if Version(version).release[:2] < Version(item.version).release[:2]:
                    return f"{name} is {version} there and {item.version} in the wheel, which needs its own"
            except InvalidVersion:
                continue
    return None
