"""A user's venv is changed in place by real uv, or is afterwards exactly what it was."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
import yaml
from msgspec.structs import replace

from provision.actions import into, into_recover, into_verify
from provision.actions.into import apply_into
from provision.actions.into_recover import check_environment_stack, recover_into
from provision.actions.into_undo import undo_into
from provision.actions.recover import recover
from provision.errors import (
    ApplyFailedError,
    DownloadError,
    RollbackFailedError,
    StateError,
    ToolError,
    UsageError,
)
from provision.model.into import IntoPlan
from provision.model.smoke import Verdict
from provision.system.into_marker import lay_mark
from provision.system.store import Store
from tests.actions.into.conftest import change
from tests.support.into_environment import (
    REPOSITORY,
    answer_smoke,
    build_wheels,
    find_site,
    make_context,
    make_environment,
    make_request,
    read_state,
)
from tests.support.reports import Recorder


def list_installed(environment: Path) -> dict[str, str]:
    found = (path.name.removesuffix(".dist-info") for path in find_site(environment).glob("*.dist-info"))
    return {name: version for name, _, version in (stem.partition("-") for stem in found)}


def find_into_dir(root: Path) -> Path:
    return next((root / ".provision" / "into").iterdir())


def test_the_profile_comes_and_what_is_the_users_stays(root: Path, wheels: Path, environment: Path) -> None:
    changed = change(root, wheels, environment)
    assert list_installed(environment) == {
        "accelerate": "1.15.0",
        "added_one": "1.0",
        "einops": "0.8.0",
        "foreign": "1.0",
        "pillow": "13.0.0",
        "torch": "2.13.0+cpu",
        "transformers": "5.22.2",
    }
    assert changed.changed
    config = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))
    managed = config["provision"]["models"]["tiny_qwen2_vl"]
    assert (managed["stack"], managed["interpreter"]) == ("into", str(environment / "bin" / "python"))
    assert (find_site(environment) / "torch" / "notes.txt").exists()
    assert not (environment / ".provision-into.json").exists()


def test_the_plan_says_what_goes_and_why(root: Path, wheels: Path, environment: Path) -> None:
    before = read_state(environment)
    plan = change(root, wheels, environment / "bin" / "python", dry_run=True).plan
    assert read_state(environment) == before
    assert [(one.kind.value, one.name, one.before, one.after, one.reason) for one in plan.changes] == [
        ("add", "accelerate", None, "1.15.0", ""),
        ("add", "added-one", None, "1.0", ""),
        ("remove", "flash-attn", "2.7.3", None, "flash-attn needs a torch that is built for CUDA"),
        (
            "remove",
            "nvidia-cublas-cu12",
            "12.6.4.1",
            None,
            "only torch 2.7.0 and its libraries asked for it",
        ),
        ("change", "pillow", "11.0.0", "13.0.0", ""),
        ("change", "torch", "2.7.0", "2.13.0+cpu", ""),
        (
            "remove",
            "torchaudio",
            "2.7.0",
            None,
            "it is built for torch==2.7.0, and nothing that stays asks for it",
        ),
        ("change", "transformers", "4.51.3", "5.22.2", ""),
    ]
    assert plan.kept == ("einops", "foreign")
    assert [one.sentence for one in plan.conflicts] == [
        "foreign asks for pillow<12, and 13.0.0 would be installed"
    ]


def test_a_second_time_there_is_nothing_to_do(root: Path, wheels: Path, environment: Path) -> None:
    change(root, wheels, environment)
    before = read_state(environment)
    again = change(root, wheels, environment)
    assert (again.changed, again.plan.changes) == (False, ())
    assert read_state(environment) == before


def test_a_model_that_does_not_read_puts_everything_back(
    root: Path, wheels: Path, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_state(environment)
    monkeypatch.setattr(into_verify, "smoke_stack", answer_smoke(Verdict.FAIL, "the text begins '!!!!'"))
    with pytest.raises(ApplyFailedError) as failure:
        change(root, wheels, environment)
    said = f"{environment} is as it was before: tiny_qwen2_vl: the text begins '!!!!'"
    assert failure.value.message == said
    assert read_state(environment) == before
    assert not (root / "config.yaml").exists()
    assert list(find_into_dir(root).iterdir()) == []


@pytest.mark.parametrize(
    ("step", "error", "reason"),
    [
        ("install_lists", KeyboardInterrupt(), "it was interrupted"),
        ("verify_and_record", ToolError("uv said no"), "uv said no"),
        ("describe_finished", ValueError("x"), "a bug in provision: ValueError: x"),
        ("promote", OSError(28, "No space left on device"), "No space left on device: "),
        ("promote", KeyboardInterrupt(), "it was interrupted"),
    ],
)
def test_whatever_ends_a_change_puts_everything_back(
    root: Path,
    wheels: Path,
    environment: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    error: BaseException,
    reason: str,
) -> None:
    before = read_state(environment)
    real = getattr(into, step)

    def end(*arguments: object, **options: object) -> None:
        if step != "promote":
            real(*arguments, **options)
        raise error

    monkeypatch.setattr(into, step, end)
    with pytest.raises(ApplyFailedError) as failure:
        change(root, wheels, environment)
    assert failure.value.message.startswith(f"{environment} is as it was before: {reason}")
    assert read_state(environment) == before
    assert not (root / "config.yaml").exists()


def test_an_interruption_after_the_commit_lets_the_change_stand(
    root: Path, wheels: Path, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = into.promote

    def promote(*arguments: object) -> None:
        real(*arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(into, "promote", promote)
    assert change(root, wheels, environment).changed
    assert list_installed(environment)["torch"] == "2.13.0+cpu"
    assert Store(root).load_active_number() == 1


def test_a_download_that_fails_touches_nothing(root: Path, tmp_path: Path, environment: Path) -> None:
    wheels = build_wheels(tmp_path / "other")
    before = read_state(environment)
    ctx = make_context(root, wheels)

    def spoil(_plan: IntoPlan) -> None:
        next(wheels.glob("transformers-5*")).write_bytes(b"no wheel")
        shutil.rmtree(root.parent / "cache")

    with pytest.raises(DownloadError, match="uv could not install the locked packages"):
        apply_into(ctx, make_request(ctx), environment, agree=spoil)
    assert read_state(environment) == before
    assert list(find_into_dir(root).iterdir()) == []


def test_who_does_not_agree_changes_nothing(root: Path, wheels: Path, environment: Path) -> None:
    before = read_state(environment)

    def refuse(_plan: IntoPlan) -> None:
        raise UsageError("no")

    with pytest.raises(UsageError, match="no"):
        change(root, wheels, environment, agree=refuse)
    assert read_state(environment) == before


def test_flash_attention_stays_where_it_is_judged_to_fit(root: Path, wheels: Path, environment: Path) -> None:
    changed = change(root, wheels, environment, judge=lambda version: (version == "2.7.3", "verified here"))
    assert list_installed(environment)["flash_attn"] == "2.7.3"
    assert "flash-attn" in changed.plan.kept


def test_what_is_asked_for_by_packages_that_stay_is_looked_for_first(
    root: Path, tmp_path: Path, environment: Path
) -> None:
    """numpy is nobody's pin: the lock takes the one that the user's package can live with."""
    from tests.support.wheels import build_wheel

    wheels = build_wheels(tmp_path / "other")
    build_wheel(wheels, "accelerate", "1.15.0", requires=("numpy",))
    build_wheel(wheels, "numpy", "2.0.0")
    build_wheel(wheels, "numpy", "1.26.0")
    build_wheel(wheels, "needs_old_numpy", "1.0", requires=("numpy<2",))
    other = make_environment(tmp_path / "second", wheels, "numpy<2", "needs-old-numpy")
    plan = change(root, wheels, other, dry_run=True).plan
    assert "numpy" in plan.unchanged
    assert [one.package for one in plan.conflicts] == ["foreign"]


def test_undo_takes_the_last_change_back(root: Path, wheels: Path, environment: Path) -> None:
    before = read_state(environment)
    change(root, wheels, environment)
    finished = undo_into(make_context(root, wheels), environment).finished
    assert finished is not None
    assert (finished.profile, finished.generation) == ("cpu", 1)
    assert read_state(environment) == before
    with pytest.raises(StateError, match="no change of .* is there to be undone"):
        undo_into(make_context(root, wheels), environment)


def test_undo_finishes_what_could_not_be_put_back(
    root: Path, wheels: Path, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_state(environment)
    monkeypatch.setattr(into_verify, "smoke_stack", answer_smoke(Verdict.FAIL, "nothing was read"))
    monkeypatch.setattr(into_recover, "restore_snapshot", lambda *_: ["venv/a: Input/output error", "b", "c"])
    with pytest.raises(
        RollbackFailedError, match="could not be put back: venv/a: Input/output error and 2 more"
    ):
        change(root, wheels, environment)
    assert list_installed(environment)["torch"] == "2.13.0+cpu"
    monkeypatch.undo()
    assert undo_into(make_context(root, wheels), environment).finished is None
    assert read_state(environment) == before


def test_a_generation_in_an_environment_is_whole_until_somebody_changes_it(
    root: Path, wheels: Path, environment: Path
) -> None:
    change(root, wheels, environment)
    store = Store(root)
    assert check_environment_stack(store, 1, environment) is None
    undo_into(make_context(root, wheels), environment)
    assert check_environment_stack(store, 1, environment) == "accelerate 1.15.0 is not installed"
    change(root, wheels, environment)
    assert check_environment_stack(store, 2, environment) is None
    module = find_site(environment) / "accelerate" / "__init__.py"
    module.unlink()
    path = module.relative_to(environment).as_posix()
    assert check_environment_stack(store, 2, environment) == f"{path} is not as it was left"


def test_undo_refuses_what_was_changed_since(root: Path, wheels: Path, environment: Path) -> None:
    change(root, wheels, environment)
    module = find_site(environment) / "transformers" / "__init__.py"
    module.unlink()
    module.write_text("# mine\n", encoding="ascii")
    with pytest.raises(StateError) as failure:
        undo_into(make_context(root, wheels), environment)
    site = find_site(environment).relative_to(environment).as_posix()
    assert failure.value.message == (
        f"{environment} was changed since 2026-11-21T12:00:00+00:00, so that change cannot be taken back: "
        f"{site}/transformers/__init__.py"
    )


def test_a_snapshot_that_was_damaged_is_told_and_kept(
    root: Path, wheels: Path, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        blobs = find_into_dir(root) / "1" / "files"
        for blob in blobs.iterdir():
            if blob.stat().st_size == 2_000_000:
                blob.chmod(0o644)
                blob.write_bytes(b"!" * 2_000_000)
        raise ToolError("broken")

    monkeypatch.setattr(into_verify, "verify_imports", fail)
    with pytest.raises(RollbackFailedError) as failure:
        change(root, wheels, environment)
    snapshot = find_into_dir(root) / "1"
    module = find_site(environment) / "nvidia_cublas_cu12" / "__init__.py"
    assert failure.value.message == (
        f"the change failed (broken), and {environment} could not be put back: {module}: what was saved of it "
        f"has other content than it had. The snapshot is {snapshot}"
    )
    assert failure.value.hint == f"provision apply auto --into {environment} --undo   # tries again"
    assert (snapshot / "manifest.json").exists()


def test_another_application_that_was_cut_short_is_named(
    root: Path, wheels: Path, environment: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other" / ".provision"
    lay_mark(environment, other)
    with pytest.raises(StateError) as failure:
        change(root, wheels, environment)
    assert failure.value.message == (
        f"a change of {environment} by the application in {tmp_path / 'other'} is under way or was cut short"
    )


def start_change(root: Path, environment: Path, wheels: Path) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "tests.support.into_environment", str(root), str(environment), str(wheels)]
    return subprocess.Popen(argv, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def check_after_kill(
    root: Path, wheels: Path, environment: Path, before: dict[str, tuple[object, ...]]
) -> str:
    """The next command finds either the former environment or the new one, whole."""
    ctx, store = make_context(root, wheels), Store(root)
    recover(ctx, store)
    recover_into(ctx, store)
    if store.load_active_number() is None:
        assert read_state(environment) == before
        return "restored"
    assert list_installed(environment)["torch"] == "2.13.0+cpu"
    assert list_installed(environment)["transformers"] == "5.22.2"
    assert not (environment / ".provision-into.json").exists()
    return "changed"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_instant_the_next_command_puts_it_back(
    root: Path, wheels: Path, environment: Path, seed: int
) -> None:
    """While it is being changed; the slow test beside this one takes any instant."""
    before = read_state(environment)
    process = start_change(root, environment, wheels)
    while process.poll() is None and not list(root.glob(".provision/into/*/journal.json")):
        time.sleep(0.001)
    time.sleep(Random(seed).uniform(0, 0.8))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert check_after_kill(root, wheels, environment, before) == "restored"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_killed_forty_times(root: Path, wheels: Path, environment: Path) -> None:
    before, random = read_state(environment), Random(40)
    outcomes = []
    for _ in range(40):
        process = start_change(root, environment, wheels)
        time.sleep(random.uniform(0.2, 4.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
        outcomes.append(check_after_kill(root, wheels, environment, before))
        if outcomes[-1] == "changed":
            undo_into(make_context(root, wheels), environment)
            shutil.rmtree(root / ".provision")
        assert read_state(environment) == before
    assert "restored" in outcomes


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_an_environment_that_may_not_be_written_is_refused(
    root: Path, wheels: Path, environment: Path
) -> None:
    site = find_site(environment)
    site.chmod(0o555)
    try:
        with pytest.raises(UsageError, match="may not be written to"):
            change(root, wheels, environment)
    finally:
        site.chmod(0o755)


def test_progress_names_what_happens(root: Path, wheels: Path, environment: Path) -> None:
    ctx = make_context(root, wheels)
    apply_into(ctx, make_request(ctx), environment)
    assert isinstance(ctx.reporter, Recorder)
    steps = [line.removeprefix("step: ") for line in ctx.reporter.lines if line.startswith("step: ")]
    assert steps == [
        f"looking at {environment}",
        "looking at the machine",
        "resolving packages for profile cpu",
        "bringing the weights",
        "fetching the new packages",
        f"saving what will change in {environment}",
        f"changing {environment}",
        "importing what was installed",
        "letting the models read",
    ]


def test_a_model_that_needs_another_environment_is_refused(
    root: Path, wheels: Path, environment: Path
) -> None:
    ctx = make_context(root, wheels)
    request = replace(make_request(ctx), models=("no_such_model",))
    with pytest.raises(UsageError, match="there is no model 'no_such_model' in the catalogue"):
        apply_into(ctx, request, environment)
