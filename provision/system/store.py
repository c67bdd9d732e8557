"""The state folder `.provision/`: generations, the active one, and the lock that keeps writers apart.

active                     the number of the active generation; replacing this file is the commit
pending.json               exists while a promotion is under way
generations/N/             generation.json, config.yaml as written, config.before.yaml as it was
stacks/NAME-HASH/          environments, see stack_folder.py
weights/NAME-HASH/         embedded models
lock, holder.json          one writer at a time
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from provision.errors import StateError
from provision.model.state import GenerationRecord, Holder, Pending
from provision.system.files import StagedFile, write_atomic

_Record = TypeVar("_Record")


class Store:
    """The state of one application root: where things are, and how they change without breaking."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config_path = root / "config.yaml"
        self.state_dir = root / ".provision"
        self.stacks_dir = self.state_dir / "stacks"
        self.weights_dir = self.state_dir / "weights"
        self._generations_dir = self.state_dir / "generations"
        self._active_path = self.state_dir / "active"
        self._pending_path = self.state_dir / "pending.json"

    @contextlib.contextmanager
    def locked(self, holder: Holder) -> Iterator[None]:
        """Hold the state folder; a lock whose process died is free. Raises StateError naming the holder."""
        from filelock import FileLock, Timeout

        self._create()
        holder_path = self.state_dir / "holder.json"
        lock = FileLock(self.state_dir / "lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise StateError(
                self._describe_holder(holder_path), hint="wait for it, then run the command again"
            ) from error
        try:
            write_atomic(holder_path, msgspec.json.encode(holder))
            yield
        finally:
            holder_path.unlink(missing_ok=True)
            lock.release()

    def load_active(self) -> GenerationRecord | None:
        """The active generation, None before the first apply. Raises StateError when it is damaged."""
        number = self.load_active_number()
        return None if number is None else self.load_generation(number)

    def load_active_number(self) -> int | None:
        """The number of the active generation. Raises StateError when the pointer is damaged."""
        try:
            text = self._read_active()
        except (OSError, UnicodeDecodeError) as error:
            raise self._damaged(self._active_path, str(error)) from error
        if text is None:
            return None
        if not text.isdecimal():
            raise self._damaged(self._active_path, "it does not hold the number of a generation")
        return int(text)

    def load_generation(self, number: int) -> GenerationRecord:
        """Generation `number`. Raises StateError when it is missing or damaged."""
        return self._load(self._generations_dir / str(number) / "generation.json", GenerationRecord)

    def list_numbers(self) -> list[int]:
        """The numbers of all generations, oldest first, without one whose promotion was cut short."""
        pending = self.load_pending()
        unfinished = pending.number if pending and self._read_active() != str(pending.number) else None
        return [number for number in self._list_folders() if number != unfinished]

    def _list_folders(self) -> list[int]:
        found = self._generations_dir.glob("[0-9]*")
        return sorted(int(path.name) for path in found if path.name.isdecimal())

    def _read_active(self) -> str | None:
        """What the pointer says, whatever that is; None without one. Raises OSError or UnicodeDecodeError."""
        try:
            return self._active_path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None

    def next_number(self) -> int:
        """The number that the next generation gets."""
        return max(self._list_folders(), default=0) + 1

    def promote(
        self, record: GenerationRecord, *, config: bytes, before: bytes | None, before_sha256: str | None
    ) -> None:
        """Make `record` the active generation and `config` the active config.yaml.

        The one commit is replacing the file `active`. Killed before it, the next `load_pending` leads to
        undoing, killed after it, to finishing; see `actions/recover.py`. Raises OSError with all as it was:
        config.yaml is on disk before the commit, and where it cannot be put in place the commit is taken back.
        """
        former = self._active_path.read_bytes() if self._active_path.exists() else None
        pending = Pending(number=record.number, config_sha256_before=before_sha256)
        staged = StagedFile(self.config_path, config)
        try:
            self._write_generation(record, pending, config=config, before=before)
            write_atomic(self._active_path, f"{record.number}\n".encode())
            staged.commit()
        except OSError:
            self._reset_active(former)
            self.undo_promotion(pending)
            raise
        finally:
            staged.discard()
        self._pending_path.unlink(missing_ok=True)

    def _write_generation(
        self, record: GenerationRecord, pending: Pending, *, config: bytes, before: bytes | None
    ) -> None:
        folder = self._generations_dir / str(record.number)
        write_atomic(self._pending_path, msgspec.json.encode(pending))
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / "config.yaml", config)
        if before is not None:
            write_atomic(folder / "config.before.yaml", before)
        write_atomic(folder / "generation.json", msgspec.json.format(msgspec.json.encode(record), indent=2))

    def _reset_active(self, former: bytes | None) -> None:
        if former is None:
            self._active_path.unlink(missing_ok=True)
        elif self._active_path.read_bytes() != former:
            write_atomic(self._active_path, former)

    def finish_promotion(self, config: bytes) -> None:
        """After the commit: put config.yaml in place and forget the promotion. May be repeated."""
        write_atomic(self.config_path, config)
        self._pending_path.unlink(missing_ok=True)

    def undo_promotion(self, pending: Pending) -> None:
        """Before the commit: remove what the promotion had written. May be repeated."""
        shutil.rmtree(self._generations_dir / str(pending.number), ignore_errors=True)
        self._pending_path.unlink(missing_ok=True)

    def load_pending(self) -> Pending | None:
        """The promotion that was cut short, if any."""
        return self._load(self._pending_path, Pending) if self._pending_path.exists() else None

    def load_written_config(self, number: int) -> bytes:
        """config.yaml as generation `number` wrote it. Raises StateError when it is missing."""
        path = self._generations_dir / str(number) / "config.yaml"
        try:
            return path.read_bytes()
        except OSError as error:
            raise self._damaged(path, error.strerror or str(error)) from error

    def load_config(self) -> bytes | None:
        """The bytes of the active config.yaml, None when there is none. Raises StateError if unreadable."""
        try:
            return self.config_path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError(
                f"{self.config_path}: {error.strerror or error}", hint=f"ls -l {self.config_path}"
            ) from error

    def _create(self) -> None:
        try:
            for folder in (self.stacks_dir, self.weights_dir, self._generations_dir):
                folder.mkdir(parents=True, exist_ok=True)
            ignore = self.state_dir / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n", encoding="ascii")
        except OSError as error:
            raise StateError(
                f"{self.state_dir}: {error.strerror or error}",
                hint="provision --root FOLDER   # a folder that you may write to",
            ) from error

    def _load(self, path: Path, kind: type[_Record]) -> _Record:
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except (OSError, msgspec.DecodeError) as error:
            raise self._damaged(path, str(error)) from error

    def _damaged(self, path: Path, reason: str) -> StateError:
        return StateError(
            f"{path} is damaged: {reason}", hint="provision apply auto   # makes a new generation"
        )

    def _describe_holder(self, path: Path) -> str:
        try:
            holder = msgspec.json.decode(path.read_bytes(), type=Holder)
        except (OSError, msgspec.DecodeError):
            return f"{self.state_dir} is in use by another provision"
        return f"{self.state_dir} is in use by `{holder.command}` (pid {holder.pid}, since {holder.since})"


def build_holder(command: str, since: str) -> Holder:
    """This process as the holder of a lock."""
    return Holder(pid=os.getpid(), command=command, since=since)
