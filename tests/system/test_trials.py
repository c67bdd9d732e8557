"""What is remembered of trials, and a file that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.errors import StateError
from provision.model.update import TrialRecord, TrialVerdict
from provision.system.trials import load_trials, save_trials

TRIAL = TrialRecord(
    date="2026-11-21T12:00:00+00:00",
    fingerprint="f",
    locks={"main": "0" * 64},
    verdict=TrialVerdict.DISCARDED,
    reason="a: fail, was pass",
    packages=("transformers 5.22.2 -> 5.22.3",),
)


def test_trials_come_back_as_they_were(tmp_path: Path) -> None:
    assert load_trials(tmp_path) == ()
    save_trials(tmp_path, (TRIAL, TRIAL))
    assert load_trials(tmp_path) == (TRIAL, TRIAL)


def test_a_damaged_file_is_told_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "trials.json"
    path.write_text('[{"date": ')
    with pytest.raises(StateError) as caught:
        load_trials(tmp_path)
    assert caught.value.message == f"{path} is damaged: Input data was truncated"
    assert caught.value.hint == f"rm {path}   # forgets what was tried"
