"""Whether a stack was finished and holds its packages, by an inspection that has read their records already."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from provision.core.environment_cures import list_some
from provision.model.checkup import StackState
from provision.model.environment import EnvironmentReport, FaultKind, InstalledDistribution
from provision.model.state import StackRecord
from provision.system.stack_folder import load_manifest


def describe_stack(stack: StackRecord, folder: Path, report: EnvironmentReport) -> StackState:
    """The stack at `folder`: its packages by `report` against the manifest that it was finished with.

    A missing file makes it incomplete. Every file that is not as installed is told by `stack.files`.
    """
    manifest = load_manifest(folder)
    if manifest is None:
        problem: str | None = "it is missing, was not finished, or its python is gone"
        return StackState(name=stack.name, path=str(folder), problem=problem, packages=0)
    own = [item for item in report.distributions if Path(item.site_dir).is_relative_to(folder)]
    problem = report.problem
    if problem is None:
        installed = {(item.info_name, _hash_record(item)) for item in own}
        listed = {(f"{item.name}-{item.version}.dist-info", item.record_sha256) for item in manifest.packages}
        if installed != listed:
            problem = _say_difference(dict(installed), dict(listed))
    if problem is None:
        problem = next(_list_missing(own), None)
    return StackState(name=stack.name, path=str(folder), problem=problem, packages=len(manifest.packages))


def _list_missing(distributions: Sequence[InstalledDistribution]) -> Iterator[str]:
    for item in distributions:
        for fault in item.faults:
            if fault.kind is FaultKind.MISSING:
                yield f"{item.name}-{item.version} lists {fault.path}, which is missing"


def _say_difference(installed: dict[str, str | None], listed: dict[str, str]) -> str:
    """What was taken away, added or altered: `.dist-info` folders, each with the hash of its RECORD."""
    both = sorted(installed.keys() & listed.keys())
    kinds = {
        "gone": sorted(listed.keys() - installed.keys()),
        "new": sorted(installed.keys() - listed.keys()),
        "without its RECORD": [name for name in both if installed[name] is None],
        "altered": [name for name in both if installed[name] not in (None, listed[name])],
    }
    return "; ".join(f"{list_some(names)} is {kind}" for kind, names in kinds.items() if names)


def _hash_record(item: InstalledDistribution) -> str | None:
    try:
        data = Path(item.site_dir, item.info_name, "RECORD").read_bytes()
    except OSError:
        return None
    return hashlib.sha256(data).hexdigest()
