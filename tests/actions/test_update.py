"""Updates with real uv and tiny wheels; what the models read and compute is given by the test."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from provision.actions.active_locks import resolve_active
from provision.actions.apply import Applied, apply
from provision.actions.build import build_stack
from provision.actions.context import Context
from provision.actions.package_policy import Policy
from provision.actions.plan import NetworkSupply, Request
from provision.actions.prospect import find_prospect
from provision.actions.situation import survey
from provision.actions.smoke import Subject
from provision.actions.update import Updated, update
from provision.actions.weights import ModelFiles, identify_revision
from provision.errors import InterruptedByUserError, StateError, ToolError, UsageError
from provision.model.catalogue import ModelSpec
from provision.model.finding import Finding, Severity
from provision.model.smoke import SmokeResult, Verdict
from provision.model.state import GenerationRecord
from provision.model.update import Outside, TrialVerdict
from provision.system.resources import find_data_dir
from provision.system.store import Store
from provision.system.trials import load_trials
from tests.core.test_update import make_result
from tests.support.sources import make_context
from tests.support.wheels import build_wheel

ANY_AGE = Policy(exclude_newer=None)
MODEL, OTHER = "tiny_qwen2_vl", "deepseek_ocr"
FINE = (Finding(id="deep.import", severity=Severity.PASS, evidence="torch 2.13.0"),)


@dataclass
class Application:
    """An application with one generation, and what the models of its trials read."""

    ctx: Context
    wheels: Path
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    smoked: list[str] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return Store(self.ctx.root)

    def smoke(
        self, _ctx: Context, _profile: object, stack: str, python: Path, subjects: Sequence[Subject]
    ) -> tuple[SmokeResult, ...]:
        """By the version of transformers that the stack holds."""
        [info] = python.parent.parent.glob("lib/python3*/site-packages/transformers-*.dist-info")
        version = info.name.removeprefix("transformers-").removesuffix(".dist-info")
        self.smoked.append(version)
        verdict = self.verdicts.get(version, Verdict.PASS)
        return tuple(replace(make_result(verdict, model=one.key), stack=stack) for one in subjects)

    def apply(self, *models: str) -> Applied:
        return apply(self.ctx, Request(profile="cpu", models=models, supply=NetworkSupply(policy=ANY_AGE)))

    def publish(self, version: str) -> None:
        build_wheel(self.wheels, "transformers", version, requires=("numpy",))

    def update(self, *models: str, retry: bool = False) -> Updated:
        return update(self.ctx, models, ANY_AGE, retry=retry)

    def hash_state(self) -> dict[str, str]:
        """All of the application's folder but the wheels, uv's cache and what is remembered of trials."""
        paths = [self.store.config_path, *self.store.state_dir.rglob("*")]
        return {
            str(path): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in paths
            if path.is_file() and path.name != "trials.json"
        }


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Application:
    wheels = tmp_path / "wheels"
    for name, version in (("accelerate", "1.15.0"), ("pillow", "13.0.0"), ("numpy", "2.4.6")):
        build_wheel(wheels, name, version)
    build_wheel(wheels, "torch", "2.13.0+cpu")
    env = {"PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1"}
    ctx = replace(make_context(tmp_path / "home", env), data_dir=find_data_dir())
    ctx.root.mkdir()
    made = Application(ctx=ctx, wheels=wheels)
    made.publish("5.22.2")
    for module in ("apply", "update"):
        monkeypatch.setattr(f"provision.actions.{module}.smoke_stack", made.smoke)
    monkeypatch.setattr("provision.actions.update.verify_imports", lambda *_: None)
    monkeypatch.setattr("provision.actions.update._compute", lambda *_: FINE)
    made.apply()
    made.smoked.clear()
    return made


def test_nothing_newer_is_said_and_nothing_is_tried(application: Application) -> None:
    before = application.hash_state()
    updated = application.update()
    assert (updated.trial, updated.generation.number, updated.prospect.available) == (None, 1, ())
    assert [stack.kept for stack in updated.prospect.stacks] == [True]
    assert application.smoked == []
    assert application.hash_state() == before


def test_what_reads_as_well_becomes_a_generation_that_apply_keeps(application: Application) -> None:
    application.publish("5.22.3")
    updated = application.update()
    assert updated.trial is not None
    assert (updated.trial.verdict, updated.trial.reason) == (TrialVerdict.PROMOTED, "")
    assert (updated.generation.number, application.smoked) == (2, ["5.22.3"])
    assert application.store.load_active() == updated.generation
    lock = application.store.load_lock(2, "main")
    assert lock is not None
    assert "transformers==5.22.3 " in lock
    again = application.apply()
    assert (again.plan, again.changed) == (None, False)
    assert application.update().trial is None


@pytest.fixture
def two_stacks(application: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Application:
    """The embedded model, and one that needs a transformers of 4.46 or 4.47 and has no weights here."""
    for name in ("addict", "easydict", "einops"):
        build_wheel(application.wheels, name, "1.0")
    build_wheel(application.wheels, "torchvision", "0.28.0+cpu", requires=("torch==2.13.0",))
    application.publish("4.46.3")
    folder = tmp_path / "weights"
    folder.mkdir()

    def ensure(ctx: Context, _store: Store, model: ModelSpec) -> ModelFiles:
        return ModelFiles(folder=folder, revision=identify_revision(ctx, model))

    for module in ("plan", "update"):
        monkeypatch.setattr(f"provision.actions.{module}.ensure_weights", ensure)
    monkeypatch.setattr("provision.actions.plan.list_unreadable", lambda *_: ())
    application.apply(OTHER, MODEL)
    application.smoked.clear()
    return application


def test_a_stack_for_which_nothing_is_newer_stays_and_is_read_in_again(two_stacks: Application) -> None:
    before = two_stacks.store.load_active()
    assert before is not None
    two_stacks.publish("5.22.3")
    updated = two_stacks.update()
    assert [(stack.name, stack.kept) for stack in updated.prospect.stacks] == [
        ("main", False),
        ("transformers-4.46", True),
    ]
    assert updated.generation.number == 3
    assert updated.generation.stacks[1] == before.stacks[1]
    assert updated.generation.stacks[0].path != before.stacks[0].path
    assert two_stacks.smoked == ["5.22.3", "4.46.3"]
    # Models in the order of config.yaml, as the next apply finds them.
    assert two_stacks.apply().plan is None
    assert find_prospect(two_stacks.ctx, two_stacks.store, (), ANY_AGE).current


def test_only_the_stacks_of_the_named_models_are_made_anew(two_stacks: Application) -> None:
    two_stacks.publish("5.22.3")
    two_stacks.publish("4.47.1")
    updated = two_stacks.update(OTHER)
    assert [(item.stack, item.active, item.new) for item in updated.prospect.available] == [
        ("transformers-4.47", "4.46.3", "4.47.1")
    ]
    assert two_stacks.smoked == ["5.22.2", "4.47.1"]
    assert two_stacks.apply().plan is None


def test_one_model_that_reads_worse_discards_all_of_the_trial(two_stacks: Application) -> None:
    two_stacks.publish("5.22.3")
    two_stacks.publish("4.47.1")
    two_stacks.verdicts["4.47.1"] = Verdict.FAIL
    before = two_stacks.hash_state()
    updated = two_stacks.update()
    assert updated.trial is not None
    assert updated.trial.reason == f"{OTHER}: fail, was pass: as it reads"
    assert two_stacks.hash_state() == before
    # What can be had without the model that breaks is had by naming the others.
    assert two_stacks.update(MODEL).generation.number == 3


def test_a_repair_after_an_update_does_not_go_back_to_the_pins(application: Application) -> None:
    application.publish("5.22.3")
    updated = application.update()
    [module] = application.store.stacks_dir.glob(
        "main-*/lib/python3*/site-packages/transformers-5.22.3*/RECORD"
    )
    module.unlink()
    situation = survey(application.ctx, application.store, "cpu", [MODEL])
    assert situation.problem is not None
    found = resolve_active(application.ctx, application.store, situation)
    assert found is not None
    [stack] = found.stacks
    assert stack.lock.sha256 == updated.generation.stacks[0].lock_sha256
    assert stack.spec.requirements == ("accelerate==1.15.0", "pillow==13.0.0", "transformers==5.22.3")
    build_stack(application.ctx, application.store, stack)
    assert application.apply().plan is None


def test_what_is_wanted_anew_is_not_taken_from_the_active_generation(application: Application) -> None:
    situation = survey(application.ctx, application.store, "cpu", [MODEL])
    for other in (replace(situation, fingerprint="other"), replace(situation, active=None)):
        assert resolve_active(application.ctx, application.store, other) is None


def test_what_reads_worse_is_removed_and_not_tried_again(application: Application) -> None:
    application.publish("5.22.3")
    application.verdicts["5.22.3"] = Verdict.DEGRADED
    before = application.hash_state()
    updated = application.update()
    reason = f"{MODEL}: degraded, was pass: as it reads"
    assert updated.trial is not None
    assert (updated.trial.verdict, updated.trial.reason) == (TrialVerdict.DISCARDED, reason)
    assert application.hash_state() == before
    [record] = load_trials(application.store.state_dir)
    assert (record.verdict, record.reason) == (TrialVerdict.DISCARDED, reason)
    assert record.packages == ("transformers 5.22.2 -> 5.22.3",)
    again = application.update()
    assert (again.trial, again.prospect.tried) == (None, record)
    assert application.smoked == ["5.22.3"]
    application.verdicts.clear()
    assert application.update(retry=True).generation.number == 2


def test_a_newer_version_than_the_one_that_was_discarded_is_tried(application: Application) -> None:
    application.publish("5.22.3")
    application.verdicts["5.22.3"] = Verdict.FAIL
    application.update()
    application.publish("5.22.4")
    assert application.update().generation.number == 2
    assert application.smoked == ["5.22.3", "5.22.4"]


def fail_import(*_: object) -> None:
    raise ToolError("python cannot import transformers: ImportError: broken")


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def compute_wrong(_ctx: Context, interpreter: Path) -> tuple[Finding, ...]:
    """The active stack is right, the trial's attention is not."""
    wrong = list(interpreter.parent.parent.glob("lib/python3*/site-packages/transformers-5.22.3*"))
    severity = Severity.FAIL if wrong else Severity.PASS
    return (Finding(id="deep.sdpa-math", severity=severity, evidence="relative error 1"),)


@pytest.mark.parametrize(
    ("name", "port", "reason"),
    [
        ("verify_imports", fail_import, "python cannot import transformers: ImportError: broken"),
        ("smoke_stack", fail_import, "python cannot import transformers: ImportError: broken"),
        ("_compute", compute_wrong, "deep.sdpa-math: relative error 1"),
    ],
)
def test_a_stack_that_cannot_work_is_discarded(
    application: Application,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    port: Callable[..., object],
    reason: str,
) -> None:
    application.publish("5.22.3")
    before = application.hash_state()
    monkeypatch.setattr(f"provision.actions.update.{name}", port)
    updated = application.update()
    assert updated.trial is not None
    assert (updated.trial.reason, updated.generation.number) == (reason, 1)
    assert application.hash_state() == before


def test_what_the_active_stack_computes_wrong_too_is_no_reason(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    application.publish("5.22.3")
    wrong = (Finding(id="deep.cudnn", severity=Severity.FAIL, evidence="no such library"),)
    monkeypatch.setattr("provision.actions.update._compute", lambda *_: wrong)
    assert application.update().generation.number == 2


@pytest.mark.parametrize("name", ["verify_imports", "smoke_stack", "build_record", "promote"])
def test_ctrl_c_leaves_no_trace(application: Application, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    application.publish("5.22.3")
    before = application.hash_state()
    with monkeypatch.context() as patched:
        patched.setattr(f"provision.actions.update.{name}", interrupt)
        with pytest.raises(KeyboardInterrupt):
            application.update()
    assert application.hash_state() == before
    assert load_trials(application.store.state_dir) == ()
    assert application.update().generation.number == 2


def test_ctrl_c_right_after_the_commit_keeps_what_is_active(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    from provision.actions.activate import promote

    def promote_and_stop(store: Store, record: GenerationRecord, locks: dict[str, str]) -> None:
        promote(store, record, locks)
        raise KeyboardInterrupt

    application.publish("5.22.3")
    monkeypatch.setattr("provision.actions.update.promote", promote_and_stop)
    with pytest.raises(KeyboardInterrupt):
        application.update()
    active = application.store.load_active()
    assert active is not None
    assert active.number == 2
    assert (application.store.state_dir / active.stacks[0].path / "provision-stack.json").exists()


def test_no_is_an_answer(application: Application) -> None:
    application.publish("5.22.3")
    before = application.hash_state()

    def refuse(_prospect: object) -> None:
        raise InterruptedByUserError("not confirmed")

    with pytest.raises(InterruptedByUserError):
        update(application.ctx, (), ANY_AGE, agree=refuse)
    assert application.hash_state() == before


def test_looking_changes_nothing_and_tells_what_lies_outside(application: Application) -> None:
    application.publish("5.22.3")
    application.publish("6.0.0")
    before = application.hash_state()
    prospect = find_prospect(application.ctx, application.store, (), ANY_AGE)
    assert [(item.name, item.active, item.new) for item in prospect.available] == [
        ("transformers", "5.22.2", "5.22.3")
    ]
    assert prospect.outside == (
        Outside(
            name="transformers",
            active="5.22.2",
            latest="6.0.0",
            reason="the profile's bound is transformers>=5.18,<6",
        ),
    )
    assert prospect.current
    assert application.hash_state() == before


def test_where_the_active_version_is_gone_nothing_goes_back_or_beyond_the_bounds(
    application: Application,
) -> None:
    """As with one that is younger than the cut-off: it is no candidate. The embedded model would take 6.0.0."""
    application.publish("5.22.3")
    application.update()
    (application.wheels / "transformers-5.22.3-py3-none-any.whl").unlink()
    assert application.update().prospect.available == ()
    application.publish("6.0.0")
    assert application.update().prospect.available == ()


def test_a_model_that_the_generation_has_not_is_refused(application: Application) -> None:
    with pytest.raises(UsageError) as caught:
        application.update("qwen_vl_2b")
    assert caught.value.message == "generation 1 has no model 'qwen_vl_2b'"
    assert caught.value.hint == "it has tiny_qwen2_vl"


def test_without_a_generation_there_is_nothing_to_update(tmp_path: Path) -> None:
    ctx = make_context(tmp_path, {})
    for ask in (
        lambda: update(ctx, (), ANY_AGE),
        lambda: find_prospect(ctx, Store(tmp_path), (), ANY_AGE),
    ):
        with pytest.raises(StateError) as caught:
            ask()
        assert caught.value.message == f"nothing was applied in {tmp_path}"
    assert list(tmp_path.iterdir()) == []


def test_a_profile_that_changed_comes_before_an_update(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    application.publish("5.22.3")
    monkeypatch.setattr("provision.core.planner._FINGERPRINT_VERSION", 2)
    before = application.hash_state()
    with pytest.raises(StateError) as caught:
        application.update()
    assert caught.value.message == (
        "the machine, the profile or a model has changed since generation 1 was verified"
    )
    assert not find_prospect(application.ctx, application.store, (), ANY_AGE).current
    assert application.hash_state() == before


def test_bounds_decide_no_fingerprint(application: Application) -> None:
    from provision.core.planner import _decide
    from tests.support.profiles import PROFILES

    assert "bounds" not in _decide(PROFILES[0])
