"""The doctor names the generation to return to, after having looked whether it is whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from provision.actions.doctor import examine
from tests.support.chain import ROOT
from tests.support.history import make_history
from tests.support.sources import make_context


def find_cure(root: Path, check: str) -> str | None:
    ctx = replace(make_context(root, {"PROVISION_ROOT": str(root)}), data_dir=ROOT)
    [finding] = examine(ctx, only=(check,)).findings
    return finding.cure


def test_a_damaged_active_generation(tmp_path: Path) -> None:
    store = make_history(tmp_path)
    assert find_cure(tmp_path, "state.whole") is None
    (store.state_dir / "generations/3/generation.json").write_text("{", encoding="ascii")
    assert find_cure(tmp_path, "state.whole") == "provision rollback 2"
    shutil.rmtree(store.weights_dir)
    assert find_cure(tmp_path, "state.whole") == "provision apply auto"


@pytest.mark.parametrize("lost", ["weights", "stack"])
def test_what_the_active_generation_lacks_and_a_former_one_does_not(tmp_path: Path, lost: str) -> None:
    store = make_history(tmp_path)
    if lost == "weights":
        shutil.rmtree(store.weights_dir / "c-0123456789ab")
    else:
        shutil.rmtree(store.state_dir / store.load_generation(3).stacks[0].path)
    check = "weights.present" if lost == "weights" else "stack.complete"
    assert find_cure(tmp_path, check) == "provision doctor --fix   # or at once: provision rollback 2"
