"""A stack's folder: a virtual environment, its lock, and the manifest that is written last."""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
from pathlib import Path

import msgspec
from msgspec import Struct

from provision.errors import StateError, ToolError
from provision.model.state import InstalledPackage, StackManifest
from provision.system.files import write_atomic

LOCK_NAME = "requirements.lock"
_MANIFEST_NAME = "provision-stack.json"


class Inventory(Struct, frozen=True, kw_only=True):
    """What is installed in an environment, as its RECORDs list it and the disk confirms."""

    packages: tuple[InstalledPackage, ...]
    files: int
    installed_bytes: int


def find_interpreter(folder: Path) -> Path:
    """The interpreter of the environment at `folder`, whether it exists or not."""
    return folder / "Scripts" / "python.exe" if os.name == "nt" else folder / "bin" / "python"


def load_manifest(folder: Path) -> StackManifest | None:
    """The manifest of a complete stack; None when the stack is missing or was not finished."""
    try:
        manifest = msgspec.json.decode((folder / _MANIFEST_NAME).read_bytes(), type=StackManifest)
    except (OSError, msgspec.DecodeError):
        return None
    return manifest if find_interpreter(folder).exists() else None


def save_manifest(folder: Path, manifest: StackManifest) -> None:
    """Declare the stack complete."""
    write_atomic(folder / _MANIFEST_NAME, msgspec.json.format(msgspec.json.encode(manifest), indent=2))


def remove_stack(folder: Path) -> None:
    """Remove a stack, its manifest first, so that a half-removed one is never taken for complete."""
    (folder / _MANIFEST_NAME).unlink(missing_ok=True)
    try:
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise StateError(
            f"{folder} cannot be removed: {error.strerror or error}",
            hint="close the programs that run from it",
        ) from error


def place_stack(built: Path, folder: Path) -> None:
    """Give the complete stack in `built` its final name; what was there goes, and comes back on failure.

    Raises StateError when files of the former are in use.
    """
    aside = folder.with_name(f".{folder.name}.aside")
    remove_stack(aside)
    try:
        if folder.exists():
            folder.rename(aside)
        try:
            built.rename(folder)
        except OSError:
            if aside.exists():
                aside.rename(folder)
            raise
    except OSError as error:
        raise StateError(
            f"{folder} cannot be replaced: {error.strerror or error}",
            hint="close the programs that run from it",
        ) from error
    remove_stack(aside)


def take_inventory(folder: Path) -> Inventory:
    """Check every file that the installed distributions list, and count them.

    Raises ToolError naming the first that is missing or has another size: an installation that was cut short
    leaves a `.dist-info` without its files.
    """
    packages, files, installed_bytes = [], 0, 0
    for site in _find_site_packages(folder):
        for info in sorted(site.glob("*.dist-info")):
            record = info / "RECORD"
            if not record.is_file():
                raise ToolError(f"{info.name} in {folder} has no RECORD: the installation was cut short")
            text = record.read_bytes()
            name, _, version = info.name.removesuffix(".dist-info").partition("-")
            packages.append(
                InstalledPackage(name=name, version=version, record_sha256=hashlib.sha256(text).hexdigest())
            )
            count, size = _check_record(site, info.name, text.decode("utf-8"))
            files, installed_bytes = files + count, installed_bytes + size
    return Inventory(packages=tuple(packages), files=files, installed_bytes=installed_bytes)


def _check_record(site: Path, name: str, text: str) -> tuple[int, int]:
    files, installed_bytes = 0, 0
    prefix = f"{site}{os.sep}"
    for row in csv.reader(text.splitlines()):
        path, _, listed = row
        try:
            # Not through Path: twenty thousand files are looked at before "nothing to do" is said.
            size = os.stat(prefix + path).st_size  # noqa: PTH116
        except OSError as error:
            raise ToolError(
                f"{name} lists {path}, which is missing: the installation was cut short"
            ) from error
        if listed and int(listed) != size:
            raise ToolError(f"{name} lists {path} with {listed} bytes, it has {size}")
        files, installed_bytes = files + 1, installed_bytes + size
    return files, installed_bytes


def _find_site_packages(folder: Path) -> list[Path]:
    if os.name == "nt":
        return [folder / "Lib" / "site-packages"]
    return sorted(folder.glob("lib/python3*/site-packages"))
