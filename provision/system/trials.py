"""`trials.json`: which updates were tried and what came of them, so that none is tried twice."""

from __future__ import annotations

from pathlib import Path

import msgspec

from provision.errors import StateError
from provision.model.update import TrialRecord
from provision.system.files import write_atomic

_NAME = "trials.json"


def load_trials(state_dir: Path) -> tuple[TrialRecord, ...]:
    """All that are remembered, oldest first. Raises StateError when the file is damaged."""
    path = state_dir / _NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[TrialRecord, ...])
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.DecodeError) as error:
        raise StateError(
            f"{path} is damaged: {error}", hint=f"rm {path}   # forgets what was tried"
        ) from error


def save_trials(state_dir: Path, trials: tuple[TrialRecord, ...]) -> None:
    """Replace the file. The caller holds the lock."""
    write_atomic(state_dir / _NAME, msgspec.json.format(msgspec.json.encode(trials), indent=1))
