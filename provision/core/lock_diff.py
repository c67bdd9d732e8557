"""What differs between two locks: packages, revisions, hashes; what a lock keeps although it was made anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from msgspec.structs import replace

from provision.core.lockfile import sort_lockfile
from provision.model.lockfile import (
    ChangeKind,
    LockChange,
    LockDocument,
    LockedFile,
    LockedModel,
    LockedStack,
    Lockfile,
)
from provision.model.packages import Wheel

_Entry = TypeVar("_Entry")


def compare_locks(former: LockDocument, latest: LockDocument) -> tuple[LockChange, ...]:
    """Every difference, in the order of the file; none when both bind the same.

    How far uploads were looked at (`exclude_newer`) and the error rate of a smoke with the same verdict are no
    difference: both move from day to day while what is installed stays.
    """
    before, after = sort_lockfile(former.lockfile), sort_lockfile(latest.lockfile)
    return (
        *_compare_fields("lock", before, after, ("profile", "platform", "python")),
        *_compare_stacks(former, latest),
        *_compare_models(before, after),
    )


def keep_former(former: Lockfile, latest: Lockfile) -> Lockfile:
    """`latest` with what only the machine that wrote `former` could know: files and smokes of same revisions.

    A lock is then the same wherever it is written again.
    """
    known = {model.key: model for model in former.models}
    models = tuple(_keep(known.get(model.key), model) for model in latest.models)
    same = sort_lockfile(former).stacks == sort_lockfile(latest).stacks
    cutoff = former.exclude_newer if same else latest.exclude_newer
    return replace(latest, models=models, exclude_newer=cutoff)


def find_altered_files(former: Lockfile, latest: Lockfile) -> tuple[tuple[str, str], ...]:
    """(model, path) of every file whose content changed while its revision did not, which no file may."""
    known = {(model.key, model.revision): model for model in former.models}
    altered = []
    for model in latest.models:
        old = known.get((model.key, model.revision))
        before = {} if old is None else {file.path: file for file in (*old.files, *old.remote_code)}
        for file in (*model.files, *model.remote_code):
            if file.path in before and before[file.path] != file:
                altered.append((model.key, file.path))
    return tuple(altered)


def _keep(old: LockedModel | None, new: LockedModel) -> LockedModel:
    if old is None or old.revision != new.revision:
        return new
    if not new.files and not new.remote_code:
        new = replace(new, files=old.files, remote_code=old.remote_code)
    if old.smoke is None or new.smoke is None:
        return replace(new, smoke=new.smoke or old.smoke)
    same = replace(old.smoke, cer=None) == replace(new.smoke, cer=None)
    return replace(new, smoke=old.smoke) if same else new


def _compare_stacks(former: LockDocument, latest: LockDocument) -> Iterator[LockChange]:
    before = {stack.name: stack for stack in former.lockfile.stacks}
    after = {stack.name: stack for stack in latest.lockfile.stacks}
    for name in sorted({*before, *after}):
        place = f"stack {name}"
        if name not in after:
            yield LockChange(
                kind=ChangeKind.REMOVED, place=place, name="stack", before=_describe_stack(before[name])
            )
        elif name not in before:
            yield LockChange(
                kind=ChangeKind.ADDED, place=place, name="stack", after=_describe_stack(after[name])
            )
        else:
            yield from _compare_fields(
                place, before[name], after[name], ("models", "requirements", "tag", "cuda")
            )
            yield from _compare_wheels(place, former.locks[name].wheels, latest.locks[name].wheels)


def _compare_wheels(place: str, former: tuple[Wheel, ...], latest: tuple[Wheel, ...]) -> Iterator[LockChange]:
    before, after = {wheel.name: wheel for wheel in former}, {wheel.name: wheel for wheel in latest}
    yield from _compare_names(
        place,
        {name: wheel.version for name, wheel in before.items()},
        {name: wheel.version for name, wheel in after.items()},
    )
    for name in sorted(set(before) & set(after)):
        old, new = before[name], after[name]
        if old.version == new.version and set(old.hashes) != set(new.hashes):
            yield LockChange(
                kind=ChangeKind.CHANGED,
                place=place,
                name=f"{name} {new.version}",
                before=_describe_hashes(old, new),
                after=_describe_hashes(new, old),
            )


def _compare_models(former: Lockfile, latest: Lockfile) -> Iterator[LockChange]:
    before = {model.key: model for model in former.models}
    after = {model.key: model for model in latest.models}
    for key in sorted({*before, *after}):
        place = f"model {key}"
        if key not in after:
            yield LockChange(kind=ChangeKind.REMOVED, place=place, name="model", before=before[key].revision)
        elif key not in before:
            yield LockChange(kind=ChangeKind.ADDED, place=place, name="model", after=after[key].revision)
        else:
            old, new = before[key], after[key]
            yield from _compare_fields(place, old, new, ("stack", "repo_id", "embedded", "revision"))
            yield from _compare_smoke(place, old, new)
            yield from _compare_names(place, _hash_files(old.files), _hash_files(new.files))
            yield from _compare_names(place, _hash_files(old.remote_code), _hash_files(new.remote_code))


def _compare_smoke(place: str, former: LockedModel, latest: LockedModel) -> Iterator[LockChange]:
    before, after = (
        None
        if model.smoke is None
        else ", ".join(filter(None, (model.smoke.verdict, model.smoke.dtype, model.smoke.attention)))
        for model in (former, latest)
    )
    yield from _compare_values(place, "smoke", before, after)


def _compare_fields(
    place: str, former: Lockfile | LockedStack | LockedModel, latest: object, names: tuple[str, ...]
) -> Iterator[LockChange]:
    for name in names:
        yield from _compare_values(place, name, _text(getattr(former, name)), _text(getattr(latest, name)))


def _compare_names(place: str, former: Mapping[str, str], latest: Mapping[str, str]) -> Iterator[LockChange]:
    for name in sorted({*former, *latest}):
        yield from _compare_values(place, name, former.get(name), latest.get(name))


def _compare_values(place: str, name: str, before: str | None, after: str | None) -> Iterator[LockChange]:
    if before != after:
        kind = ChangeKind.CHANGED
        if before is None or after is None:
            kind = ChangeKind.ADDED if before is None else ChangeKind.REMOVED
        yield LockChange(kind=kind, place=place, name=name, before=before, after=after)


def _text(value: object) -> str | None:
    if value is None:
        return None
    return ", ".join(sorted(value)) if isinstance(value, tuple) else str(value)


def _hash_files(files: tuple[LockedFile, ...]) -> dict[str, str]:
    return {file.path: f"sha256:{file.sha256}" for file in files}


def _describe_stack(stack: LockedStack) -> str:
    return f"{stack.packages} packages, torch {stack.torch}"


def _describe_hashes(wheel: Wheel, other: Wheel) -> str:
    """The hashes that only `wheel` has, the first of them written out."""
    own = sorted(set(wheel.hashes) - set(other.hashes))
    return "nothing more" if not own else own[0] + (f" and {len(own) - 1} more" if len(own) > 1 else "")
