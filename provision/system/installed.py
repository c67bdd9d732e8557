"""Reads the distributions of a site-packages folder: their metadata, and their files against RECORD."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from provision.model.environment import (
    MAX_FAULTS,
    OTHER_INSTALLERS,
    FaultKind,
    FileFault,
    InstalledDistribution,
)
from provision.system.environment_layout import list_names, load_lenient

if TYPE_CHECKING:
    from concurrent.futures import Executor

# Hashing releases the interpreter's lock; more readers than this only make a disk seek.
_THREADS = min(8, os.cpu_count() or 1)
_HASHES = {"sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}


class Row(Struct, frozen=True):
    """One line of a RECORD: a path relative to site-packages, `sha256=…`, and a size; "" where not listed."""

    path: str
    digest: str
    size: str


class Found(Struct, frozen=True):
    """A distribution with the rows of its RECORD, which only inspection needs."""

    distribution: InstalledDistribution
    rows: tuple[Row, ...]


def load_distributions(site_dir: Path, *, check_files: bool, verify: bool) -> list[Found]:
    """Every distribution of a folder, by name.

    `check_files` compares the size of each file that a RECORD lists, `verify` its hash too.
    """
    names = [name for name in list_names(site_dir) if name.endswith((".dist-info", ".egg-info"))]
    if not check_files:
        return [_load(site_dir, name, None) for name in names]
    with _Checker(site_dir, verify=verify) as checker:
        return [_load(site_dir, name, checker) for name in names]


def list_leftovers(site_dir: Path) -> list[str]:
    """Folders that pip renamed before a removal which it did not finish: `~orch`, `~ip-24.0.dist-info`."""
    return [name for name in list_names(site_dir) if name.startswith("~")]


def _load(site_dir: Path, info_name: str, checker: _Checker | None) -> Found:
    info = site_dir / info_name
    metadata = load_lenient(info / "METADATA") or load_lenient(info / "PKG-INFO")
    if metadata is None and info.is_file():
        metadata = load_lenient(info)
    headers = _parse_headers(metadata or "")
    stem = info_name.rpartition(".")[0]
    by_folder = stem.split("-")
    record = load_record(info / "RECORD")
    rows = tuple(parse_record(record)) if record is not None else ()
    installer = (load_lenient(info / "INSTALLER") or "").strip() or None
    # Other programs strip libraries and move scripts after a wheel was laid out, and check their files themselves.
    foreign = (installer or "").lower() in OTHER_INSTALLERS or (
        installer is None and site_dir.name == "dist-packages"
    )
    faults = checker.find_faults(rows) if checker and not foreign else []
    distribution = InstalledDistribution(
        name=_normalise(next(iter(headers.get("name", [])), by_folder[0])),
        version=next(iter(headers.get("version", [])), by_folder[1] if len(by_folder) > 1 else None),
        site_dir=str(site_dir),
        info_name=info_name,
        installer=installer,
        editable=_is_editable(info / "direct_url.json"),
        requires=tuple(headers.get("requires-dist", ())),
        has_metadata=metadata is not None,
        listed=None if record is None else len(rows),
        faults=tuple(faults[:MAX_FAULTS]),
        fault_count=len(faults),
        module_missing=_is_module_missing(rows, info_name, faults),
    )
    return Found(distribution, rows)


def _normalise(name: str) -> str:
    """As PEP 503 says. `packaging.utils` would cost a tenth of the time that an inspection may take to import."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _parse_headers(text: str) -> dict[str, list[str]]:
    """The headers of METADATA up to the empty line, names in lower case; folded lines are left out."""
    headers: dict[str, list[str]] = {}
    for line in text.splitlines():
        if not line.strip():
            break
        key, separator, value = line.partition(":")
        if separator and not line[0].isspace():
            headers.setdefault(key.lower(), []).append(value.strip())
    return headers


def load_record(path: Path) -> str | None:
    """The text of a RECORD, however long; None when there is none."""
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except (OSError, ValueError):
        return None


def parse_record(text: str) -> Iterator[Row]:
    """The rows of a RECORD. A line that makes no sense is left out."""
    for line in text.splitlines():
        # Not one path in ten thousand is quoted, and csv would take a third of the time that is there.
        fields = next(csv.reader([line]), []) if '"' in line else line.rsplit(",", 2)
        if len(fields) == 3 and fields[0] and "\0" not in fields[0]:
            yield Row(*fields)


def _is_editable(path: Path) -> bool:
    """Whether direct_url.json (PEP 610) says that the code is used where its source lies."""
    try:
        document = json.loads(load_lenient(path) or "{}")
    except (ValueError, RecursionError):
        return False
    about = document.get("dir_info") if isinstance(document, dict) else None
    return isinstance(about, dict) and about.get("editable") is True


def _is_module_missing(rows: tuple[Row, ...], info_name: str, faults: list[FileFault]) -> bool:
    """Whether RECORD lists files outside of its own folder and none of them is there."""
    lost = {fault.path for fault in faults if fault.kind is FaultKind.MISSING}
    if not lost:
        return False
    outside = [row.path for row in rows if not row.path.startswith((f"{info_name}/", "../"))]
    return bool(outside) and all(path in lost for path in outside)


class _Checker:
    """Compares files with rows. A folder's descriptor makes each look-up a fifth cheaper where it works."""

    def __init__(self, site_dir: Path, *, verify: bool) -> None:
        self._prefix = f"{site_dir}{os.sep}"
        self._descriptor: int | None = None
        self._pool: Executor | None = None
        if verify:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(_THREADS)
        if os.stat in os.supports_dir_fd:
            self._descriptor = os.open(site_dir, os.O_RDONLY)
            self._prefix = ""

    def __enter__(self) -> _Checker:
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
        if self._pool is not None:
            self._pool.shutdown()

    def find_faults(self, rows: tuple[Row, ...]) -> list[FileFault]:
        """The files that are not as listed, in the order of RECORD."""
        compared = (
            self._pool.map(self._compare_all, rows)
            if self._pool
            else (self._compare_size(row) for row in rows)
        )
        return [fault for fault in compared if fault]

    def _compare_all(self, row: Row) -> FileFault | None:
        return self._compare_size(row) or self._compare_hash(row)

    def _compare_size(self, row: Row) -> FileFault | None:
        try:
            # Not through Path: twenty thousand files are looked at within a tenth of a second.
            state = os.stat(self._prefix + row.path, dir_fd=self._descriptor)
        except (FileNotFoundError, NotADirectoryError):
            # Python writes bytecode again when it is gone, so installers list it without a hash.
            wanted = row.digest or not row.path.endswith(".pyc")
            return FileFault(path=row.path, kind=FaultKind.MISSING) if wanted else None
        except (OSError, ValueError):
            return FileFault(path=row.path, kind=FaultKind.UNREADABLE)
        if not stat.S_ISREG(state.st_mode):
            return FileFault(path=row.path, kind=FaultKind.UNREADABLE)
        if row.size.isdecimal() and int(row.size) != state.st_size:
            return FileFault(path=row.path, kind=FaultKind.SIZE)
        return None

    def _compare_hash(self, row: Row) -> FileFault | None:
        name, _, wanted = row.digest.partition("=")
        if name not in _HASHES:
            return None
        try:
            with open(self._prefix + row.path, "rb", opener=self._open) as stream:
                digest = hashlib.file_digest(stream, _HASHES[name]).digest()
        except (OSError, ValueError):
            return FileFault(path=row.path, kind=FaultKind.UNREADABLE)
        found = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        return None if found == wanted.rstrip("=") else FileFault(path=row.path, kind=FaultKind.HASH)

    def _open(self, path: str, flags: int) -> int:
        return os.open(path, flags, dir_fd=self._descriptor)
