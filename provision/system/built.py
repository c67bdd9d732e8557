"""`built.json`: the stacks that `--build-only` made for another machine, which no generation here uses."""

from __future__ import annotations

from pathlib import Path

import msgspec

from provision.errors import StateError
from provision.model.state import BuiltRecord
from provision.system.files import write_atomic

_NAME = "built.json"


def load_built(state_dir: Path) -> tuple[BuiltRecord, ...]:
    """One record for each profile. Raises StateError when the file is damaged."""
    path = state_dir / _NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[BuiltRecord, ...])
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.DecodeError) as error:
        raise StateError(
            f"{path} is damaged: {error}", hint="provision gc --all   # stacks of --build-only go too"
        ) from error


def save_built(state_dir: Path, record: BuiltRecord) -> None:
    """Remember what was built; a former build of the same profile is forgotten. The caller holds the lock."""
    others = [one for one in load_built(state_dir) if one.profile != record.profile]
    write_atomic(state_dir / _NAME, msgspec.json.encode((*others, record)))


def remove_built(state_dir: Path) -> None:
    """Forget what was built for other machines; its stacks are then needed by nobody."""
    (state_dir / _NAME).unlink(missing_ok=True)
