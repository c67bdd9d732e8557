"""Where snapshots of users' environments lie, and the journal that tells a change that was cut short.

.provision/into/HASH/              one environment, by the real path of its folder
  journal.json                     exists while a change is under way; its removal is the commit
  finished.json                    the last change that succeeded, for `--undo`; finished.damaged: one set aside
  N/manifest.json, N/files/        a snapshot
  N/remove.txt, N/install.txt      what uv was told
  N/stage/                         the new packages, unpacked aside
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from provision.errors import StateError
from provision.model.into import FinishedChange, Journal
from provision.system.environment_snapshot import load_snapshot
from provision.system.files import write_atomic
from provision.system.into_marker import check_mark, has_mark, lay_mark, remove_mark

_Record = TypeVar("_Record")
_JOURNAL, _FINISHED = "journal.json", "finished.json"


class IntoStore:
    """The snapshots of one environment, by whichever name of its folder it is called."""

    def __init__(self, state_dir: Path, prefix: Path) -> None:
        digest = hashlib.sha256(os.fsencode(os.path.realpath(prefix))).hexdigest()
        self.folder = _find_root(state_dir) / digest[:16]
        self._state_dir = state_dir
        self._prefix = prefix
        self._journal_path = self.folder / _JOURNAL
        self._finished_path = self.folder / _FINISHED

    def check_owner(self) -> None:
        """Raise StateError while another application changes this environment, or was cut short in it."""
        check_mark(self._prefix, self._state_dir)

    def begin(self, journal: Journal) -> None:
        """Keep every other application out of the environment, until `finish`. A kill on the way leaves the journal.

        Raises StateError when another one was first, UsageError where the environment may not be written to.
        """
        try:
            self.save_journal(journal)
            lay_mark(self._prefix, self._state_dir)
        except BaseException:
            self._journal_path.unlink(missing_ok=True)
            if journal.staging:
                shutil.rmtree(self.folder / journal.snapshot, ignore_errors=True)
            raise

    def release(self) -> bool:
        """Take back a mark of which there is no journal; gives whether there was one. Raises OSError."""
        marked = has_mark(self._prefix, self._state_dir)
        remove_mark(self._prefix, self._state_dir)
        return marked

    def create_folder(self) -> Path:
        """A folder for a new snapshot. What a run left that was killed before it changed anything goes."""
        finished = self.load_finished()
        for folder in _list_folders(self.folder):
            if finished is None or folder.name != finished.snapshot:
                shutil.rmtree(folder)
        number = max((int(folder.name) for folder in _list_folders(self.folder)), default=0) + 1
        folder = self.folder / str(number)
        folder.mkdir(parents=True)
        return folder

    def save_journal(self, journal: Journal) -> None:
        """Replace the journal."""
        write_atomic(self._journal_path, msgspec.json.encode(journal))

    def finish(self, record: FinishedChange | None) -> None:
        """The environment is whole: with `record` as a change that can be undone, without as it was before."""
        if record is not None:
            write_atomic(self._finished_path, msgspec.json.encode(record))
            self._finished_path.with_suffix(".damaged").unlink(missing_ok=True)
        remove_mark(self._prefix, self._state_dir)
        self._journal_path.unlink(missing_ok=True)
        kept = self.load_finished()
        for folder in _list_folders(self.folder):
            if kept is None or folder.name != kept.snapshot:
                shutil.rmtree(folder, ignore_errors=True)

    def forget_finished(self) -> None:
        """Nothing can be undone any more."""
        self._finished_path.unlink(missing_ok=True)

    def load_journal(self) -> Journal | None:
        """The change that was cut short; None without one, and where its record is damaged."""
        return _load(self._journal_path, Journal)

    def load_finished(self) -> FinishedChange | None:
        """The last change that succeeded; None without one, and where its record is damaged."""
        return _load(self._finished_path, FinishedChange)


class Unfinished(Struct, frozen=True, kw_only=True):
    """A change whose journal is there. `problem` is why that cannot be read; `journal` is then made anew.

    It is None where what is there does not tell what the change was.
    """

    path: Path
    journal: Journal | None
    problem: str | None = None


def list_unfinished(state_dir: Path) -> list[Unfinished]:
    """Every change of an environment that is under way or was cut short. Never raises for damage."""
    found = []
    for path in sorted(_find_root(state_dir).glob(f"*/{_JOURNAL}")):
        journal = _load(path, Journal)
        if journal is not None:
            found.append(Unfinished(path=path, journal=journal))
        else:
            found.append(
                Unfinished(path=path, journal=_rebuild(path.parent), problem=f"{path} cannot be read")
            )
    return found


def _rebuild(folder: Path) -> Journal | None:
    """The journal of a change, from the one snapshot that no finished change names; None without such a one."""
    if is_damaged(folder / _FINISHED):
        return None
    finished = _load(folder / _FINISHED, FinishedChange)
    other = [one for one in _list_folders(folder) if finished is None or one.name != finished.snapshot]
    snapshot = load_snapshot(other[0]) if len(other) == 1 else None
    return None if snapshot is None else Journal(prefix=snapshot.prefix, snapshot=other[0].name)


def list_damaged(state_dir: Path) -> list[Path]:
    """Records of finished changes that cannot be read."""
    return [path for path in sorted(_find_root(state_dir).glob(f"*/{_FINISHED}")) if is_damaged(path)]


def set_aside(path: Path) -> None:
    """Forget a finished change whose record cannot be read; that is kept as finished.damaged. Raises StateError."""
    try:
        path.replace(path.with_suffix(".damaged"))
    except OSError as error:
        raise StateError(f"{path}: {error.strerror or error}", hint=f"ls -ld {path.parent}") from error


def is_damaged(path: Path) -> bool:
    """Whether the record of a finished change is there and cannot be read."""
    return path.exists() and _load(path, FinishedChange) is None


def find_unneeded(state_dir: Path) -> Iterator[Path]:
    """Snapshots that neither a change under way nor a finished one names: a kill left them."""
    for folder in _list_idle(state_dir):
        finished = _load(folder / _FINISHED, FinishedChange)
        for snapshot in _list_folders(folder):
            if finished is None or snapshot.name != finished.snapshot:
                yield snapshot


def find_vanished(state_dir: Path) -> Iterator[tuple[Path, str]]:
    """Folders whose finished change is of an environment that is not there any more, with its path."""
    for folder in _list_idle(state_dir):
        finished = _load(folder / _FINISHED, FinishedChange)
        if finished is not None and not Path(finished.prefix).is_dir():
            yield folder, finished.prefix


def _list_idle(state_dir: Path) -> Iterator[Path]:
    """The folders of environments without a change under way, whose records can be read."""
    for folder in sorted(_find_root(state_dir).glob("*")):
        if folder.is_dir() and not (folder / _JOURNAL).exists() and not is_damaged(folder / _FINISHED):
            yield folder


def _list_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if path.is_dir() and path.name.isdecimal())
    return sorted(found, key=lambda path: int(path.name))


def _load(path: Path, kind: type[_Record]) -> _Record | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None


def _find_root(state_dir: Path) -> Path:
    return state_dir / "into"
