"""What changing a user's environment means: packages added, changed and removed, and who would suffer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath

from msgspec.structs import replace
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from provision.core.bad_pairs import accepts
from provision.core.into_conflicts import find_conflicts
from provision.core.package_checks import build_marker_environment, walk_requirements
from provision.core.planner import explain_attempts
from provision.model.environment import EnvironmentReport, InstalledDistribution
from provision.model.facts import Host
from provision.model.into import ChangeKind, IntoPlan, PackageChange
from provision.model.packages import SourceAttempt, StackLock, Wheel

FlashJudge = Callable[[str], tuple[bool, str]]
"""`keep, reason = judge(version)` of an installed flash-attn."""

_FLASH = "flash-attn"
# Made for one torch only, and of no use beside another.
_COMPANIONS = frozenset({"torchvision", "torchaudio", "torchtext"})
# Libraries that torch's wheels ask for by exact version, and that hardly anybody asks for besides.
_LIBRARIES = frozenset(
    {"triton", "pytorch-triton", "triton-rocm", "pytorch-triton-rocm", "triton-xpu", "pytorch-triton-xpu"}
)
_LIBRARY_PREFIXES = ("nvidia-", "cuda-")
# Compiled against torch's C++ interface without saying in their metadata against which.
_COMPILED = frozenset(
    """apex bitsandbytes causal-conv1d deepspeed detectron2 flash-attn-3 mamba-ssm mmcv torch-cluster torch-scatter
    torch-sparse torch-spline-conv vllm xformers""".split()  # noqa: SIM905
)
_LABELLED = frozenset({"torch", "torchvision", "torchaudio"})


def build_into_plan(
    report: EnvironmentReport,
    host: Host,
    lock: StackLock,
    judge: FlashJudge,
    *,
    profile: str,
    models: tuple[str, ...],
    tag: str,
    attempts: tuple[SourceAttempt, ...] = (),
) -> IntoPlan:
    """Compare what is installed with the lock. Packages that the lock does not name stay, with three exceptions.

    These are flash-attn where `judge` says so, companions of another torch (torchaudio) and libraries that only
    the former torch asked for (nvidia-*-cu12): each is removed with its reason, the latter two only when nothing
    that stays asks for them. `tag` is what the lock's torch is built for.
    """
    own, markers = list_own(report), build_marker_environment(report, host)
    wanted = {str(canonicalize_name(wheel.name)): wheel for wheel in lock.wheels}
    removed = _choose_removals(own, wanted, markers, judge)
    kept = {name: item for name, item in own.items() if name not in wanted and name not in removed}
    before = {item.name: item for item in reversed(report.distributions)}
    changes = _list_changes(own, wanted, removed, tag)
    changing = {change.name for change in changes}
    return IntoPlan(
        profile=profile,
        models=models,
        prefix=report.prefix,
        python=(report.interpreter.version if report.interpreter else None) or "",
        torch=wanted["torch"].version,
        tag=tag,
        lock_sha256=lock.sha256,
        changes=changes,
        unchanged=tuple(sorted(wanted.keys() - changing)),
        kept=tuple(sorted(kept)),
        conflicts=find_conflicts(kept, before, wanted, removed, markers),
        warnings=(*explain_attempts(attempts), *_warn(kept, changing)),
        download_bytes=sum(wheel.size_bytes or 0 for name, wheel in wanted.items() if name in changing),
        attempts=attempts,
    )


def _list_changes(
    own: Mapping[str, InstalledDistribution],
    wanted: Mapping[str, Wheel],
    removed: Mapping[str, str],
    tag: str,
) -> tuple[PackageChange, ...]:
    """What the lock adds and changes, and what goes, by name."""
    compared = [_compare(own.get(name), wheel, tag) for name, wheel in wanted.items()]
    gone = [
        PackageChange(name=name, kind=ChangeKind.REMOVE, before=own[name].version, after=None, reason=reason)
        for name, reason in removed.items()
    ]
    changes = [*(change for change in compared if change is not None), *gone]
    return tuple(sorted(changes, key=lambda change: change.name))


def list_own(report: EnvironmentReport) -> dict[str, InstalledDistribution]:
    """The distributions in the environment's own folders by name, the one that an import finds where there are two.

    That of torch with the version that its files have: PyPI's METADATA says 2.13.0 of a torch 2.13.0+cu130.
    """
    found = [item for item in report.distributions if PurePath(item.site_dir).is_relative_to(report.prefix)]
    own = {item.name: item for item in reversed(found)}
    if "torch" in own and report.torch is not None and report.torch.version is not None:
        own["torch"] = replace(own["torch"], build=own["torch"].build | {"version": report.torch.version})
    return own


def _compare(item: InstalledDistribution | None, wheel: Wheel, tag: str) -> PackageChange | None:
    name = str(canonicalize_name(wheel.name))
    if item is None:
        return PackageChange(name=name, kind=ChangeKind.ADD, before=None, after=wheel.version)
    before = name_version(item)
    if not is_same(item, wheel.version, tag):
        return PackageChange(name=name, kind=ChangeKind.CHANGE, before=before, after=wheel.version)
    if item.fault_count or item.module_missing or not item.has_metadata:
        first = item.faults[0].path if item.faults else item.info_name
        reason = f"{first} is not as it was installed"
        return PackageChange(
            name=name, kind=ChangeKind.REPAIR, before=before, after=wheel.version, reason=reason
        )
    return None


def name_version(item: InstalledDistribution) -> str | None:
    """The version with its local label where the files tell it and METADATA does not: torch 2.7.0+cu126."""
    return item.build.get("version") or item.version


def is_same(item: InstalledDistribution, wanted: str, tag: str) -> bool:
    """Whether the installed version is the wanted one. A wheel of the default index carries no label: `tag` is its."""
    try:
        found, want = Version(name_version(item) or ""), Version(wanted)
    except InvalidVersion:
        return item.version == wanted
    if item.name not in _LABELLED:
        return found == want
    return found.public == want.public and found.local in (None, want.local or tag)


def _choose_removals(
    own: Mapping[str, InstalledDistribution],
    wanted: Mapping[str, Wheel],
    markers: dict[str, str],
    judge: FlashJudge,
) -> dict[str, str]:
    """What goes, by name, with the reason."""
    removed: dict[str, str] = {}
    flash = own.get(_FLASH)
    if flash is not None and _FLASH not in wanted:
        keep, reason = judge(name_version(flash) or "")
        if not keep:
            removed[_FLASH] = reason
    torch = own.get("torch")
    if torch is None:
        return removed
    after = wanted["torch"].version
    for name in sorted(_COMPANIONS & own.keys() - wanted.keys()):
        pin = _find_pin(own[name], "torch")
        asked = _find_askers(name, own, wanted, removed, markers)
        if pin is not None and not asked and not accepts(pin.specifier, after):
            removed[name] = f"it is built for torch{pin.specifier}, and nothing that stays asks for it"
    pending = [name for name in _list_libraries(own, markers, removed) if name not in wanted]
    # A library goes when the last one that asks for it goes, so the order does not matter.
    while orphans := [name for name in pending if not _find_askers(name, own, wanted, removed, markers)]:
        former = name_version(torch)
        removed |= dict.fromkeys(orphans, f"only torch {former} and its libraries asked for it")
        pending = [name for name in pending if name not in removed]
    return removed


def _find_pin(item: InstalledDistribution, name: str) -> Requirement | None:
    requirements = (requirement for _, requirement in walk_requirements({item.name: item}, {}))
    return next((r for r in requirements if canonicalize_name(r.name) == name), None)


def _list_libraries(
    own: Mapping[str, InstalledDistribution], markers: dict[str, str], removed: Iterable[str]
) -> list[str]:
    """Libraries that the present torch asks for, directly or not, or something that is removed."""
    asks: dict[str, set[str]] = {}
    for item, requirement in walk_requirements(dict(own), markers):
        asks.setdefault(item.name, set()).add(str(canonicalize_name(requirement.name)))
    reached: set[str] = set()
    pending = ["torch", *removed]
    while pending:
        for name in asks.get(pending.pop(), set()) & own.keys() - reached:
            if name in _LIBRARIES or name.startswith(_LIBRARY_PREFIXES):
                reached.add(name)
                pending.append(name)
    return sorted(reached)


def _find_askers(
    name: str,
    own: Mapping[str, InstalledDistribution],
    wanted: Mapping[str, Wheel],
    removed: Mapping[str, str],
    markers: dict[str, str],
) -> list[str]:
    """Packages that stay and ask for `name`. What the lock names asks for nothing outside of the lock."""
    staying = {key: item for key, item in own.items() if key not in wanted and key not in removed}
    return sorted(
        item.name
        for item, requirement in walk_requirements(staying, markers)
        if canonicalize_name(requirement.name) == name and item.name != name
    )


def _warn(kept: Mapping[str, InstalledDistribution], changing: Iterable[str]) -> Iterable[str]:
    if "torch" not in changing:
        return
    compiled = sorted(name for name in kept if name in _COMPILED)
    if compiled:
        yield f"compiled against the former torch, it may have to be installed anew: {', '.join(compiled)}"


def select_requirements(lock: StackLock, names: Iterable[str]) -> str:
    """The lock's lines, hashes included, for the packages `names`."""
    wanted = set(names)
    chosen: list[str] = []
    taking = False
    for line in lock.text.splitlines(keepends=True):
        if not line.startswith((" ", "\t")):
            taking = str(canonicalize_name(line.partition("==")[0])) in wanted
        if taking:
            chosen.append(line)
    return "".join(chosen)
