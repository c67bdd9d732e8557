"""The history is listed as far as it can be read."""

from __future__ import annotations

from pathlib import Path

from provision.actions.generations import GenerationRow, list_generations
from provision.system.store import Store
from tests.support.reports import Recorder
from tests.support.sources import make_context
from tests.system.test_store import promote, switch


def make_row(number: int, *, active: bool) -> GenerationRow:
    return GenerationRow(
        number=number,
        active=active,
        profile="cpu",
        created="2026-11-21T10:00:00+00:00",
        models=(),
        activated=("2026-11-21T10:00:00+00:00",),
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


def test_a_return_is_a_time_at_which_it_became_active(tmp_path: Path) -> None:
    store = Store(tmp_path)
    promote(store, 1)
    promote(store, 2)
    switch(store, 1, 1)
    first, second = list_generations(make_context(tmp_path, {}))
    assert (first.active, first.activated) == (
        True,
        ("2026-11-21T10:00:00+00:00", "2026-11-22T10:00:00+00:00"),
    )
    assert (second.active, second.activated) == (False, ("2026-11-21T10:00:00+00:00",))


def test_an_activation_that_was_cut_short_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path)
    promote(store, 1)
    pending = store.state_dir / "pending.json"
    pending.write_text('{"number": 2, "config_sha256_before": null}')
    ctx = make_context(tmp_path, {})
    assert list_generations(ctx) == (make_row(1, active=True),)
    pending.write_text("{")
    assert list_generations(ctx) == (make_row(1, active=True),)
    assert isinstance(ctx.reporter, Recorder)
    told, damaged = ctx.reporter.lines
    assert told == "warn: activating generation 2 was cut short; the next apply or rollback settles it"
    assert damaged.startswith(f"warn: {pending} is damaged: ")
