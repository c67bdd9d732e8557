"""The text of a stack's lock: pip's requirements format with hashes, no URLs, and sizes as comments."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

from packaging.utils import InvalidName, canonicalize_name
from packaging.version import InvalidVersion, Version

from provision.errors import BadFileError
from provision.model.packages import StackLock, Wheel

_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,199})==([A-Za-z0-9][A-Za-z0-9.+!_-]{0,199})( \\)?")
_HASH = re.compile(r" {1,8}--hash=(sha256:[0-9a-f]{64})( \\)?")
_SIZE = re.compile(r"# ([0-9]{1,18}) bytes")
_AGAIN = "provision lock   # writes it anew"


def render_lock_text(wheels: Iterable[Wheel], *, sizes: bool) -> str:
    """The requirements of `wheels`; with `sizes` each has a comment that says the bytes of its file."""
    return "".join(_render(wheel, sizes=sizes) for wheel in wheels)


def _render(wheel: Wheel, *, sizes: bool) -> str:
    size = f"# {wheel.size_bytes} bytes\n" if sizes and wheel.size_bytes is not None else ""
    hashes = "".join(f" \\\n    --hash={digest}" for digest in wheel.hashes)
    return f"{size}{wheel.name}=={wheel.version}{hashes}\n"


def parse_lock_text(text: str, *, where: str) -> StackLock:
    """Read what `render_lock_text` wrote, strictly; its own text and hash are those without comments.

    Line ends do not count, so that git may change them. Raises BadFileError with file, line and reason for all
    else: URLs, options, packages without a hash, a package that stands twice.
    """
    wheels = tuple(_read_wheels(text, where))
    if not wheels:
        raise BadFileError(f"{where}: it locks no package", hint=_AGAIN)
    plain = render_lock_text(wheels, sizes=False)
    return StackLock(text=plain, sha256=hashlib.sha256(plain.encode()).hexdigest(), wheels=wheels)


def _read_wheels(text: str, where: str) -> Iterator[Wheel]:
    """Each package with its hashes; `size_bytes` from the comment right above it."""
    lines = list(enumerate(text.removeprefix("\N{BYTE ORDER MARK}").splitlines(), start=1))
    seen: dict[str, int] = {}
    size: int | None = None
    at = 0
    while at < len(lines):
        number, line = lines[at]
        at += 1
        if not line.strip() or line.startswith("#"):
            known = _SIZE.fullmatch(line)
            size = int(known[1]) if known else None
            continue
        name, version, more = _read_requirement(line, f"{where}, line {number}")
        if name in seen:
            raise _refuse(f"{where}, line {number}", f"{name} stands in line {seen[name]} already")
        seen[name] = number
        hashes: list[str] = []
        while more and at < len(lines) and (match := _HASH.fullmatch(lines[at][1])):
            hashes.append(match[1])
            more = bool(match[2])
            at += 1
        if more or not hashes:
            raise _refuse(f"{where}, line {lines[min(at, len(lines) - 1)][0]}", f"{name} lacks its hash")
        yield Wheel(name=name, version=version, hashes=tuple(hashes), size_bytes=size)
        size = None


def _read_requirement(line: str, place: str) -> tuple[str, str, bool]:
    match = _LINE.fullmatch(line)
    if match is None:
        kind = "a URL" if "://" in line else "an option" if line.lstrip().startswith("-") else "this"
        raise _refuse(place, f"{kind} has no place in a lock, only NAME==VERSION and its hashes")
    name, version = match[1], match[2]
    try:
        if name != canonicalize_name(name, validate=True):
            raise _refuse(place, f"{name} must be written {canonicalize_name(name)}")
        Version(version)
    except InvalidName as error:
        raise _refuse(place, f"{name} can be no package's name") from error
    except InvalidVersion as error:
        raise _refuse(place, f"{version} is no version") from error
    return name, version, match[3] is not None


def _refuse(place: str, reason: str) -> BadFileError:
    return BadFileError(f"{place}: {reason}", hint=_AGAIN)
