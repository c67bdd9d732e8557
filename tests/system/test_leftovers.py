"""What interrupted runs leave is found, and only that is removed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from provision.errors import StateError
from provision.model.checkup import LockState
from provision.model.state import Holder
from provision.system.leftovers import find_leftovers, inspect_lock, remove_leftovers
from provision.system.store import Store, build_holder
from tests.support.application import STACK, make_application


def leave(state_dir: Path) -> set[str]:
    """One of each kind; gives their names."""
    (state_dir / "stacks/.main-0123.aside").mkdir()
    (state_dir / "stacks/main-unfinished").mkdir()
    (state_dir / "stacks/main-unfinished/requirements.lock").touch()
    (state_dir / "stacks/.building-main-0123-aa").mkdir()
    (state_dir / "generations/7").mkdir()
    (state_dir / "switches/3").mkdir(parents=True)
    (state_dir / "weights/.tiny-1.partial").mkdir()
    (state_dir / ".active.abc.tmp").touch()
    (state_dir / "generations/1/.generation.json.abc.tmp").touch()
    (state_dir.parent / ".config.yaml.abc.tmp").touch()
    (state_dir.parent / ".other.tmp").touch()
    return {
        "stacks/.main-0123.aside",
        "stacks/main-unfinished",
        "stacks/.building-main-0123-aa",
        "generations/7",
        "switches/3",
        "weights/.tiny-1.partial",
        ".active.abc.tmp",
        "generations/1/.generation.json.abc.tmp",
        "../.config.yaml.abc.tmp",
    }


def test_a_whole_state_has_none(tmp_path: Path) -> None:
    store = make_application(tmp_path)
    assert find_leftovers(store.state_dir, needed={STACK}) == ()


def test_leftovers_are_found_and_removed_and_nothing_else(tmp_path: Path) -> None:
    store = make_application(tmp_path)
    names = leave(store.state_dir)
    found = find_leftovers(store.state_dir, needed={STACK})
    assert set(found) == names
    remove_leftovers(store.state_dir, found)
    assert find_leftovers(store.state_dir, needed={STACK}) == ()
    assert store.load_active() is not None
    assert (tmp_path / "config.yaml").exists()
    assert (tmp_path / ".other.tmp").exists()
    assert (store.state_dir / STACK / "provision-stack.json").exists()


def test_a_stack_that_a_generation_needs_is_none_even_without_a_manifest(tmp_path: Path) -> None:
    store = make_application(tmp_path)
    (store.state_dir / STACK / "provision-stack.json").unlink()
    assert find_leftovers(store.state_dir, needed={STACK}) == ()
    assert find_leftovers(store.state_dir) == (STACK,)


def test_a_folder_without_its_record_may_be_under_way_or_the_active_one(tmp_path: Path) -> None:
    store = make_application(tmp_path)
    (store.state_dir / "generations/1/generation.json").unlink()
    assert find_leftovers(store.state_dir, needed={STACK}) == ()
    (store.state_dir / "generations/2").mkdir()
    assert find_leftovers(store.state_dir, needed={STACK}) == ("generations/2",)
    (store.state_dir / "pending.json").write_text("{}")
    assert find_leftovers(store.state_dir, needed={STACK}) == ()


def test_what_cannot_be_removed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(StateError, match=r"file cannot be removed: Permission denied$"):
        remove_leftovers(tmp_path, ["file"])


def test_a_lock_is_free_held_or_stale(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert inspect_lock(store.state_dir) == (LockState.FREE, "")
    with store.locked(build_holder("provision apply cpu", "2026-11-21T12:00:00+00:00")):
        state, said = inspect_lock(store.state_dir)
        assert state is LockState.HELD
        assert said.startswith("the state folder is in use by `provision apply cpu` (pid ")
    assert inspect_lock(store.state_dir) == (LockState.FREE, "")
    dead = Holder(pid=4_000_000, command="provision apply cpu", since="2026-11-21T12:00:00+00:00")
    (store.state_dir / "holder.json").write_bytes(msgspec.json.encode(dead))
    assert inspect_lock(store.state_dir) == (
        LockState.STALE,
        "the state folder was in use by `provision apply cpu` (pid 4000000, since 2026-11-21T12:00:00+00:00)",
    )


def test_a_holder_that_cannot_be_read_is_somebody(tmp_path: Path) -> None:
    (tmp_path / "holder.json").write_text("{")
    assert inspect_lock(tmp_path) == (LockState.STALE, "the state folder was in use by another provision")
