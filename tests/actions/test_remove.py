"""A model goes with its entry and its stack; what stays is what an apply would find in order."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from msgspec.structs import replace

from provision.actions.context import Context
from provision.actions.remove import Removed, remove
from provision.actions.rollback import rollback
from provision.actions.situation import survey
from provision.errors import StateError, UsageError
from provision.system.store import Store
from tests.support.chain import ROOT
from tests.support.history import FOREIGN, add_generation, name_lock
from tests.support.reports import Recorder
from tests.support.sources import make_context

KEYS = ("qwen_vl_2b", "tiny_qwen2_vl", "qwen3_vl_2b")


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return replace(make_context(tmp_path, {}), data_dir=ROOT)


@pytest.fixture
def store(ctx: Context) -> Store:
    """A generation of three models in two stacks, as current as an apply would have left it."""
    store = Store(ctx.root)
    store.config_path.write_text(FOREIGN, encoding="utf-8")
    fingerprint = survey(ctx, store, "cpu", KEYS).fingerprint
    add_generation(store, {"main": KEYS[:2], "second": KEYS[2:]}, fingerprint=fingerprint)
    return store


def go(ctx: Context, *names: str) -> Removed:
    return remove(ctx, names, approve=lambda _removed: None)


def read_config(store: Store) -> dict[str, dict[str, object]]:
    data: dict[str, dict[str, object]] = yaml.safe_load(store.config_path.read_text(encoding="utf-8"))
    return data


def test_a_model_goes_and_an_apply_finds_nothing_to_do(store: Store, ctx: Context) -> None:
    removed = go(ctx, "qwen_vl_2b")
    active = store.load_active()
    assert active == removed.generation
    assert active is not None
    assert (active.number, removed.former, removed.dropped) == (2, 1, ())
    assert [(stack.name, stack.models) for stack in active.stacks] == [
        ("main", ("tiny_qwen2_vl",)),
        ("second", ("qwen3_vl_2b",)),
    ]
    config = read_config(store)
    assert (list(config["models"]), list(config["provision"]["models"])) == (  # type: ignore[call-overload]
        ["tiny_qwen2_vl", "qwen3_vl_2b"],
        ["tiny_qwen2_vl", "qwen3_vl_2b"],
    )
    assert store.config_path.read_text(encoding="utf-8").startswith(FOREIGN)
    situation = survey(ctx, store, "cpu", ())
    assert [model.key for model in situation.selection.models] == ["tiny_qwen2_vl", "qwen3_vl_2b"]
    assert (situation.fingerprint, situation.is_current) == (active.fingerprint, True)


def test_a_stack_that_nobody_uses_leaves_the_record_and_the_others_keep_their_locks(
    store: Store, ctx: Context
) -> None:
    removed = go(ctx, "qwen3_vl_2b")
    assert (removed.dropped, [stack.name for stack in removed.generation.stacks]) == (("second",), ["main"])
    assert (store.load_lock(2, "main"), store.load_lock(2, "second")) == (name_lock("main"), None)
    assert (store.state_dir / store.load_generation(1).stacks[1].path).is_dir()


def test_several_go_at_once(store: Store, ctx: Context) -> None:
    removed = go(ctx, "qwen3_vl_2b", "qwen_vl_2b", "qwen3_vl_2b")
    assert removed.models == ("qwen3_vl_2b", "qwen_vl_2b")
    assert survey(ctx, store, "cpu", ()).is_current


def test_a_rollback_brings_it_back(store: Store, ctx: Context) -> None:
    before = store.config_path.read_bytes()
    go(ctx, "qwen_vl_2b")
    rollback(ctx, approve=lambda _plan: None)
    data = read_config(store)
    assert sorted(data["models"]) == sorted(KEYS)
    assert survey(ctx, store, "cpu", KEYS).fingerprint == store.load_generation(1).fingerprint
    assert (store.state_dir / "generations/2/config.before.yaml").read_bytes() == before


def test_an_entry_with_keys_of_the_users_goes_too_and_is_kept_in_the_backup(
    store: Store, ctx: Context
) -> None:
    text = store.config_path.read_text(encoding="utf-8").replace(
        "  qwen_vl_2b:\n", "  qwen_vl_2b:\n    mine: 7\n", 1
    )
    store.config_path.write_text(text, encoding="utf-8")
    go(ctx, "qwen_vl_2b")
    data = read_config(store)
    assert "qwen_vl_2b" not in data["models"]
    assert "excluded" not in data["provision"]
    assert "mine: 7" in (store.state_dir / "generations/2/config.before.yaml").read_text(encoding="utf-8")
    assert store.load_generation(2).config.taken_out == ()


def test_a_model_that_failed_can_be_given_up(store: Store, ctx: Context) -> None:
    record = store.load_generation(1)
    section = replace(record.config.section, excluded={"dots_ocr": "its logits are not finite"})
    before = store.load_config()
    store.promote(
        replace(record, number=2, config=replace(record.config, section=section)),
        config=before or b"",
        before=before,
        before_sha256="before",
    )
    go(ctx, "dots_ocr")
    assert store.load_generation(3).config.section.excluded == {}


def test_an_unknown_name_gets_the_nearest(store: Store, ctx: Context) -> None:
    with pytest.raises(UsageError) as caught:
        go(ctx, "qwen_vl_2")
    assert (caught.value.message, caught.value.hint) == (
        "generation 1 has no model 'qwen_vl_2'",
        "did you mean qwen_vl_2b?",
    )
    with pytest.raises(UsageError) as caught:
        go(ctx, "xyzzy")
    assert caught.value.hint == "it has qwen_vl_2b, tiny_qwen2_vl, qwen3_vl_2b"


def test_the_last_ones_stay(store: Store, ctx: Context) -> None:
    before = store.config_path.read_bytes()
    with pytest.raises(UsageError) as caught:
        go(ctx, *KEYS)
    assert (caught.value.message, caught.value.hint) == (
        "no model would be left without qwen_vl_2b and tiny_qwen2_vl and qwen3_vl_2b, "
        "and a generation needs one that reads",
        "provision apply cpu --models OTHER   # a generation of other models",
    )
    assert (store.load_active_number(), store.config_path.read_bytes()) == (1, before)


def test_what_was_verified_elsewhere_is_verified_anew(store: Store, ctx: Context) -> None:
    """A generation of another driver is not made current by taking a model out of it."""
    add_generation(store, {"main": KEYS[:2]}, fingerprint="of another driver")
    removed = go(ctx, "qwen_vl_2b")
    assert removed.generation.fingerprint == "of another driver"
    assert not survey(ctx, store, "cpu", ()).is_current
    assert isinstance(ctx.reporter, Recorder)
    assert ctx.reporter.lines == [
        "warn: the next apply verifies the models that stay anew: the machine, the profile or a model has "
        "changed since generation 2 was verified"
    ]


def test_a_profile_that_is_gone_keeps_no_model(store: Store, ctx: Context) -> None:
    record = replace(store.load_generation(1), number=2, profile="gone")
    before = store.load_config()
    store.promote(record, config=before or b"", before=before, before_sha256="before")
    assert go(ctx, "qwen_vl_2b").generation.fingerprint == record.fingerprint


def test_saying_no_changes_nothing(store: Store, ctx: Context) -> None:
    before = store.config_path.read_bytes()

    def refuse(_removed: Removed) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        remove(ctx, ["qwen_vl_2b"], approve=refuse)
    assert (store.list_numbers(), store.config_path.read_bytes()) == ([1], before)


def test_nothing_was_applied(tmp_path: Path, ctx: Context) -> None:
    with pytest.raises(StateError, match="^nothing was applied in "):
        go(ctx, "a")
    assert list(tmp_path.iterdir()) == []
