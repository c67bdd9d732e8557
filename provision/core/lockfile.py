"""`provision.lock`: rendered with the same bytes for the same content, and parsed strictly."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import msgspec

from provision.core.lock_text import parse_lock_text, render_lock_text
from provision.core.toml_text import render_toml
from provision.core.yaml_text import convert
from provision.errors import BadFileError
from provision.model.lockfile import SCHEMA, LockDocument, LockedFile, LockedModel, Lockfile

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}/[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_PYTHON = re.compile(r"3\.[0-9]{1,3}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_AGAIN = "provision lock   # writes it anew"


class NewerLockError(BadFileError):
    """A newer release wrote the lock: it must not be written over by what cannot read it."""


_HEADER = """\
# What `provision apply` uses: packages, weights, the models' own code, and how they read.
# Written by `provision lock`, held by `provision lock --check`. Commit it with its folder.
"""
_NO_FILES = "files = []  # not on the machine that wrote this: provision apply, then provision lock"


def render_lockfile(lockfile: Lockfile) -> str:
    """The text of `provision.lock`. Stacks, models and files are sorted by their names."""
    content = msgspec.to_builtins(sort_lockfile(lockfile))
    return _HEADER + re.sub(r"(?m)^files = \[\]$", _NO_FILES, render_toml(content))


def render_stack_text(document: LockDocument, name: str) -> str:
    """The text of `provision.lock.d/NAME.txt`."""
    lockfile = document.lockfile
    head = f"# Stack {name} of provision.lock, for {lockfile.platform} and Python {lockfile.python}.\n"
    return head + render_lock_text(document.locks[name].wheels, sizes=True)


def sort_lockfile(lockfile: Lockfile) -> Lockfile:
    """The same content in the one order that is written."""
    return msgspec.structs.replace(
        lockfile,
        stacks=tuple(
            msgspec.structs.replace(
                stack, models=tuple(sorted(stack.models)), requirements=tuple(sorted(stack.requirements))
            )
            for stack in sorted(lockfile.stacks, key=lambda stack: stack.name)
        ),
        models=tuple(
            msgspec.structs.replace(
                model, files=_sort_files(model.files), remote_code=_sort_files(model.remote_code)
            )
            for model in sorted(lockfile.models, key=lambda model: model.key)
        ),
    )


def _sort_files(files: tuple[LockedFile, ...]) -> tuple[LockedFile, ...]:
    return tuple(sorted(files, key=lambda file: file.path))


def parse_lockfile(text: str, *, where: str) -> Lockfile:
    """Read `provision.lock`. Raises BadFileError with the file, the key path and the reason."""
    try:
        data = tomllib.loads(text.removeprefix("\N{BYTE ORDER MARK}").replace("\r\n", "\n"))
    except RecursionError:
        raise BadFileError(f"{where}: it is nested too deeply", hint=_AGAIN) from None
    except ValueError as error:
        raise BadFileError(f"{where}: {error}", hint=_AGAIN) from error
    schema = data.get("schema")
    if isinstance(schema, int) and not isinstance(schema, bool) and schema > SCHEMA:
        raise NewerLockError(
            f"{where}: a newer provision wrote it: its schema is {schema}, this one reads {SCHEMA}",
            hint="python -m pip install --upgrade provision",
        )
    lockfile = convert(data, Lockfile, where=where)
    for path, reason in _find_faults(lockfile):
        raise BadFileError(f"{where}: {path}: {reason}", hint=_AGAIN)
    return lockfile


def parse_lock_document(text: str, stack_texts: Mapping[str, str], *, where: str) -> LockDocument:
    """`provision.lock` with the texts of its stacks, by name; each must be the one that it binds.

    Raises BadFileError.
    """
    lockfile = parse_lockfile(text, where=where)
    locks = {}
    for stack in lockfile.stacks:
        place = f"{where}.d/{stack.name}.txt"
        if stack.name not in stack_texts:
            raise BadFileError(f"{place}: it is missing, and {where} binds it", hint=_AGAIN)
        lock = parse_lock_text(stack_texts[stack.name], where=place)
        if lock.sha256 != stack.sha256:
            raise BadFileError(f"{place}: it is not the text that {where} binds", hint=_AGAIN)
        locks[stack.name] = lock
    return LockDocument(lockfile=lockfile, locks=locks)


def _find_faults(lockfile: Lockfile) -> Iterator[tuple[str, str]]:
    """(key path, reason) of what the types allow and a lock does not."""
    if lockfile.schema != SCHEMA:
        yield "schema", f"must be {SCHEMA}"
    yield from _match("profile", lockfile.profile, _NAME, "a profile's name")
    yield from _match("platform", lockfile.platform, _NAME, "a platform's name")
    yield from _match("python", lockfile.python, _PYTHON, "a minor version such as 3.12")
    for number, stack in enumerate(lockfile.stacks):
        path = f"stacks[{number}]"
        yield from _match(f"{path}.name", stack.name, _NAME, "a stack's name")
        yield from _match(f"{path}.sha256", stack.sha256, _SHA256, "a SHA-256 in hex")
    yield from _find_twice("stacks", "name", [stack.name.lower() for stack in lockfile.stacks])
    names = {stack.name: stack for stack in lockfile.stacks}
    for number, model in enumerate(lockfile.models):
        path = f"models[{number}]"
        yield from _find_model_faults(path, model)
        if model.stack not in names or model.key not in names[model.stack].models:
            yield f"{path}.stack", f"{model.stack!r} is no stack that serves {model.key!r}"
    yield from _find_twice("models", "key", [model.key for model in lockfile.models])
    locked = {model.key for model in lockfile.models}
    for number, stack in enumerate(lockfile.stacks):
        for key in sorted(set(stack.models) - locked):
            yield f"stacks[{number}].models", f"there is no model {key!r}"


def _find_model_faults(path: str, model: LockedModel) -> Iterator[tuple[str, str]]:
    yield from _match(f"{path}.key", model.key, _NAME, "a model's key")
    if (model.repo_id is None) == (model.embedded is None):
        yield path, "must have one of `repo_id` and `embedded`"
    elif model.repo_id is not None:
        yield from _match(f"{path}.repo_id", model.repo_id, _REPO, "OWNER/MODEL")
        yield from _match(f"{path}.revision", model.revision, _COMMIT, "a commit in 40 hex digits")
    else:
        yield from _match(f"{path}.embedded", str(model.embedded), _NAME, "a folder's name")
        yield from _match(f"{path}.revision", model.revision, _SHA256, "a SHA-256 in hex")
    for kind, files in (("files", model.files), ("remote_code", model.remote_code)):
        for number, file in enumerate(files):
            if not is_safe_path(file.path):
                yield f"{path}.{kind}[{number}].path", f"{file.path!r} leads out of the model's folder"
            if file.size_bytes < 0:
                yield f"{path}.{kind}[{number}].size_bytes", "must not be negative"
            yield from _match(f"{path}.{kind}[{number}].sha256", file.sha256, _SHA256, "a SHA-256 in hex")
        yield from _find_twice(f"{path}.{kind}", "path", [file.path for file in files])


def is_safe_path(path: str) -> bool:
    """Whether a relative path stays below the folder that it is joined to, on every system."""
    if not path.isprintable() or "\\" in path or ":" in path:
        return False
    parts = PurePosixPath(path).parts
    absolute = PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute()
    return bool(parts) and not absolute and ".." not in parts and path == "/".join(parts)


def _match(path: str, value: str, pattern: re.Pattern[str], what: str) -> Iterator[tuple[str, str]]:
    if not pattern.fullmatch(value):
        yield path, f"{value!r} is not {what}"


def _find_twice(path: str, key: str, values: list[str]) -> Iterator[tuple[str, str]]:
    first: dict[Any, int] = {}
    for number, value in enumerate(values):
        if value in first:
            yield f"{path}[{number}].{key}", f"{value!r} stands in {path}[{first[value]}] already"
        first.setdefault(value, number)
