"""Which packages that stay would lose what they ask for, and how that may be avoided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from provision.core.bad_pairs import accepts
from provision.core.package_checks import walk_requirements
from provision.model.environment import InstalledDistribution
from provision.model.into import Conflict, IntoPlan
from provision.model.packages import Wheel

# Chosen together, with their CUDA: no other package's wish moves them.
_TOGETHER = frozenset({"torch", "torchvision", "torchaudio"})


def find_conflicts(
    kept: Mapping[str, InstalledDistribution],
    before: Mapping[str, InstalledDistribution],
    wanted: Mapping[str, Wheel],
    removed: Iterable[str],
    markers: dict[str, str],
) -> tuple[Conflict, ...]:
    """What packages that stay had and would lose. What they lacked before is no fault of the change."""
    former = {name: item.version for name, item in before.items()}
    gone = set(removed)
    after = {name: version for name, version in former.items() if name not in gone}
    after |= {name: wheel.version for name, wheel in wanted.items()}
    found: dict[tuple[str, str], Conflict] = {}
    for item, requirement in walk_requirements(dict(kept), markers):
        name = str(canonicalize_name(requirement.name))
        if _is_met(requirement, name, after) or not _is_met(requirement, name, former):
            continue
        words = f"{name}{requirement.specifier}"
        found[item.name, words] = Conflict(package=item.name, requirement=words, found=after.get(name))
    return tuple(found[key] for key in sorted(found))


def _is_met(requirement: Requirement, name: str, versions: Mapping[str, str | None]) -> bool:
    return name in versions and accepts(requirement.specifier, versions[name])


def list_retry_requirements(plan: IntoPlan, pinned: Iterable[str]) -> tuple[str, ...]:
    """What to ask the resolver for besides, so that packages that stay keep what they need.

    Only of packages that neither the profile nor the models pin, and never of one that would not be there.
    """
    fixed = {str(canonicalize_name(name)) for name in pinned} | _TOGETHER
    asked = [conflict.requirement for conflict in plan.conflicts if conflict.found is not None]
    return tuple(
        dict.fromkeys(item for item in asked if str(canonicalize_name(Requirement(item).name)) not in fixed)
    )


def find_new_conflicts(before: Sequence[str], after: Sequence[str], plan: IntoPlan) -> tuple[str, ...]:
    """Of two answers of `uv pip check`, what the second adds and the plan had not announced."""
    announced = {(conflict.package, Requirement(conflict.requirement).name) for conflict in plan.conflicts}
    return tuple(line for line in after if line not in set(before) and _read_conflict(line) not in announced)


def _read_conflict(line: str) -> tuple[str, str]:
    """(package, name that it asks for) of "The package `a` requires `b==2.0`, but `1.0` is installed"."""
    parts = line.split("`")
    if len(parts) < 4:
        return ("", "")
    name = parts[3].partition(";")[0]
    for sign in "<>=!~[( @":
        name = name.partition(sign)[0]
    return (str(canonicalize_name(parts[1])), str(canonicalize_name(name.strip())))
