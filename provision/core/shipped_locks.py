"""The locks that ship in `profiles/locks/`: what each is for stands in its first lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct

from provision.core.lock_choice import LockTerms, judge_terms
from provision.core.lock_text import parse_lock_text, render_lock_text
from provision.errors import BadFileError
from provision.model.lockfile import LockWanted, NoLock
from provision.model.packages import StackLock

_FIRST_LINE = "# provision stack lock 1"
_FIELD = re.compile(r"# ([a-z-]{1,30}): ([^\r\n]{1,500})")
_ONCE = ("build", "platform", "python", "torch", "torchvision", "tag", "exclude-newer")
_NONE = "none"
# What stands for the time in a lock that was made without one.
NO_CUTOFF = _NONE
_AGAIN = "provision lock PROFILE --ship FOLDER   # writes it anew"


class ShippedLock(Struct, frozen=True, kw_only=True):
    """A lock with what it is for. `build` names the torch build in torch.yaml; `exclude_newer` as in a lock."""

    build: str
    terms: LockTerms
    exclude_newer: str
    lock: StackLock


def render_shipped_lock(shipped: ShippedLock) -> str:
    """The text of a file in `profiles/locks/`."""
    terms = shipped.terms
    fields = {
        "build": shipped.build,
        "platform": terms.platform,
        "python": " ".join(terms.pythons),
        "torch": terms.torch,
        "torchvision": terms.torchvision or _NONE,
        "tag": terms.tag,
        "exclude-newer": shipped.exclude_newer,
    }
    head = [_FIRST_LINE, *(f"# {key}: {value}" for key, value in fields.items())]
    head += [f"# requires: {requirement}" for requirement in sorted(terms.requirements)]
    return "\n".join(head) + "\n\n" + render_lock_text(shipped.lock.wheels, sizes=True)


def parse_shipped_lock(text: str, *, where: str) -> ShippedLock:
    """Read a shipped lock. Raises BadFileError with file, line or field, and reason."""
    lines = text.removeprefix("\N{BYTE ORDER MARK}").splitlines()
    if not lines or lines[0] != _FIRST_LINE:
        raise BadFileError(f"{where}, line 1: must be `{_FIRST_LINE}`", hint=_AGAIN)
    fields: dict[str, str] = {}
    requirements: list[str] = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            break
        match = _FIELD.fullmatch(line)
        if match is None or (match[1] not in _ONCE and match[1] != "requires") or match[1] in fields:
            raise BadFileError(f"{where}, line {number}: is no field, or stands twice", hint=_AGAIN)
        if match[1] == "requires":
            requirements.append(match[2])
        else:
            fields[match[1]] = match[2]
    missing = [name for name in _ONCE if name not in fields]
    if missing:
        raise BadFileError(f"{where}: the field `{missing[0]}` is missing", hint=_AGAIN)
    return ShippedLock(
        build=fields["build"],
        terms=_build_terms(fields, requirements),
        exclude_newer=fields["exclude-newer"],
        lock=parse_lock_text(text, where=where),
    )


def _build_terms(fields: Mapping[str, str], requirements: Iterable[str]) -> LockTerms:
    return LockTerms(
        requirements=tuple(requirements),
        platform=fields["platform"],
        pythons=tuple(fields["python"].split()),
        torch=fields["torch"],
        torchvision=None if fields["torchvision"] == _NONE else fields["torchvision"],
        tag=fields["tag"],
    )


def choose_shipped_lock(shipped: Iterable[ShippedLock], wanted: LockWanted) -> ShippedLock | NoLock:
    """The shipped lock for `wanted`, the newest cut-off of several, or why the nearest is not."""
    judged = [(judge_terms(one.terms, wanted), one) for one in shipped]
    if fitting := [one for reason, one in judged if reason is None]:
        return max(fitting, key=lambda one: one.exclude_newer)
    if not judged:
        return NoLock(reason="no lock is shipped")
    reason, _ = min(
        judged,
        key=lambda pair: (
            pair[1].terms.platform != wanted.platform,
            wanted.python not in pair[1].terms.pythons,
            len(set(pair[1].terms.requirements) ^ set(wanted.requirements)),
        ),
    )
    return NoLock(reason=f"the nearest shipped lock {reason}")
