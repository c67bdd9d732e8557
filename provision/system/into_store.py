"""Where snapshots of users' environments lie, and the journal that tells a change that was cut short.

.provision/into/HASH/              one environment, by the path of its folder
  journal.json                     exists while a change is under way; its removal is the commit
  finished.json                    the last change that succeeded, for `--undo`
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

from provision.errors import StateError
from provision.model.into import FinishedChange, Journal
from provision.system.environment_scope import MARKER
from provision.system.files import write_atomic

_Record = TypeVar("_Record")


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """Lies in an environment while it is changed: the state folder that knows how to put it back."""

    state_dir: str


class IntoStore:
    """The snapshots of one environment."""

    def __init__(self, state_dir: Path, prefix: Path) -> None:
        digest = hashlib.sha256(os.fsencode(prefix)).hexdigest()
        self.folder = _find_root(state_dir) / digest[:16]
        self._state_dir = state_dir
        self._prefix = prefix
        self._journal_path = self.folder / "journal.json"
        self._finished_path = self.folder / "finished.json"
        self._marker_path = prefix / MARKER

    def create_folder(self) -> Path:
        """A folder for a new snapshot. What a run left that was killed before it changed anything goes."""
        finished = self.load_finished()
        for folder in self._list_folders():
            if finished is None or folder.name != finished.snapshot:
                shutil.rmtree(folder)
        number = max((int(folder.name) for folder in self._list_folders()), default=0) + 1
        folder = self.folder / str(number)
        folder.mkdir(parents=True)
        return folder

    def begin(self, journal: Journal) -> None:
        """From here on the environment counts as changed."""
        self.save_journal(journal)
        write_atomic(self._marker_path, msgspec.json.encode(Marker(state_dir=str(self._state_dir))))

    def save_journal(self, journal: Journal) -> None:
        """Replace the journal."""
        write_atomic(self._journal_path, msgspec.json.encode(journal))

    def finish(self, record: FinishedChange | None) -> None:
        """The environment is whole: with `record` as a change that can be undone, without as it was before."""
        if record is not None:
            write_atomic(self._finished_path, msgspec.json.encode(record))
        self._marker_path.unlink(missing_ok=True)
        self._journal_path.unlink(missing_ok=True)
        kept = self.load_finished()
        for folder in self._list_folders():
            if kept is None or folder.name != kept.snapshot:
                shutil.rmtree(folder, ignore_errors=True)

    def forget_finished(self) -> None:
        """Nothing can be undone any more."""
        self._finished_path.unlink(missing_ok=True)

    def load_journal(self) -> Journal | None:
        """The change that was cut short, if any. Raises StateError when its record is damaged."""
        return self._load(self._journal_path, Journal)

    def load_finished(self) -> FinishedChange | None:
        """The last change that succeeded. Raises StateError when its record is damaged."""
        return self._load(self._finished_path, FinishedChange)

    def find_other_owner(self) -> str | None:
        """The state folder of another application that was changing this environment; None when none was."""
        try:
            marker = msgspec.json.decode(self._marker_path.read_bytes(), type=Marker)
        except (OSError, msgspec.DecodeError):
            return None
        return None if marker.state_dir == str(self._state_dir) else marker.state_dir

    def _list_folders(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return [path for path in self.folder.iterdir() if path.is_dir() and path.name.isdecimal()]

    def _load(self, path: Path, kind: type[_Record]) -> _Record | None:
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise StateError(f"{path} is damaged: {error}", hint=f"ls -l {self.folder}") from error


def list_journals(state_dir: Path) -> Iterator[tuple[IntoStore, Journal]]:
    """Every change of an environment that was cut short. Raises StateError when a record of one is damaged."""
    for path in sorted(_find_root(state_dir).glob("*/journal.json")):
        try:
            journal = msgspec.json.decode(path.read_bytes(), type=Journal)
        except (OSError, msgspec.DecodeError) as error:
            raise StateError(f"{path} is damaged: {error}", hint=f"ls -l {path.parent}") from error
        yield IntoStore(state_dir, Path(journal.prefix)), journal


def _find_root(state_dir: Path) -> Path:
    return state_dir / "into"
