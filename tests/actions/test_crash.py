"""Whichever file operation fails or is the last one before a kill, one whole state is there afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from provision.actions.recover import recover
from provision.actions.rollback import rollback
from provision.core.config_doc import merge_config
from provision.errors import RollbackFailedError
from provision.model.state import GenerationRecord
from provision.system.leftovers import find_leftovers
from provision.system.store import Store
from tests.support.faults import Killed, inject
from tests.support.history import FOREIGN, add_generation, make_history
from tests.support.sources import make_context

KINDS = ("kill", "killed-after", "error", "full")
_MORE_THAN_ENOUGH = 200
Copy = Callable[[Path], Store]


@pytest.fixture(scope="module")
def copy_history(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Makes the same history in a folder; it is written once, without waiting for the disk, and copied."""
    template = tmp_path_factory.mktemp("history")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda _descriptor: None)
        make_history(template)

    def copy(root: Path) -> Store:
        shutil.copytree(template, root, symlinks=True)
        return Store(root)

    return copy


def promote_fourth(store: Store) -> None:
    add_generation(store, {"main": ["a", "b"]}, variants={"main": "-new"})


def return_to_first(store: Store) -> None:
    rollback(make_context(store.root, {}), 1, approve=lambda _plan: None)


FLOWS: dict[str, tuple[Callable[[Store], None], int]] = {
    "promote": (promote_fourth, 4),
    "rollback": (return_to_first, 1),
}


def check_whole(store: Store, records: dict[int, GenerationRecord], before: bytes, target: int) -> int:
    """Pointer, generations and config.yaml agree; gives the number of the active one."""
    active = store.load_active()
    assert active is not None
    assert active.number in (3, target)
    assert {number: store.load_generation(number) for number in records} == records
    config = store.load_config()
    if active.number == 3:
        assert config == before
        assert store.list_numbers() == [1, 2, 3]
        assert store.list_switches() == []
    else:
        assert config == merge_config(before.decode(), active.config).encode()
    assert config is not None
    assert config.decode().startswith(FOREIGN)
    assert yaml.safe_load(config)["provision"]["generation"] == active.number
    assert store.load_pending() is None
    return active.number


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flow", FLOWS)
def test_every_operation(
    tmp_path: Path, copy_history: Copy, monkeypatch: pytest.MonkeyPatch, flow: str, kind: str
) -> None:
    act, target = FLOWS[flow]
    ends = []
    for at in range(_MORE_THAN_ENOUGH):
        store = copy_history(tmp_path / str(at))
        records = {number: store.load_generation(number) for number in store.list_numbers()}
        before = store.config_path.read_bytes()
        raised: BaseException | None = None
        with inject(monkeypatch, kind, at) as faults:
            try:
                act(store)
            except (Killed, OSError, RollbackFailedError) as error:
                raised = error
        if not faults.failed:
            break
        fresh = Store(store.root)
        if kind == "error" and raised is not None and fresh.load_pending() is None:
            # An error, other than a kill, leaves nothing to be recovered wherever that is possible.
            assert check_whole(fresh, records, before, target) == 3
        recover(make_context(store.root, {}), fresh)
        ends.append(check_whole(fresh, records, before, target))
        if kind == "error":
            assert (
                find_leftovers(fresh.state_dir, needed=[s.path for r in records.values() for s in r.stacks])
                == ()
            )
    else:
        raise AssertionError("the flow never came to its end")
    assert set(ends) == {3, target}
    # Once the commit has been reached nothing falls back, but for errors that are told and undone.
    if kind.startswith("kill"):
        assert ends == sorted(ends, key=lambda end: end == target)


def test_an_edit_between_the_kill_and_the_next_command_is_kept(
    tmp_path: Path, copy_history: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set()
    for at in range(_MORE_THAN_ENOUGH):
        store = copy_history(tmp_path / str(at))
        with inject(monkeypatch, "kill", at) as faults, contextlib.suppress(Killed):
            return_to_first(store)
        if not faults.failed:
            break
        edited = store.config_path.read_text(encoding="utf-8").replace("lang: ru", "lang: de")
        store.config_path.write_text(f"{edited}mine: 7\n", encoding="utf-8")
        recover(make_context(store.root, {}), store)
        data = yaml.safe_load(store.config_path.read_text(encoding="utf-8"))
        active = store.load_active_number()
        assert (data["ocr"], data["mine"], data["provision"]["generation"]) == ({"lang": "de"}, 7, active)
        seen.add(active)
    assert seen == {3, 1}


def test_a_kill_while_recovering_is_recovered_from(
    tmp_path: Path, copy_history: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both sides of the commit: the kill before it is undone, the one after it finished, at the second attempt."""
    for first in (8, 14):
        for second in range(_MORE_THAN_ENOUGH):
            store = copy_history(tmp_path / f"{first}-{second}")
            records = {number: store.load_generation(number) for number in store.list_numbers()}
            before = store.config_path.read_bytes()
            with inject(monkeypatch, "kill", first), pytest.raises(Killed):
                return_to_first(store)
            with inject(monkeypatch, "kill", second) as faults, contextlib.suppress(Killed):
                recover(make_context(store.root, {}), store)
            recover(make_context(store.root, {}), store)
            check_whole(store, records, before, 1)
            if not faults.failed:
                break
