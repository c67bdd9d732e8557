"""Whether a bundle is for this machine, and which file of a locked package a machine takes."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from msgspec import Struct

from provision.core.pip_settings import build_label
from provision.errors import BadFileError, ToolError
from provision.model.bundle import BundleManifest
from provision.model.facts import Facts
from provision.model.packages import StackLock
from provision.model.profile import ProfileFit

if TYPE_CHECKING:
    from packaging.pylock import PackageWheel
    from packaging.tags import Tag


class LockedFile(Struct, frozen=True, kw_only=True):
    """The wheel that a machine takes for one locked package. `url` may be a path; `label` is safe to show."""

    name: str
    version: str
    filename: str
    url: str
    label: str
    sha256: str
    size_bytes: int | None


def choose_files(pylock: str, lock: StackLock, tags: Iterable[Tag]) -> tuple[LockedFile, ...]:
    """For each package of `lock`, in its order, the wheel of best rank in `tags` among those that uv found.

    Only files whose hash is in the lock count. Raises ToolError when a package has none.
    """
    from packaging.pylock import Pylock, PylockValidationError

    try:
        packages = Pylock.from_dict(tomllib.loads(pylock)).packages
    except (tomllib.TOMLDecodeError, PylockValidationError) as error:
        raise ToolError(
            f"uv's resolution cannot be read: {error}", hint="uv --version", output=pylock
        ) from error
    found = {(str(package.name), str(package.version)): package.wheels or () for package in packages}
    rank = {tag: position for position, tag in enumerate(tags)}
    chosen = []
    for wheel in lock.wheels:
        files = [
            file
            for file in found.get((wheel.name, wheel.version), ())
            if f"sha256:{file.hashes.get('sha256')}" in wheel.hashes and _rank(file, rank) is not None
        ]
        best = min(files, key=lambda file: _rank(file, rank) or 0, default=None)
        if best is None:
            raise ToolError(
                f"{wheel.name} {wheel.version} has no wheel of the lock for that machine",
                hint="provision plan   # resolves anew",
            )
        url = best.url or str(best.path)
        chosen.append(
            LockedFile(
                name=wheel.name,
                version=wheel.version,
                filename=PurePosixPath(best.filename).name,
                url=url,
                label=build_label(url),
                sha256=best.hashes["sha256"],
                size_bytes=best.size if best.size is not None else wheel.size_bytes,
            )
        )
    return tuple(chosen)


def _rank(wheel: PackageWheel, rank: Mapping[Tag, int]) -> int | None:
    from packaging.utils import parse_wheel_filename

    *_, tags = parse_wheel_filename(wheel.filename)
    return min((rank[tag] for tag in tags if tag in rank), default=None)


def describe_gpus(facts: Facts) -> tuple[str, ...]:
    """Each GPU with what tells its generation."""
    return tuple(
        f"{gpu.name}, compute capability {gpu.compute_capability}"
        if gpu.compute_capability
        else str(gpu.name)
        for gpu in facts.gpus
    )


def check_machine(
    manifest: BundleManifest, facts: Facts, fits: Collection[ProfileFit], tags: Iterable[Tag], *, where: str
) -> None:
    """Whether this machine takes what the bundle holds. Raises BadFileError that says what differs.

    `tags` are those of the Python that stacks are made of: they also tell a system too old for a wheel.
    """
    problem = (
        _find_platform_problem(manifest, facts)
        or _find_profile_problem(manifest, facts, fits)
        or _find_wheel_problem(manifest, frozenset(tags))
    )
    if problem is not None:
        raise BadFileError(
            f"{where} is for another machine: {problem}",
            hint="provision detect --save-probe probe.json   # here; there: provision bundle FILE --probe probe.json",
        )


def _find_platform_problem(manifest: BundleManifest, facts: Facts) -> str | None:
    target, host = manifest.target, facts.host
    if target.platform != host.platform:
        return f"its platform is {target.platform}, this one is {host.platform}"
    python = ".".join(host.python_version.split(".")[:2])
    return None if target.python == python else f"its Python is {target.python}, this one is {python}"


def _find_profile_problem(manifest: BundleManifest, facts: Facts, fits: Collection[ProfileFit]) -> str | None:
    target = manifest.target
    fit = next((fit for fit in fits if fit.name == target.profile), None)
    if fit is None:
        return f"its profile {target.profile} is not known here"
    if fit.fits:
        return None
    theirs = "; ".join(target.gpus) or "no GPU"
    ours = "; ".join(describe_gpus(facts)) or "no GPU"
    reason = fit.reasons[0] if fit.reasons else "no reason is known"
    return f"its profile {target.profile} does not fit here: {reason} (it: {theirs}; here: {ours})"


def _find_wheel_problem(manifest: BundleManifest, tags: Collection[Tag]) -> str | None:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    for stack in manifest.stacks:
        for wheel in stack.wheels:
            filename = PurePosixPath(wheel.member).name
            try:
                *_, own = parse_wheel_filename(filename)
            except InvalidWheelFilename:
                return f"{filename} is no name of a wheel"
            if not own & frozenset(tags):
                return f"{filename} cannot be installed on this system"
    return None
