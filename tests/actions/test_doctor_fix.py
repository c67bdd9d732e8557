"""Repairs: shown first, the tool's own only, and each with what became of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from provision.actions.context import Context
from provision.actions.doctor import examine
from provision.actions.doctor_fix import (
    Outcome,
    Repair,
    RepairKind,
    carry_out,
    compare,
    describe_dry_run,
    plan_repairs,
)
from provision.actions.wholeness import check_stack
from provision.errors import ApplyFailedError
from provision.model.finding import Examination, Finding, Severity
from provision.model.state import Holder, Pending
from tests.support.application import STACK, make_application
from tests.support.chain import ROOT
from tests.support.sources import make_context

_GROUPS = ("state", "stack.complete", "weights.present", "config")


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return replace(make_context(tmp_path, {}), data_dir=ROOT)


def look(ctx: Context) -> Examination:
    return examine(ctx, only=_GROUPS)


def test_nothing_is_repaired_of_what_is_in_order(ctx: Context) -> None:
    make_application(ctx.root)
    assert plan_repairs(ctx, look(ctx).findings) == ()


def test_what_is_the_systems_stays_a_command(ctx: Context) -> None:
    findings = (
        Finding(id="driver.mismatch", severity=Severity.FAIL, evidence="x", cure="sudo reboot"),
        Finding(id="disk.space", severity=Severity.FAIL, evidence="x", cure="uv cache prune"),
        Finding(id="environment.variables", severity=Severity.WARN, evidence="x", cure="unset X"),
        Finding(id="stack.bad-pairs", severity=Severity.FAIL, evidence="x", subject="/home/a/env"),
    )
    assert plan_repairs(ctx, findings) == ()


def test_drift_is_written_again_and_nothing_else(ctx: Context) -> None:
    store = make_application(ctx.root)
    whole = store.config_path.read_text()
    mine = whole.replace("precision: bf16", "precision: fp16") + "mine: 7  # kept\n"
    store.config_path.write_text(mine)
    before = look(ctx)
    repairs = plan_repairs(ctx, before.findings)
    assert repairs == (
        Repair(
            kind=RepairKind.CONFIG,
            title="write the keys that generation 1 owns into config.yaml again",
            findings=("config.drift",),
        ),
    )
    assert describe_dry_run(repairs)[0].done is False
    assert store.config_path.read_text() == mine
    [outcome] = carry_out(ctx, repairs)
    assert (outcome.done, outcome.error) == (True, None)
    assert store.config_path.read_text() == whole + "mine: 7  # kept\n"
    [(former, now)] = compare(before, look(ctx))
    assert (former.id, former.severity, now and now.severity) == (
        "config.drift",
        Severity.WARN,
        Severity.PASS,
    )


def test_a_config_that_is_gone_comes_back(ctx: Context) -> None:
    store = make_application(ctx.root)
    whole = store.config_path.read_bytes()
    store.config_path.unlink()
    carry_out(ctx, plan_repairs(ctx, look(ctx).findings))
    assert store.config_path.read_bytes() == whole


def test_a_config_that_cannot_be_read_is_the_users(ctx: Context) -> None:
    store = make_application(ctx.root)
    store.config_path.write_text("models: [1\n")
    findings = look(ctx).findings
    assert "config.valid" in {finding.id for finding in findings if finding.severity is Severity.FAIL}
    assert plan_repairs(ctx, findings) == ()


def test_an_activation_that_was_cut_short_is_undone(ctx: Context) -> None:
    store = make_application(ctx.root)
    (store.state_dir / "generations/2").mkdir()
    pending = Pending(number=2, config_sha256_before=None)
    (store.state_dir / "pending.json").write_bytes(msgspec.json.encode(pending))
    repairs = plan_repairs(ctx, look(ctx).findings)
    assert [(repair.kind, repair.findings) for repair in repairs] == [(RepairKind.RECOVER, ("state.whole",))]
    [outcome] = carry_out(ctx, repairs)
    assert outcome.done
    assert not (store.state_dir / "generations/2").exists()
    assert plan_repairs(ctx, look(ctx).findings) == ()


def test_a_stale_holder_and_leftovers_go(ctx: Context) -> None:
    store = make_application(ctx.root)
    dead = Holder(pid=4_000_000, command="provision apply", since="2026-11-21T12:00:00+00:00")
    (store.state_dir / "holder.json").write_bytes(msgspec.json.encode(dead))
    (store.state_dir / "stacks/.main-1.aside").mkdir()
    (store.state_dir / "stacks/main-half").mkdir()
    repairs = plan_repairs(ctx, look(ctx).findings)
    assert [repair.title for repair in repairs] == [
        "forget the holder of the lock, who has ended",
        "remove stacks/.main-1.aside, stacks/main-half",
    ]
    assert [outcome.done for outcome in carry_out(ctx, repairs)] == [True, True]
    assert sorted(path.name for path in store.stacks_dir.iterdir()) == [Path(STACK).name]
    assert plan_repairs(ctx, look(ctx).findings) == ()


def test_what_a_stack_lacks_is_applied_for(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """The apply itself is shown with a real stack in test_chain.py."""
    store = make_application(ctx.root)
    (store.state_dir / STACK / "provision-stack.json").unlink()
    store.config_path.unlink()
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(
        "provision.actions.repairs.apply",
        lambda _ctx, request, agree: asked.append((request.profile, request.models)),
    )
    repairs = plan_repairs(ctx, look(ctx).findings)
    assert repairs == (
        Repair(
            kind=RepairKind.APPLY,
            title="apply profile cpu for tiny_qwen2_vl, which builds what is missing",
            findings=("stack.complete", "config.valid"),
        ),
    )
    assert carry_out(ctx, repairs)[0].done
    assert asked == [("cpu", ("tiny_qwen2_vl",))]


def test_a_state_that_cannot_be_read_gets_a_new_generation(ctx: Context) -> None:
    store = make_application(ctx.root)
    (store.state_dir / "active").write_text("first")
    [repair] = plan_repairs(ctx, examine(ctx, only=("state.whole",)).findings)
    assert repair.kind is RepairKind.APPLY
    assert repair.title == "apply auto, which makes a new generation (the former one cannot be read)"


def test_a_repair_that_fails_is_told_and_the_next_are_tried(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_application(ctx.root)

    def fail(*_args: object, **_kwargs: object) -> None:
        raise ApplyFailedError("apply stopped: No space left on device")

    monkeypatch.setattr("provision.actions.repairs.apply", fail)
    repairs = (
        Repair(kind=RepairKind.APPLY, title="apply", findings=("stack.complete",)),
        Repair(kind=RepairKind.LOCK, title="lock", findings=("state.lock",)),
    )
    assert carry_out(ctx, repairs) == (
        Outcome(
            kind=RepairKind.APPLY,
            title="apply",
            findings=("stack.complete",),
            done=False,
            error="apply stopped: No space left on device",
        ),
        Outcome(kind=RepairKind.LOCK, title="lock", findings=("state.lock",), done=True),
    )


def test_a_damaged_record_of_an_activation_is_set_aside(ctx: Context) -> None:
    store = make_application(ctx.root)
    pending = store.state_dir / "pending.json"
    pending.write_text('{"number": 1}')
    before = look(ctx)
    repairs = plan_repairs(ctx, before.findings)
    assert [(item.kind, item.findings) for item in repairs] == [(RepairKind.RECOVER, ("state.whole",))]
    [outcome] = carry_out(ctx, repairs)
    assert (outcome.done, pending.exists()) == (True, False)
    assert pending.with_suffix(".damaged").read_text() == '{"number": 1}'
    assert not look(ctx).failed


def test_altered_files_leave_uvs_cache_and_the_stack_is_built_again(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_application(ctx.root)
    folder = store.state_dir / STACK
    [site] = folder.glob("lib/python3*/site-packages")
    altered = site / "package0" / "module1.py"
    altered.write_bytes(bytes(altered.stat().st_size))
    (site / "package1" / "module1.py").unlink()
    cleaned: list[set[str]] = []
    problems: list[str | None] = []
    monkeypatch.setattr(
        "provision.actions.repairs.remove_from_cache", lambda names, *, env: cleaned.append(set(names))
    )
    monkeypatch.setattr(
        "provision.actions.repairs.apply", lambda *_, **__: problems.append(check_stack(folder))
    )
    before = examine(ctx, only=("stack",), deep=True)
    repairs = plan_repairs(ctx, before.findings)
    assert [(item.kind, item.findings) for item in repairs] == [
        (RepairKind.STACKS, ("stack.files",)),
        (RepairKind.APPLY, ("stack.complete", "stack.files")),
    ]
    assert [outcome.error for outcome in carry_out(ctx, repairs)] == [None, None]
    # What is only missing was not altered in the cache; an apply is to find the stack not whole by its sizes.
    assert cleaned == [{"package0"}]
    assert problems != [None]


def test_altered_weights_go_before_they_are_fetched_again(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_application(ctx.root)
    weights = store.weights_dir / "tiny" / "model.safetensors"
    weights.write_bytes(bytes(weights.stat().st_size))
    there: list[bool] = []
    monkeypatch.setattr("provision.actions.repairs.apply", lambda *_, **__: there.append(weights.exists()))
    before = examine(ctx, only=("weights",), deep=True)
    repairs = plan_repairs(ctx, before.findings)
    assert [item.kind for item in repairs] == [RepairKind.WEIGHTS, RepairKind.APPLY]
    assert [outcome.error for outcome in carry_out(ctx, repairs)] == [None, None]
    assert there == [False]


def test_an_environment_of_the_users_is_not_repaired(ctx: Context) -> None:
    wrong = Finding(id="stack.files", severity=Severity.FAIL, evidence="x", subject="/home/a/env")
    assert plan_repairs(ctx, (wrong,)) == ()
    ours = Finding(id="stack.files", severity=Severity.FAIL, evidence="x", subject="stack main")
    assert [item.kind for item in plan_repairs(ctx, (ours,))] == [RepairKind.STACKS, RepairKind.APPLY]
