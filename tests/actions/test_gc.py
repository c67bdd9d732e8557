"""What no kept generation needs goes, and nothing else; a kill in between leaves only what goes the next time."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from provision.actions.context import Context
from provision.actions.gc import Garbage, UnusedWeights, collect
from provision.actions.wholeness import find_problem
from provision.core.gc import ItemKind
from provision.errors import StateError
from provision.model.state import BuiltRecord
from provision.system.built import load_built, save_built
from provision.system.disk_usage import count_links, read_size_bytes, walk_status
from provision.system.store import Store
from tests.support.faults import Killed, inject
from tests.support.history import add_generation, make_history
from tests.support.reports import Recorder
from tests.support.sources import make_context

HUB = "hub/models--Org--Model-h/snapshots/"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_history(tmp_path)


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return make_context(tmp_path, {})


def clean(ctx: Context, keep: int = 1, *, everything: bool = False, dry_run: bool = False) -> Garbage:
    return collect(ctx, keep=keep, everything=everything, dry_run=dry_run, approve=lambda _garbage: None)


def list_names(garbage: Garbage) -> list[tuple[str, str]]:
    return [(item.kind.value, item.name) for item in garbage.items]


def list_state(store: Store) -> list[str]:
    found = [*store.state_dir.glob("stacks/*"), *store.state_dir.glob("weights/*")]
    found += [*store.state_dir.glob("generations/*"), *store.state_dir.glob("switches/*")]
    return sorted(path.relative_to(store.state_dir).as_posix() for path in found)


def list_expected(store: Store) -> list[str]:
    """What is left of the history when only its last generation stays."""
    stacks = [stack.path for stack in store.load_generation(3).stacks]
    return sorted([*stacks, "generations/3", *(f"weights/{key}-0123456789ab" for key in "abc")])


def test_the_newest_stay_whole_and_the_rest_goes(store: Store, ctx: Context) -> None:
    former = store.load_generation(1).stacks[0].path
    garbage = clean(ctx)
    assert list_names(garbage) == [
        ("generation", "generations/1"),
        ("generation", "generations/2"),
        ("stack", former),
    ]
    assert garbage.kept == (3,)
    assert list_state(store) == list_expected(store)
    assert find_problem(store, store.load_generation(3)) is None
    assert clean(ctx) == Garbage(kept=(3,), items=(), hub=())


def test_three_stay_by_default(store: Store, ctx: Context) -> None:
    add_generation(store, {"main": ["a"]})
    assert list_names(collect(ctx, approve=lambda _garbage: None)) == [("generation", "generations/1")]


def test_the_active_one_stays_however_old(store: Store, ctx: Context) -> None:
    (store.state_dir / "active").write_text("1\n", encoding="ascii")
    garbage = clean(ctx)
    assert (garbage.kept, list_names(garbage)) == ((1, 3), [("generation", "generations/2")])
    assert find_problem(store, store.load_generation(1)) is None


def test_weights_of_no_kept_generation_go(store: Store, ctx: Context) -> None:
    add_generation(store, {"main": ["a"]}, variants={"main": "-new"})
    garbage = clean(ctx)
    assert [name for kind, name in list_names(garbage) if kind == "weights"] == [
        "weights/b-0123456789ab",
        "weights/c-0123456789ab",
    ]
    assert [path.name for path in store.weights_dir.iterdir()] == ["a-0123456789ab"]


def test_leftovers_of_killed_runs_go(store: Store, ctx: Context) -> None:
    for name in ("stacks/.building-main-1", "stacks/.main-1.aside", "weights/.a.partial", "generations/9"):
        (store.state_dir / name).mkdir()
    (store.state_dir / ".active.x.tmp").touch()
    garbage = clean(ctx, keep=3)
    assert list_names(garbage) == [
        ("leftover", ".active.x.tmp"),
        ("leftover", "generations/9"),
        ("leftover", "stacks/.building-main-1"),
        ("leftover", "stacks/.main-1.aside"),
        ("leftover", "weights/.a.partial"),
    ]
    assert clean(ctx, keep=3).items == ()


def test_the_bytes_are_those_that_come_back(store: Store, ctx: Context, tmp_path: Path) -> None:
    """As the file system counts: folders too, and nothing for a file that has a name in uv's cache."""
    stack = store.state_dir / store.load_generation(1).stacks[0].path
    cached = next(stack.glob("lib/python3*/site-packages/package0/module0.py"))
    os.link(cached, tmp_path / "cached.py")
    shared = read_size_bytes(cached.lstat())
    occupied = sum(read_size_bytes(status) for status in walk_status(stack))
    [item] = [item for item in clean(ctx, dry_run=True).items if item.kind is ItemKind.STACK]
    assert (item.freed_bytes, item.shared_bytes) == (occupied - shared, shared)
    before = sum(read_size_bytes(one) // count_links(one) for one in walk_status(store.state_dir))
    garbage = clean(ctx)
    after = sum(read_size_bytes(one) // count_links(one) for one in walk_status(store.state_dir))
    assert before - after == garbage.freed_bytes + shared // 2


def test_a_dry_run_and_a_no_change_nothing(store: Store, ctx: Context) -> None:
    before = list_state(store)
    shown = clean(ctx, dry_run=True)

    def refuse(garbage: Garbage) -> None:
        assert garbage == shown
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(ctx, keep=1, approve=refuse)
    assert list_state(store) == before


def test_stacks_built_for_another_machine_stay_unless_all_goes(store: Store, ctx: Context) -> None:
    record = store.load_generation(1)
    created = "2026-11-20T12:00:00+00:00"
    save_built(store.state_dir, BuiltRecord(profile="blackwell", created=created, stacks=()))
    built = BuiltRecord(profile="blackwell", created=created, stacks=record.stacks)
    save_built(store.state_dir, built)
    assert load_built(store.state_dir) == (built,)
    garbage = clean(ctx)
    assert ([kind for kind, _ in list_names(garbage)], garbage.built) == (["generation", "generation"], 1)
    assert list_names(clean(ctx, everything=True)) == [("stack", record.stacks[0].path)]
    assert (load_built(store.state_dir), list_state(store)) == ((), list_expected(store))


def test_a_damaged_list_of_builds_stops_unless_all_goes(store: Store, ctx: Context) -> None:
    (store.state_dir / "built.json").write_text("{", encoding="ascii")
    with pytest.raises(StateError, match=r"built\.json is damaged: ") as caught:
        clean(ctx)
    assert caught.value.hint == "provision gc --all   # stacks of --build-only go too"
    clean(ctx, everything=True)
    assert list_state(store) == list_expected(store)


@pytest.mark.parametrize("damaged", ["active", "generations/3/generation.json"])
def test_nothing_goes_while_the_active_one_cannot_be_read(store: Store, ctx: Context, damaged: str) -> None:
    (store.state_dir / damaged).write_text("{", encoding="ascii")
    before = list_state(store)
    with pytest.raises(StateError) as caught:
        clean(ctx)
    assert caught.value.hint == "provision rollback   # makes a whole generation active"
    assert list_state(store) == before


def test_a_former_one_that_is_damaged_goes(store: Store, ctx: Context) -> None:
    (store.state_dir / "generations/2/generation.json").write_text("{", encoding="ascii")
    garbage = clean(ctx, keep=3)
    assert (garbage.kept, list_names(garbage)) == ((1, 3), [("generation", "generations/2")])
    assert isinstance(ctx.reporter, Recorder)
    assert ctx.reporter.lines[0].startswith("warn: generation 2 can be returned to no more: ")


def test_nothing_was_applied(tmp_path: Path, ctx: Context) -> None:
    assert clean(ctx) == Garbage(kept=(), items=(), hub=())
    assert list(tmp_path.iterdir()) == []


def test_the_record_of_a_switch_goes_with_its_generation(store: Store, ctx: Context) -> None:
    for number, generation in ((1, 1), (2, 3)):
        folder = store.state_dir / f"switches/{number}"
        folder.mkdir(parents=True)
        text = f'{{"number": {number}, "former": 2, "generation": {generation}, "at": "2026-11-21T12:00:00"}}'
        (folder / "switch.json").write_text(text, encoding="ascii")
    clean(ctx)
    assert [switch.number for switch in store.list_switches()] == [2]


def add_hub_generation(store: Store, revision: str, *, shared: Path | None = None) -> Path:
    """A generation whose model lies in the Hub's cache, as links to blobs."""
    snapshot = store.root / HUB / revision
    blobs = snapshot.parents[1] / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    snapshot.mkdir(parents=True)
    (blobs / revision).write_bytes(b"w" * 10_000)
    (snapshot / "model.safetensors").symlink_to(blobs / revision)
    (snapshot / "tokenizer.json").symlink_to(shared or blobs / revision)
    record = store.load_generation(3)
    model = replace(record.models[0], key="h", model_dir=str(snapshot), revision=revision)
    number = store.next_number()
    config = store.load_config()
    assert config is not None
    store.promote(
        replace(record, number=number, models=(*record.models, model)),
        config=config,
        before=config,
        before_sha256="before",
    )
    return blobs / revision


def test_weights_in_the_hubs_cache_are_told_and_stay(store: Store, ctx: Context) -> None:
    used = add_hub_generation(store, "11" * 20)
    blob = add_hub_generation(store, "00" * 20, shared=used)
    (store.state_dir / "active").write_text("4\n", encoding="ascii")
    add_generation(store, {"main": ["a"]}, variants={"main": "-new"})
    (store.state_dir / "active").write_text("4\n", encoding="ascii")
    garbage = clean(ctx)
    assert garbage.kept == (4, 6)
    assert garbage.hub == (
        UnusedWeights(
            model="h",
            repo_id="Org/Model-h",
            revision="00" * 20,
            size_bytes=read_size_bytes(blob.stat()),
            command=f"hf cache rm {'00' * 20}",
        ),
    )
    assert blob.exists()


def test_a_kill_leaves_only_what_the_next_run_removes(
    tmp_path: Path, store: Store, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_generation(store, {"main": ["a"]}, variants={"main": "-new"})
    template = tmp_path.with_name("template")
    shutil.copytree(tmp_path, template, symlinks=True)
    for at in range(0, 1000, 3):
        root = tmp_path.with_name(f"copy-{at}")
        shutil.copytree(template, root, symlinks=True)
        copy, context = Store(root), make_context(root, {})
        with inject(monkeypatch, "kill", at) as faults, contextlib.suppress(Killed):
            clean(context)
        if not faults.failed:
            break
        assert copy.load_active_number() == 4
        for number in copy.list_numbers():
            assert copy.load_generation(number).number == number
        clean(context)
        assert list_state(copy) == [
            "generations/4",
            copy.load_generation(4).stacks[0].path,
            "weights/a-0123456789ab",
        ]
    else:
        raise AssertionError("gc never came to its end")
