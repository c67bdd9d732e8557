"""The history is listed as far as it can be read."""

from __future__ import annotations

from pathlib import Path

from provision.actions.generations import GenerationRow, list_generations
from provision.system.store import Store
from tests.support.reports import Recorder
from tests.support.sources import make_context
from tests.system.test_store import promote


def make_row(number: int, *, active: bool) -> GenerationRow:
    return GenerationRow(
        number=number, active=active, profile="cpu", created="2026-11-21T10:00:00+00:00", models=()
    )


def test_all_generations_with_the_active_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    promote(store, 1)
    promote(store, 2)
    assert list_generations(make_context(tmp_path, {})) == (
        make_row(1, active=False),
        make_row(2, active=True),
    )


def test_a_damaged_generation_and_pointer_are_told_and_hide_no_others(tmp_path: Path) -> None:
    store = Store(tmp_path)
    promote(store, 1)
    promote(store, 2)
    (store.state_dir / "generations" / "2" / "generation.json").write_text("{", encoding="utf-8")
    (store.state_dir / "active").write_text("two", encoding="utf-8")
    ctx = make_context(tmp_path, {})
    assert list_generations(ctx) == (make_row(1, active=False),)
    assert isinstance(ctx.reporter, Recorder)
    assert [line.partition(" is damaged: ")[0] for line in ctx.reporter.lines] == [
        f"warn: {store.state_dir / 'active'}",
        f"warn: {store.state_dir / 'generations' / '2' / 'generation.json'}",
    ]
