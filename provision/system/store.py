"""The state folder `.provision/`: generations, the active one, and the lock that keeps writers apart.

active                     the number of the active generation; replacing this file is the commit
pending.json               exists while the active generation changes
generations/N/             locks/STACK.txt, config.yaml as written, config.before.yaml as it was, and last of all
                           generation.json: a folder without it is no generation
switches/K/                a return to a generation that stood already: both config.yaml, last of all switch.json
built.json                 stacks that were built for another machine, see built.py
stacks/NAME-HASH/          environments, see stack_folder.py
weights/NAME-HASH/         embedded models
lock, holder.json          one writer at a time, see state_lock.py
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from provision.errors import StateError
from provision.model.state import GenerationRecord, Holder, Pending, PendingKind, SwitchRecord
from provision.system import record_folder
from provision.system.files import StagedFile, write_atomic
from provision.system.record_folder import BEFORE, GENERATION, SWITCH, WRITTEN, list_numbered, remove_record
from provision.system.state_lock import build_holder, hold

__all__ = ["Store", "build_holder"]

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
        self._switches_dir = self.state_dir / "switches"
        self._active_path = self.state_dir / "active"
        self._pending_path = self.state_dir / "pending.json"

    @contextlib.contextmanager
    def locked(self, holder: Holder) -> Iterator[None]:
        """Hold the state folder; a lock whose process died is free. Raises StateError naming the holder."""
        self._create()
        with hold(self.state_dir, holder):
            yield

    def load_active(self) -> GenerationRecord | None:
        """The active generation, None before the first apply. Raises StateError when it is damaged."""
        number = self.load_active_number()
        return None if number is None else self.load_generation(number)

    def load_active_number(self) -> int | None:
        """The number of the active generation. Raises StateError when the pointer is damaged."""
        try:
            text = self._active_path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise self._damaged(self._active_path, str(error)) from error
        if not text.isdecimal():
            raise self._damaged(self._active_path, "it does not hold the number of a generation")
        return int(text)

    def load_generation(self, number: int) -> GenerationRecord:
        """Generation `number`. Raises StateError when it is missing or damaged."""
        return self._load(self._generation_dir(number) / GENERATION, GenerationRecord)

    def list_numbers(self) -> list[int]:
        """The numbers of all generations, oldest first, without one whose promotion was cut short.

        Where the record of a promotion is damaged, one that was written whole counts although it never was
        active. Never raises for damage.
        """
        unfinished = self._find_unfinished()
        return [
            number
            for number in list_numbered(self._generations_dir)
            if number != unfinished and (self._generation_dir(number) / GENERATION).exists()
        ]

    def _find_unfinished(self) -> int | None:
        try:
            pending = self.load_pending()
            if pending is None or pending.kind is not PendingKind.PROMOTE:
                return None
            return None if self.load_active_number() == pending.number else pending.number
        except StateError:
            return None

    def next_number(self) -> int:
        """The number that the next generation gets."""
        return max(list_numbered(self._generations_dir), default=0) + 1

    def promote(
        self,
        record: GenerationRecord,
        *,
        config: bytes,
        before: bytes | None,
        before_sha256: str | None,
        locks: Mapping[str, str] | None = None,
    ) -> None:
        """Make `record` the active generation and `config` the active config.yaml.

        `locks` gives the text of each stack's lock by the stack's name. The one commit is replacing the file
        `active`. Killed before it, the next `load_pending` leads to undoing, killed after it, to finishing; see
        `actions/recover.py`. Raises OSError with all as it was: config.yaml is on disk before the commit, and
        where it cannot be put in place the commit is taken back.
        """

        def save() -> None:
            folder = self._generation_dir(record.number)
            record_folder.save_configs(folder, config=config, before=before)
            record_folder.save_locks(folder, locks or {})
            record_folder.save_record(folder / GENERATION, record)

        self._commit(Pending(number=record.number, config_sha256_before=before_sha256), config, save)

    def switch(
        self, switch: SwitchRecord, *, config: bytes, before: bytes | None, before_sha256: str | None
    ) -> None:
        """Make a generation that stands there active again and `config` the active config.yaml.

        As atomic as `promote`, by the same commit. Raises OSError with all as it was.
        """

        def save() -> None:
            folder = self._switches_dir / str(switch.number)
            record_folder.save_configs(folder, config=config, before=before)
            record_folder.save_record(folder / SWITCH, switch)

        pending = Pending(
            number=switch.generation,
            config_sha256_before=before_sha256,
            kind=PendingKind.SWITCH,
            switch=switch.number,
        )
        self._commit(pending, config, save)

    def _commit(self, pending: Pending, config: bytes, save: Callable[[], None]) -> None:
        former = self._active_path.read_bytes() if self._active_path.exists() else None
        staged = StagedFile(self.config_path, config)
        try:
            write_atomic(self._pending_path, msgspec.json.encode(pending))
            save()
            write_atomic(self._active_path, f"{pending.number}\n".encode())
            staged.commit()
        except OSError:
            self._reset_active(former)
            self.undo_promotion(pending)
            raise
        finally:
            staged.discard()
        # All is in place. Where this cannot go, the next command finishes what is finished already.
        with contextlib.suppress(OSError):
            self._pending_path.unlink(missing_ok=True)

    def _reset_active(self, former: bytes | None) -> None:
        if former is None:
            self._active_path.unlink(missing_ok=True)
        elif self._active_path.read_bytes() != former:
            write_atomic(self._active_path, former)

    def finish_promotion(self, config: bytes) -> None:
        """After the commit: put config.yaml in place and forget the change. May be repeated."""
        write_atomic(self.config_path, config)
        self._pending_path.unlink(missing_ok=True)

    def undo_promotion(self, pending: Pending) -> None:
        """Before the commit: remove what the change had written, never a generation that stood before it.

        May be repeated. config.yaml is in place already only where an error has taken the commit back.
        """
        folder = self._name_written(pending)
        written, before = folder / WRITTEN, folder / BEFORE
        in_place = written.exists() and self.config_path.is_file()
        if in_place and written.read_bytes() == self.config_path.read_bytes():
            if before.exists():
                write_atomic(self.config_path, before.read_bytes())
            elif pending.config_sha256_before is None:
                self.config_path.resolve().unlink(missing_ok=True)
        remove_record(folder)
        self._pending_path.unlink(missing_ok=True)

    def load_pending(self) -> Pending | None:
        """The change that was cut short, if any. Raises StateError when its record is damaged."""
        return self._load(self._pending_path, Pending) if self._pending_path.exists() else None

    def set_pending_aside(self) -> None:
        """Forget a change whose record cannot be read; it is kept as pending.damaged."""
        self._pending_path.replace(self._pending_path.with_suffix(".damaged"))

    def load_pending_config(self, pending: Pending) -> bytes:
        """config.yaml as the change that was cut short wants it. Raises StateError when it is missing."""
        path = self._name_written(pending) / WRITTEN
        try:
            return path.read_bytes()
        except OSError as error:
            raise self._damaged(path, error.strerror or str(error)) from error

    def list_switches(self) -> list[SwitchRecord]:
        """Every return to a former generation, oldest first."""
        return record_folder.load_switches(self._switches_dir)

    def next_switch(self) -> int:
        """The number that the next switch gets."""
        return max(list_numbered(self._switches_dir), default=0) + 1

    def save_locks(self, number: int, locks: Mapping[str, str]) -> None:
        """Keep the lock that each stack of generation `number` was built from, by the stack's name."""
        record_folder.save_locks(self._generation_dir(number), locks)

    def load_lock(self, number: int, stack: str) -> str | None:
        """The lock of a stack as generation `number` kept it; None in generations that kept none."""
        return record_folder.load_lock(self._generation_dir(number), stack)

    def find_backup(self, switch: SwitchRecord) -> Path:
        """Where config.yaml is kept as it was before that switch."""
        return self._switches_dir / str(switch.number) / BEFORE

    def remove_generation(self, number: int) -> None:
        """Remove the record of a generation that is not active. Killed half-way it is none any more."""
        remove_record(self._generation_dir(number))

    def remove_switch(self, number: int) -> None:
        """Remove the record of a switch, with the config.yaml that it kept."""
        remove_record(self._switches_dir / str(number))

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

    def _generation_dir(self, number: int) -> Path:
        return self._generations_dir / str(number)

    def _name_written(self, pending: Pending) -> Path:
        """The folder that belongs to this change alone."""
        if pending.kind is PendingKind.SWITCH:
            return self._switches_dir / str(pending.switch)
        return self._generation_dir(pending.number)

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
        except FileNotFoundError as error:
            raise StateError(
                f"{path} is missing", hint="provision apply auto   # makes a new generation"
            ) from error
        except (OSError, msgspec.DecodeError) as error:
            raise self._damaged(path, str(error)) from error

    def _damaged(self, path: Path, reason: str) -> StateError:
        return StateError(
            f"{path} is damaged: {reason}", hint="provision apply auto   # makes a new generation"
        )
