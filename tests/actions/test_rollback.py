"""A former generation becomes active as a whole, or nothing changes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from msgspec.structs import replace

from provision.actions.candidate import find_whole_former
from provision.actions.context import Context
from provision.actions.rollback import Rebuild, Return, RolledBack, rollback
from provision.core.config_doc import diff_config
from provision.core.machine_record import build_machine_record
from provision.errors import BadFileError, ExitCode, RollbackFailedError, StateError, ToolError, UsageError
from provision.model.state import GenerationRecord, StackRecord
from provision.system.stack_folder import LOCK_NAME
from provision.system.store import Store
from tests.support.chain import ROOT
from tests.support.history import FOREIGN, add_generation, build_stack_again, make_history, name_lock
from tests.support.machines import make_facts
from tests.support.reports import Recorder
from tests.support.sources import make_context


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_history(tmp_path)


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return replace(make_context(tmp_path, {}), data_dir=ROOT)


def go(ctx: Context, number: int | None = None, rebuild: Rebuild | None = None) -> RolledBack:
    return rollback(ctx, number, approve=lambda _plan: None, rebuild=rebuild)


def list_lines(ctx: Context) -> list[str]:
    assert isinstance(ctx.reporter, Recorder)
    return ctx.reporter.lines


def read_config(store: Store) -> dict[str, dict[str, object]]:
    data: dict[str, dict[str, object]] = yaml.safe_load(store.config_path.read_text(encoding="utf-8"))
    return data


def test_by_default_to_the_one_before(store: Store, ctx: Context) -> None:
    before = store.config_path.read_bytes()
    done = go(ctx)
    assert (done.target.number, done.former, done.changed, done.rebuilt) == (2, 3, True, ())
    assert store.load_active_number() == 2
    assert list(read_config(store)["models"]) == ["a", "b"]
    assert done.backup is not None
    assert done.backup.read_bytes() == before
    assert [(one.former, one.generation) for one in store.list_switches()] == [(3, 2)]
    assert (go(ctx).target.number, store.load_active_number()) == (1, 1)
    with pytest.raises(StateError, match="^there is no generation before 1$"):
        go(ctx)


def test_there_and_back_again_leaves_the_config_byte_for_byte(store: Store, ctx: Context) -> None:
    third = store.config_path.read_bytes()
    go(ctx, 1)
    go(ctx, 3)
    assert store.config_path.read_bytes() == third
    assert store.next_number() == 4


def test_what_somebody_wrote_since_is_kept(store: Store, ctx: Context) -> None:
    text = (
        store.config_path.read_text(encoding="utf-8").replace("lang: ru ", "lang: de ") + "mine: 7  # new\n"
    )
    store.config_path.write_text(text, encoding="utf-8")
    done = go(ctx, 1)
    now = store.config_path.read_text(encoding="utf-8")
    assert now.startswith(FOREIGN.replace("ru", "de"))
    assert now.endswith("mine: 7  # new\n")
    assert diff_config(now, done.target.config) == ()


def test_the_active_one_is_nothing_to_do(store: Store, ctx: Context) -> None:
    before = store.config_path.read_bytes()
    done = go(ctx, 3)
    assert (done.changed, done.target.number, store.config_path.read_bytes()) == (False, 3, before)
    assert list_lines(ctx) == []


def test_an_unknown_number_is_told_with_the_known_ones(store: Store, ctx: Context) -> None:
    with pytest.raises(UsageError) as caught:
        go(ctx, 7)
    assert (caught.value.message, caught.value.hint) == (
        "there is no generation 7; known are 1, 2, 3",
        "provision generations",
    )
    assert caught.value.exit_code is ExitCode.USAGE


def test_nothing_was_applied(tmp_path: Path, ctx: Context) -> None:
    with pytest.raises(StateError, match=f"^nothing was applied in {tmp_path}$"):
        go(ctx)
    assert list(tmp_path.iterdir()) == []


def test_saying_no_changes_nothing(store: Store, ctx: Context) -> None:
    before = store.config_path.read_bytes()
    plans: list[Return] = []

    def refuse(plan: Return) -> None:
        plans.append(plan)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rollback(ctx, 1, approve=refuse)
    assert (store.load_active_number(), store.config_path.read_bytes()) == (3, before)
    assert (plans[0].former, plans[0].target.number) == (3, 1)
    assert plans[0].config_keys == (
        "models.b",
        "models.c",
        "provision.generation",
        "provision.models.a.interpreter",
        "provision.models.b",
        "provision.models.c",
    )


def test_a_stack_that_is_gone_is_built_from_the_lock_that_was_kept(store: Store, ctx: Context) -> None:
    stack = store.load_generation(1).stacks[0]
    shutil.rmtree(store.state_dir / stack.path)
    asked: list[tuple[StackRecord, str]] = []

    def rebuild(_target: GenerationRecord, record: StackRecord, lock: str) -> None:
        asked.append((record, lock))
        build_stack_again(store, record, lock)

    done = go(ctx, 1, rebuild)
    assert asked == [(stack, name_lock("main"))]
    assert (done.rebuilt, store.load_active_number()) == (("main",), 1)


def test_a_damaged_stack_counts_as_gone(store: Store, ctx: Context) -> None:
    stack = store.load_generation(1).stacks[0]
    folder = store.state_dir / stack.path
    next(folder.glob("lib/python3*/site-packages/package0/module0.py")).unlink()
    with pytest.raises(StateError) as caught:
        go(ctx, 1)
    assert caught.value.message == (
        "generation 1 cannot be returned to: stack main: package0-1.0.dist-info lists package0/module0.py, "
        "which is missing: the installation was cut short"
    )
    assert caught.value.hint == "provision apply cpu --models a"


def test_a_lock_beside_the_stack_serves_where_the_generation_kept_none(tmp_path: Path, ctx: Context) -> None:
    store = Store(tmp_path)
    first = add_generation(store, {"main": ["a"]}, keep_locks=False)
    add_generation(store, {"main": ["a"]}, variants={"main": "-new"})
    folder = store.state_dir / first.stacks[0].path
    (folder / "provision-stack.json").unlink()
    asked: list[str] = []

    def rebuild(_target: GenerationRecord, record: StackRecord, lock: str) -> None:
        asked.append(lock)
        shutil.rmtree(folder)
        build_stack_again(store, record, lock)

    assert go(ctx, 1, rebuild).rebuilt == ("main",)
    assert asked == [name_lock("main")]


def test_a_lock_that_was_altered_is_not_taken(store: Store, ctx: Context) -> None:
    stack = store.load_generation(1).stacks[0]
    shutil.rmtree(store.state_dir / stack.path)
    store.save_locks(1, {"main": "evil==6.6.6\n"})
    with pytest.raises(StateError) as caught:
        go(ctx, 1, lambda *_: None)
    assert caught.value.message == (
        "generation 1 cannot be returned to: stack main: it is missing or was not finished, "
        "and the lock that it was built from was not kept"
    )


def test_building_that_fails_leaves_what_was_active(store: Store, ctx: Context) -> None:
    before = store.config_path.read_bytes()
    shutil.rmtree(store.state_dir / store.load_generation(1).stacks[0].path)

    def fail(_target: GenerationRecord, _record: StackRecord, _lock: str) -> None:
        raise ToolError("uv cannot reach the index", hint="provision doctor --network")

    with pytest.raises(RollbackFailedError) as caught:
        go(ctx, 1, fail)
    assert (caught.value.message, caught.value.hint, caught.value.exit_code) == (
        "stack main cannot be built again: uv cannot reach the index",
        "provision doctor --network",
        ExitCode.ROLLBACK_FAILED,
    )
    assert (store.load_active_number(), store.config_path.read_bytes()) == (3, before)
    assert (store.load_pending(), store.list_switches()) == (None, [])


def test_building_that_builds_nothing_is_a_failure(store: Store, ctx: Context) -> None:
    shutil.rmtree(store.state_dir / store.load_generation(1).stacks[0].path)
    with pytest.raises(
        RollbackFailedError,
        match=r"^generation 1 is still not whole: stack main: it is missing or was not finished$",
    ):
        go(ctx, 1, lambda *_: None)


def test_weights_that_are_gone_are_told_with_how_to_get_them(store: Store, ctx: Context) -> None:
    record = store.load_generation(1)
    revision = "0f" * 20
    folder = store.root / f"hub/models--Org--Model-a/snapshots/{revision}"
    model = replace(record.models[0], model_dir=str(folder), revision=revision)
    store.promote(replace(record, number=4, models=(model,)), config=b"", before=None, before_sha256=None)
    go(ctx, 3)
    with pytest.raises(StateError) as caught:
        go(ctx, 4)
    assert (caught.value.message, caught.value.hint) == (
        "generation 4 cannot be returned to: weights of a: model.safetensors is missing or has another size",
        f"hf download Org/Model-a --revision {revision}",
    )


def test_by_default_generations_that_are_not_whole_are_passed_over(store: Store, ctx: Context) -> None:
    (store.weights_dir / "b-0123456789ab/model.safetensors").unlink()
    assert go(ctx).target.number == 1
    assert list_lines(ctx)[0] == (
        "warn: generation 2 is passed over: weights of b: model.safetensors is missing or has another size"
    )


def test_the_former_one_that_could_be_active_at_once(store: Store) -> None:
    assert find_whole_former(store) == 2
    (store.weights_dir / "b-0123456789ab/model.safetensors").unlink()
    assert find_whole_former(store) == 1
    (store.state_dir / "active").write_text("x")
    (store.state_dir / "generations/1/generation.json").write_text("{")
    assert find_whole_former(store) is None


def test_none_that_is_whole(store: Store, ctx: Context) -> None:
    shutil.rmtree(store.weights_dir)
    with pytest.raises(StateError, match="^no former generation is whole$"):
        go(ctx)


@pytest.mark.parametrize("damaged", ["active", "generations/3/generation.json"])
def test_a_damaged_active_generation_is_left_behind(store: Store, ctx: Context, damaged: str) -> None:
    (store.state_dir / damaged).write_text("{", encoding="utf-8")
    done = go(ctx)
    assert store.load_active_number() == done.target.number
    assert done.target.number == (3 if damaged == "active" else 2)


def test_a_damaged_record_of_a_change_keeps_nobody_from_returning(store: Store, ctx: Context) -> None:
    (store.state_dir / "pending.json").write_text("{", encoding="utf-8")
    assert go(ctx).target.number == 2
    assert (store.state_dir / "pending.damaged").read_text() == "{"


def test_a_config_that_cannot_be_read_stops_before_anything(store: Store, ctx: Context) -> None:
    store.config_path.write_text("models: [1\n")
    with pytest.raises(BadFileError):
        go(ctx)
    assert (store.load_active_number(), store.config_path.read_text()) == (3, "models: [1\n")


def test_a_config_that_is_gone_comes_back(store: Store, ctx: Context) -> None:
    store.config_path.unlink()
    done = go(ctx)
    assert (done.backup, list(read_config(store)["models"])) == (None, ["a", "b"])


def test_a_machine_that_has_changed_is_told(
    tmp_path: Path, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    facts = make_facts()
    now = build_machine_record(facts)
    then = replace(now, driver="570.1", gpus=(("NVIDIA GeForce RTX 5090", "12.0"),))
    add_generation(store, {"main": ["a"]}, machine=then)
    add_generation(store, {"main": ["a"]}, machine=now)
    detection = type("Detection", (), {"facts": facts})()
    monkeypatch.setattr("provision.actions.rollback.detect", lambda _ctx: detection)
    since = "since generation 1 was verified; provision smoke verifies it anew"
    assert go(ctx).warnings == (
        f"the GPUs were NVIDIA GeForce RTX 5090 (12.0) and are none {since}",
        f"the driver was 570.1 and is none {since}",
    )
    assert go(ctx, 2).warnings == ()
    assert (tmp_path / ".provision" / "stacks").is_dir()
    assert (store.state_dir / store.load_generation(1).stacks[0].path / LOCK_NAME).exists()
