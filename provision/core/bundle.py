"""The list at the head of a bundle: rendered, and believed only after every name in it was looked at."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

import msgspec
from msgspec import Struct

from provision.errors import BadFileError
from provision.model.bundle import SCHEMA, BundledStack, BundleManifest, Member
from provision.model.packages import StackLock

README_MEMBER = "README.txt"
WHEELS_DIR = "wheels"
TOOL_DIR = "tool"
_FOLDERS = frozenset({"locks", WHEELS_DIR, "weights", TOOL_DIR})
# What every file system takes as a name, and none takes for something else. Windows drops dots and spaces at
# the end: https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+!@=,~-]{0,199}")
_DEVICE = re.compile(r"(?i)(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?")
_KEY = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_PARTS = 8
# One file of a model has at most some tens of gigabytes.
_MOST_BYTES = 2**43


class _Version(Struct):
    schema: int


def render_manifest(manifest: BundleManifest) -> bytes:
    """The list as it stands in the archive."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def parse_manifest(data: bytes, *, where: str) -> BundleManifest:
    """Read and check the list of a bundle: its names can then be used as paths.

    Raises BadFileError for one that cannot be read, is of a newer `provision`, or names what it may not.
    """
    try:
        schema = msgspec.json.decode(data, type=_Version).schema
        if schema > SCHEMA:
            raise BadFileError(
                f"{where} was made by a newer provision (schema {schema}, this one reads {SCHEMA})",
                hint="install the provision that the bundle carries, or a newer one",
            )
        manifest = msgspec.json.decode(data, type=BundleManifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _bad(where, f"its list cannot be read: {error}") from error
    problem = find_problem(manifest)
    if problem is not None:
        raise _bad(where, problem)
    return manifest


def find_problem(manifest: BundleManifest) -> str | None:
    """What in the list may not be or does not belong together, in one clause; None when nothing."""
    names = [member.name for member in manifest.members]
    checks: Iterable[str | None] = (
        *(_find_name_problem(name) for name in names),
        _find_clash(names),
        *(_find_value_problem(member) for member in manifest.members),
        _find_repeated("stack", [stack.name for stack in manifest.stacks]),
        _find_repeated("model", [model.key for model in manifest.weights]),
        _find_stray(manifest, names),
        *(_find_stack_problem(stack, manifest.members) for stack in manifest.stacks),
    )
    return next((problem for problem in checks if problem is not None), None)


def _find_name_problem(name: str) -> str | None:
    parts = name.split("/")
    good = len(parts) <= _MOST_PARTS and all(
        _PART.fullmatch(part) and not part.endswith(".") and not _DEVICE.fullmatch(part) for part in parts
    )
    known = name == README_MEMBER or (len(parts) > 1 and parts[0] in _FOLDERS)
    return None if good and known else f"{name!r} may not be the name of a file in a bundle"


def _find_clash(names: Sequence[str]) -> str | None:
    """Two names for one file: file systems of Windows and macOS do not tell letters by their case."""
    files: set[str] = set()
    for name in names:
        if name.lower() in files:
            return f"{name!r} is there twice"
        files.add(name.lower())
    parents = {str(parent) for name in files for parent in PurePosixPath(name).parents}
    both = sorted(files & parents)
    return f"{both[0]!r} is a file and a folder" if both else None


def _find_value_problem(member: Member) -> str | None:
    if not 0 <= member.size_bytes <= _MOST_BYTES:
        return f"{member.name!r} has an impossible size"
    return None if _SHA256.fullmatch(member.sha256) else f"the hash of {member.name!r} is no SHA-256"


def _find_repeated(what: str, keys: Sequence[str]) -> str | None:
    for number, key in enumerate(keys):
        if not _KEY.fullmatch(key):
            return f"{key!r} cannot be the name of a {what}"
        if key in keys[:number]:
            return f"{what} {key!r} is there twice"
    return None


def _find_stray(manifest: BundleManifest, names: Sequence[str]) -> str | None:
    """A file that nothing in the list asks for, or a model without files."""
    locks = {stack.lock_member for stack in manifest.stacks}
    wheels = {wheel.member for stack in manifest.stacks for wheel in stack.wheels}
    folders = {model.folder for model in manifest.weights}
    for name in names:
        top, _, rest = name.partition("/")
        if (top == "locks" and name not in locks) or (top == WHEELS_DIR and name not in wheels):
            return f"nothing asks for {name!r}"
        if top == "weights" and f"weights/{rest.partition('/')[0]}" not in folders:
            return f"nothing asks for {name!r}"
    bare = sorted(folder for folder in folders if f"{folder}/config.json" not in names)
    return f"{bare[0]!r} holds no config.json" if bare else None


def _find_stack_problem(stack: BundledStack, members: Sequence[Member]) -> str | None:
    hashes = {member.name: member.sha256 for member in members}
    if hashes.get(stack.lock_member) != stack.lock_sha256:
        return f"the lock of stack {stack.name!r} is missing or another one"
    for wheel in stack.wheels:
        if not wheel.member.startswith(f"{WHEELS_DIR}/") or wheel.member not in hashes:
            return f"{wheel.name} {wheel.version} of stack {stack.name!r} has no file"
    return None


def find_lock_problem(stack: BundledStack, lock: StackLock, members: Sequence[Member]) -> str | None:
    """Whether the wheels of a stack are exactly those of its lock, by version and hash."""
    hashes = {member.name: f"sha256:{member.sha256}" for member in members}
    locked = {wheel.name: wheel for wheel in lock.wheels}
    packed = {wheel.name: wheel for wheel in stack.wheels}
    if set(locked) != set(packed) or len(packed) != len(stack.wheels) or len(locked) != len(lock.wheels):
        return f"the wheels of stack {stack.name!r} are not those of its lock"
    for name, wheel in packed.items():
        if wheel.version != locked[name].version or hashes[wheel.member] not in locked[name].hashes:
            return f"{wheel.member!r} is not the {name} of the lock of stack {stack.name!r}"
    return None


def _bad(where: str, problem: str) -> BadFileError:
    return BadFileError(f"{where} is refused: {problem}", hint="make it again: provision bundle FILE")


def build_readme(manifest: BundleManifest, *, tool: bool) -> str:
    """What somebody reads who finds the file: for which machine it is, and what to type there."""
    target = manifest.target
    lines = [
        f"A bundle of provision {manifest.provision}, made {manifest.created}.",
        "",
        f"For {target.platform} with Python {target.python}, profile {target.profile}.",
        *(f"GPU: {gpu}" for gpu in target.gpus),
        f"Models: {', '.join(manifest.models)}",
        "",
        "On that machine, which needs no network, with this file as FILE:",
        "",
    ]
    if tool:
        windows = target.platform.startswith("windows-")
        python, programs = (
            (f"py -{target.python}", "Scripts") if windows else (f"python{target.python}", "bin")
        )
        lines += [
            f"    tar -xf FILE {TOOL_DIR}",
            f"    {python} -m venv provision",
            f"    provision/{programs}/python -m pip install --no-index --find-links {TOOL_DIR} provision",
            f"    provision/{programs}/provision apply --bundle FILE",
        ]
    else:
        lines += ["    provision apply --bundle FILE"]
    return "\n".join([*lines, "", "bundle.json lists every file with its size and SHA-256.", ""])
