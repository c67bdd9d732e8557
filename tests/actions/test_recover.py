"""A promotion that was cut short is undone before its commit and finished after it."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from provision.actions.recover import recover
from provision.core.config_doc import merge_config
from provision.system.files import StagedFile, hash_bytes
from provision.system.store import Store
from tests.support.config_patches import build_patch
from tests.support.reports import Recorder
from tests.support.sources import make_context
from tests.system.test_store import make_record

BEFORE = b"# mine\nocr: {lang: ru}\n"


def cut_short(store: Store, monkeypatch: pytest.MonkeyPatch, *, at: Path) -> bytes:
    """Promote generation 1, dying when the file `at` would be put in place; gives its config.yaml."""
    patch = build_patch("m")
    config = merge_config(BEFORE.decode(), patch).encode()
    real = StagedFile.commit

    def commit_or_die(staged: StagedFile) -> None:
        if staged.target == at:
            raise KeyboardInterrupt
        real(staged)

    with monkeypatch.context() as patched:
        patched.setattr(StagedFile, "commit", commit_or_die)
        record = replace(make_record(1), config=patch)
        with pytest.raises(KeyboardInterrupt):
            store.promote(record, config=config, before=BEFORE, before_sha256=hash_bytes(BEFORE))
    return config


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.config_path.write_bytes(BEFORE)
    return store


def run_recover(store: Store) -> list[str]:
    ctx = make_context(store.root, {})
    recover(ctx, store)
    assert isinstance(ctx.reporter, Recorder)
    return ctx.reporter.lines


def test_nothing_was_cut_short(store: Store) -> None:
    assert run_recover(store) == []


def test_before_the_commit_it_is_undone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_short(store, monkeypatch, at=store.state_dir / "active")
    assert run_recover(store) == ["warn: an earlier apply was cut short before generation 1; it was undone"]
    assert (store.load_active(), store.load_pending(), store.list_numbers()) == (None, None, [])
    assert store.load_config() == BEFORE


def test_after_the_commit_it_is_finished(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    config = cut_short(store, monkeypatch, at=store.config_path)
    assert (store.load_active_number(), store.load_config()) == (1, BEFORE)
    assert run_recover(store) == [
        "warn: an earlier apply was cut short while activating generation 1; it was finished"
    ]
    assert (store.load_config(), store.load_pending()) == (config, None)


def test_an_edit_in_between_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_short(store, monkeypatch, at=store.config_path)
    store.config_path.write_bytes(BEFORE + b"new: key\n")
    run_recover(store)
    text = store.config_path.read_text(encoding="utf-8")
    assert text.startswith("# mine\nocr: {lang: ru}\nnew: key\n")
    assert "provision:" in text


def test_nothing_is_left_beside_config_yaml(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_short(store, monkeypatch, at=store.config_path)
    run_recover(store)
    assert sorted(path.name for path in store.root.iterdir()) == [".provision", "config.yaml"]


def test_a_damaged_record_is_set_aside_and_the_pointer_decides(store: Store) -> None:
    pending = store.state_dir / "pending.json"
    pending.parent.mkdir()
    pending.write_text("{")
    [line] = run_recover(store)
    assert line.startswith(f"warn: {pending} is damaged: ")
    assert line.endswith("; it is set aside, and the active generation stays")
    assert (store.load_pending(), pending.with_suffix(".damaged").read_text()) == (None, "{")
    assert run_recover(store) == []


def test_a_damaged_pointer_counts_as_not_committed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_short(store, monkeypatch, at=store.config_path)
    (store.state_dir / "active").write_text("one")
    assert run_recover(store) == ["warn: an earlier apply was cut short before generation 1; it was undone"]
    assert (store.load_config(), store.list_numbers()) == (BEFORE, [])


def test_a_config_that_was_to_be_written_and_is_lost_is_merged_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = cut_short(store, monkeypatch, at=store.config_path)
    (store.state_dir / "generations/1/config.yaml").unlink()
    run_recover(store)
    assert (store.load_config(), store.load_pending()) == (config, None)
