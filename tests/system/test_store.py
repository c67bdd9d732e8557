"""Generations are promoted whole, and what was cut short is known."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from provision.errors import StateError
from provision.model.config import ConfigPatch, ProvisionSection
from provision.model.state import GenerationRecord, Holder, Pending, PendingKind, SwitchRecord
from provision.system.files import StagedFile
from provision.system.store import Store

HOLDER = Holder(pid=os.getpid(), command="provision apply auto", since="2026-11-21T10:00:00+00:00")


def make_record(number: int) -> GenerationRecord:
    return GenerationRecord(
        number=number,
        created="2026-11-21T10:00:00+00:00",
        profile="cpu",
        fingerprint=f"fingerprint {number}",
        stacks=(),
        models=(),
        smoke=(),
        config=ConfigPatch(entries=(), section=ProvisionSection(generation=number, profile="cpu", models={})),
    )


def load_all(store: Store) -> list[GenerationRecord]:
    return [store.load_generation(number) for number in store.list_numbers()]


def promote(store: Store, number: int) -> None:
    before = store.load_config()
    config = f"provision: {{generation: {number}}}\n".encode()
    store.promote(
        make_record(number), config=config, before=before, before_sha256="before" if before else None
    )


def test_nothing_was_applied(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert (store.load_active(), load_all(store), store.load_config()) == (None, [], None)
    assert (store.load_pending(), store.next_number()) == (None, 1)


def test_promotion(tmp_path: Path) -> None:
    store = Store(tmp_path)
    promote(store, 1)
    promote(store, 2)
    assert store.load_active() == make_record(2)
    assert load_all(store) == [make_record(1), make_record(2)]
    assert store.load_config() == b"provision: {generation: 2}\n"
    assert (
        tmp_path / ".provision/generations/2/config.before.yaml"
    ).read_bytes() == b"provision: {generation: 1}\n"
    assert (store.load_pending(), store.next_number()) == (None, 3)


@pytest.mark.parametrize("survived", range(5))
def test_killed_after_any_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: int) -> None:
    """The writes are pending, config, config.before, generation, active, config.yaml; the fifth is the commit."""
    store = Store(tmp_path)
    promote(store, 1)
    writes = 0
    real = StagedFile.commit

    def commit_or_die(staged: StagedFile) -> None:
        nonlocal writes
        if writes == survived:
            raise KeyboardInterrupt
        writes += 1
        real(staged)

    monkeypatch.setattr(StagedFile, "commit", commit_or_die)
    with pytest.raises(KeyboardInterrupt):
        promote(store, 2)
    monkeypatch.undo()
    assert store.load_active_number() == 1
    assert store.load_config() == b"provision: {generation: 1}\n"
    assert load_all(store) == [make_record(1)]
    pending = store.load_pending()
    assert pending == (None if survived == 0 else Pending(number=2, config_sha256_before="before"))
    if pending:
        store.undo_promotion(pending)
    assert (store.load_pending(), store.next_number()) == (None, 2)


def test_killed_after_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    promote(store, 1)

    real = StagedFile.commit

    def commit_or_die(staged: StagedFile) -> None:
        if staged.target.name == "config.yaml" and staged.target.parent == tmp_path:
            raise KeyboardInterrupt
        real(staged)

    monkeypatch.setattr(StagedFile, "commit", commit_or_die)
    with pytest.raises(KeyboardInterrupt):
        promote(store, 2)
    monkeypatch.undo()
    assert store.load_active_number() == 2
    assert store.load_config() == b"provision: {generation: 1}\n"
    fresh = Store(tmp_path)
    assert fresh.load_pending() == Pending(number=2, config_sha256_before="before")
    fresh.finish_promotion(fresh.load_pending_config(Pending(number=2, config_sha256_before=None)))
    assert (fresh.load_pending(), fresh.load_config()) == (None, b"provision: {generation: 2}\n")


def test_a_config_that_cannot_be_put_in_place_takes_the_commit_back(tmp_path: Path) -> None:
    """The application mounts a folder over config.yaml: no rename replaces it."""
    store = Store(tmp_path)
    promote(store, 1)
    store.config_path.unlink()
    store.config_path.mkdir()
    with pytest.raises(OSError, match="Is a directory|Directory not empty|File exists"):
        store.promote(make_record(2), config=b"new", before=None, before_sha256=None)
    assert (store.load_active_number(), store.load_pending()) == (1, None)
    assert load_all(store) == [make_record(1)]
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []


def test_a_first_promotion_that_fails_leaves_no_active_generation(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.config_path.mkdir()
    with pytest.raises(OSError, match="Is a directory|Directory not empty|File exists"):
        store.promote(make_record(1), config=b"new", before=None, before_sha256=None)
    assert (store.load_active_number(), load_all(store)) == (None, [])


def test_a_second_writer_is_told_who_the_first_is(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.locked(HOLDER):
        with pytest.raises(StateError) as caught, Store(tmp_path).locked(HOLDER):
            raise AssertionError("both hold the lock")
        assert caught.value.message == (
            f"{tmp_path / '.provision'} is in use by `provision apply auto` "
            f"(pid {os.getpid()}, since 2026-11-21T10:00:00+00:00)"
        )
    with store.locked(HOLDER):
        assert (tmp_path / ".provision" / "holder.json").exists()


def test_damage_is_told_with_the_file(tmp_path: Path) -> None:
    store = Store(tmp_path)
    promote(store, 1)
    (tmp_path / ".provision/active").write_text("one")
    with pytest.raises(StateError, match="active is damaged: it does not hold the number of a generation$"):
        store.load_active()
    (tmp_path / ".provision/active").write_text("1")
    (tmp_path / ".provision/generations/1/generation.json").write_text("{}")
    with pytest.raises(StateError, match=r"generation\.json is damaged: "):
        store.load_active()


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    (tmp_path / ".provision").write_text("a file in the way")
    with (
        pytest.raises(StateError, match="^.*/.provision: Not a directory$|File exists"),
        Store(tmp_path).locked(HOLDER),
    ):
        raise AssertionError("a lock without a folder")


def switch(store: Store, number: int, generation: int) -> SwitchRecord:
    record = SwitchRecord(
        number=number,
        former=store.load_active_number(),
        generation=generation,
        at="2026-11-22T10:00:00+00:00",
    )
    before = store.load_config()
    store.switch(record, config=b"switched\n", before=before, before_sha256="before")
    return record


def test_a_switch_makes_a_former_generation_active_and_keeps_the_config(tmp_path: Path) -> None:
    store = Store(tmp_path)
    promote(store, 1)
    promote(store, 2)
    first = switch(store, store.next_switch(), 1)
    assert (store.load_active(), store.load_config()) == (make_record(1), b"switched\n")
    assert load_all(store) == [make_record(1), make_record(2)]
    assert (store.list_switches(), store.next_switch(), store.load_pending()) == ([first], 2, None)
    assert store.find_backup(first).read_bytes() == b"provision: {generation: 2}\n"
    store.remove_switch(1)
    assert (store.list_switches(), store.next_switch()) == ([], 1)


def test_undoing_a_switch_never_removes_the_generation(tmp_path: Path) -> None:
    store = Store(tmp_path)
    promote(store, 1)
    promote(store, 2)
    pending = Pending(number=1, config_sha256_before=None, kind=PendingKind.SWITCH, switch=1)
    (store.state_dir / "pending.json").write_bytes(msgspec.json.encode(pending))
    (store.state_dir / "switches/1").mkdir(parents=True)
    assert store.list_numbers() == [1, 2]
    store.undo_promotion(pending)
    assert load_all(store) == [make_record(1), make_record(2)]
    assert not (store.state_dir / "switches/1").exists()


def test_a_record_of_an_earlier_release_is_a_promotion(tmp_path: Path) -> None:
    (tmp_path / ".provision").mkdir()
    (tmp_path / ".provision/pending.json").write_text('{"number": 4, "config_sha256_before": null}')
    assert Store(tmp_path).load_pending() == Pending(
        number=4, config_sha256_before=None, kind=PendingKind.PROMOTE, switch=None
    )


def test_locks_are_kept_with_the_generation(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.promote(
        make_record(1), config=b"x", before=None, before_sha256=None, locks={"main": "numpy==2.4.6\r\n"}
    )
    assert (store.load_lock(1, "main"), store.load_lock(1, "second"), store.load_lock(2, "main")) == (
        "numpy==2.4.6\r\n",
        None,
        None,
    )
    store.save_locks(1, {"second": "torch==2.13.0\n"})
    assert store.load_lock(1, "second") == "torch==2.13.0\n"


@pytest.mark.parametrize("name", ["../escape", "a/b", "..", "", "a\\b"])
def test_a_name_of_a_stack_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    with pytest.raises(StateError, match="is no name of a stack$"):
        Store(tmp_path).save_locks(1, {name: "x"})


def test_a_damaged_pending_hides_no_generation(tmp_path: Path) -> None:
    store = Store(tmp_path)
    promote(store, 1)
    promote(store, 2)
    (store.state_dir / "pending.json").write_text("{")
    (store.state_dir / "generations/3").mkdir()
    assert store.list_numbers() == [1, 2]
    with pytest.raises(StateError, match=r"pending\.json is damaged: "):
        store.load_pending()
    store.set_pending_aside()
    assert (store.load_pending(), (store.state_dir / "pending.damaged").read_text()) == (None, "{")


def test_a_removed_generation_is_none_even_when_its_folder_stays(tmp_path: Path) -> None:
    store = Store(tmp_path)
    promote(store, 1)
    promote(store, 2)
    store.remove_generation(1)
    assert (load_all(store), store.next_number()) == ([make_record(2)], 3)
    (store.state_dir / "generations/1").mkdir()
    assert store.list_numbers() == [2]
