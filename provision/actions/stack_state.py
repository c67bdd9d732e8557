"""Whether a stack is what was installed, from an inspection that has looked at its files already."""

from __future__ import annotations

import hashlib
from pathlib import Path

from provision.model.checkup import StackState
from provision.model.environment import EnvironmentReport, FaultKind, InstalledDistribution
from provision.model.state import StackRecord
from provision.system.stack_folder import load_manifest

_WORDS = {
    FaultKind.MISSING: "which is missing: the installation was cut short",
    FaultKind.SIZE: "which has another size",
    FaultKind.HASH: "which has another content",
    FaultKind.UNREADABLE: "which cannot be read",
}


def describe_stack(stack: StackRecord, folder: Path, report: EnvironmentReport) -> StackState:
    """The stack at `folder`: its files by `report`, its packages by the manifest that it was finished with."""
    manifest = load_manifest(folder)
    if manifest is None:
        problem: str | None = "it is missing or was not finished"
        return StackState(name=stack.name, path=str(folder), problem=problem, packages=0)
    own = [item for item in report.distributions if Path(item.site_dir).is_relative_to(folder)]
    problem = report.problem or next((said for item in own if (said := _find_fault(item))), None)
    if problem is None:
        installed = {(item.info_name, _hash_record(item)) for item in own}
        listed = {(f"{item.name}-{item.version}.dist-info", item.record_sha256) for item in manifest.packages}
        if installed != listed:
            problem = "its packages are not those that were installed"
    return StackState(name=stack.name, path=str(folder), problem=problem, packages=len(manifest.packages))


def _find_fault(item: InstalledDistribution) -> str | None:
    if item.listed is None:
        return f"{item.info_name} has no RECORD: the installation was cut short"
    if not item.faults:
        return None
    fault = item.faults[0]
    return f"{item.info_name} lists {fault.path}, {_WORDS[fault.kind]}"


def _hash_record(item: InstalledDistribution) -> str | None:
    try:
        data = Path(item.site_dir, item.info_name, "RECORD").read_bytes()
    except OSError:
        return None
    return hashlib.sha256(data).hexdigest()
