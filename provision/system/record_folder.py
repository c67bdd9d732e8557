"""The numbered folders of the state: a record that is written last makes one count, and goes first."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

from provision.errors import StateError
from provision.model.state import SwitchRecord
from provision.system.files import write_atomic

GENERATION = "generation.json"
SWITCH = "switch.json"
WRITTEN = "config.yaml"
BEFORE = "config.before.yaml"


def list_numbered(folder: Path) -> list[int]:
    """The numbers of the folders in `folder`, whether they hold a record or not."""
    return sorted(int(path.name) for path in folder.glob("[0-9]*") if path.name.isdecimal())


def save_configs(folder: Path, *, config: bytes, before: bytes | None) -> None:
    """Keep config.yaml as it is to be and as it was, if it was."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / WRITTEN, config)
    if before is not None:
        write_atomic(folder / BEFORE, before)


def save_record(path: Path, record: msgspec.Struct) -> None:
    """Declare the folder complete."""
    write_atomic(path, msgspec.json.format(msgspec.json.encode(record), indent=2))


def remove_record(folder: Path) -> None:
    """Remove the folder, first of all the file that makes it count. Raises OSError where even that is refused."""
    for name in (GENERATION, SWITCH):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def save_locks(folder: Path, locks: Mapping[str, str]) -> None:
    """Keep the lock that each stack of the generation in `folder` was built from, by the stack's name."""
    for name, text in locks.items():
        path = _name_lock(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode())


def load_lock(folder: Path, stack: str) -> str | None:
    """The lock of a stack as the generation in `folder` kept it; None where it kept none."""
    try:
        return _name_lock(folder, stack).read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def load_switches(folder: Path) -> list[SwitchRecord]:
    """Every switch in `folder`, oldest first; one that cannot be read is left out."""
    found = []
    for number in list_numbered(folder):
        with contextlib.suppress(OSError, msgspec.DecodeError):
            data = (folder / str(number) / SWITCH).read_bytes()
            found.append(msgspec.json.decode(data, type=SwitchRecord))
    return found


def _name_lock(folder: Path, stack: str) -> Path:
    """Raises StateError for a name that would lead elsewhere."""
    if stack in ("", ".", "..") or "/" in stack or "\\" in stack:
        raise StateError(f"{stack!r} is no name of a stack", hint="provision generations")
    return folder / "locks" / f"{stack}.txt"
