"""Two applications at one environment, kills, damaged records: one whole state each time, and it is told."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from provision.actions import into, into_change, plan
from provision.actions.gc import Garbage, collect
from provision.actions.generations import list_generations
from provision.actions.into import apply_into
from provision.actions.into_recover import check_environment_stack, find_cut_changes, recover_into
from provision.actions.into_undo import undo_into
from provision.actions.recover import recover
from provision.actions.state_views import load_active, look_at_state
from provision.errors import StateError, UsageError
from provision.model.into import CutChange, CutKind, IntoPlan, Journal
from provision.system.into_marker import lay_mark
from provision.system.into_store import IntoStore
from provision.system.store import Store
from tests.actions.into.conftest import change
from tests.support.into_environment import (
    REPOSITORY,
    find_site,
    make_context,
    make_request,
    read_state,
)
from tests.support.reports import Recorder

MARK = ".provision-into.json"


def clean(root: Path, wheels: Path, *, dry_run: bool = False) -> tuple[Garbage, list[str]]:
    """What `gc` frees, and what it warns of."""
    ctx = make_context(root, wheels)
    garbage = collect(ctx, dry_run=dry_run, approve=lambda _garbage: None)
    return garbage, list_warnings(ctx.reporter)


def list_warnings(reporter: object) -> list[str]:
    assert isinstance(reporter, Recorder)
    return [line.removeprefix("warn: ") for line in reporter.lines if line.startswith("warn: ")]


def find_into_dir(root: Path) -> Path:
    return next((root / ".provision" / "into").iterdir())


def start_change(root: Path, wheels: Path, environment: Path, *more: Path) -> subprocess.Popen[str]:
    argv = [
        sys.executable,
        "-m",
        "tests.support.into_environment",
        *map(str, (root, environment, wheels, *more)),
    ]
    return subprocess.Popen(argv, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)


def kill_when(root: Path, wheels: Path, environment: Path, reached: str) -> None:
    """Start a change, and kill it as soon as a path below `.provision/into/HASH` is there."""
    with start_change(root, wheels, environment) as process:
        deadline = time.monotonic() + 60
        while not list(root.glob(f".provision/into/*/{reached}")) and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.001)
        process.kill()


def read_journal(root: Path) -> Journal:
    return msgspec.json.decode((find_into_dir(root) / "journal.json").read_bytes(), type=Journal)


def kill_while_changing(root: Path, wheels: Path, environment: Path) -> None:
    """As a kill leaves it: some of the files are gone, and a journal tells of it."""

    class Killed(BaseException):
        pass

    def install(*_arguments: object) -> None:
        shutil.rmtree(find_site(environment) / "transformers")
        raise Killed

    def put_back(*_arguments: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(into, "install_lists", install)
        patch.setattr(into, "_put_back", put_back)
        with pytest.raises(Killed):
            change(root, wheels, environment)


def test_of_two_applications_at_once_one_changes_it(wheels: Path, environment: Path, tmp_path: Path) -> None:
    before, go = read_state(environment), tmp_path / "go"
    roots = [tmp_path / "one", tmp_path / "two"]
    for root in roots:
        root.mkdir()
    processes = [start_change(root, wheels, environment, go) for root in roots]
    while not all((root / "planned").exists() for root in roots):
        assert all(process.poll() is None for process in processes)
        time.sleep(0.01)
    go.touch()
    said = [process.communicate(timeout=60)[1] for process in processes]
    codes = [process.returncode for process in processes]
    assert sorted(codes) == [0, 6]
    winner, loser = roots[codes.index(0)], roots[codes.index(6)]
    assert said[codes.index(6)].strip() in (
        f"a change of {environment} by the application in {winner} is under way or was cut short",
        f"{environment} was changed by somebody else since the plan was made",
    )
    assert not (loser / "config.yaml").exists()
    assert list((loser / ".provision").glob("into/*/*")) == []
    assert not (environment / MARK).exists()
    undo_into(make_context(winner, wheels), environment)
    assert read_state(environment) == before


def test_while_one_changes_it_another_application_is_refused_and_leaves_the_mark(
    root: Path, wheels: Path, environment: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()

    def agree(_plan: IntoPlan) -> None:
        lay_mark(environment, other / ".provision")

    with pytest.raises(StateError) as failure:
        change(root, wheels, environment, agree=agree)
    said = f"a change of {environment} by the application in {other} is under way or was cut short"
    assert failure.value.message == said
    assert failure.value.hint == (
        f"provision apply auto --into {environment} --undo --root {other}   # puts it back"
    )
    assert (environment / MARK).exists()
    # That one was killed before it wrote anything down: what the hint names takes its mark away.
    ctx = make_context(other, wheels)
    with pytest.raises(StateError, match="no change of .* is there to be undone"):
        undo_into(ctx, environment)
    assert list_warnings(ctx.reporter) == [
        f"{environment} was marked as being changed, and nothing tells of it; the mark is gone"
    ]
    assert change(root, wheels, environment).changed


def test_a_mark_that_cannot_be_read_is_somebodys(root: Path, wheels: Path, environment: Path) -> None:
    (environment / MARK).touch()
    with pytest.raises(StateError) as failure:
        change(root, wheels, environment)
    mark = environment / MARK
    assert failure.value.message == f"{mark} says that {environment} is being changed, and cannot be read"
    assert failure.value.hint == f"rm {mark}   # when no apply --into of it runs"
    assert mark.exists()


def test_what_changes_while_the_plan_is_read_stops_it(root: Path, wheels: Path, environment: Path) -> None:
    def agree(_plan: IntoPlan) -> None:
        shutil.rmtree(find_site(environment) / "einops-0.8.0.dist-info")

    with pytest.raises(StateError, match="was changed by somebody else since the plan was made"):
        change(root, wheels, environment, agree=agree)
    assert not (environment / MARK).exists()
    assert list(root.glob(".provision/into/*/*")) == []


def test_killed_while_it_fetches_nothing_was_touched_and_gc_says_so(
    root: Path, wheels: Path, environment: Path
) -> None:
    before = read_state(environment)
    kill_when(root, wheels, environment, "1/stage")
    assert read_journal(root) == Journal(prefix=str(environment), snapshot="1", staging=True)
    said = f"a change of {environment} was cut short before anything of it was touched"
    assert clean(root, wheels, dry_run=True)[1] == [said]
    assert clean(root, wheels)[1] == [
        f"an earlier change of {environment} was cut short before anything of it was touched"
    ]
    assert read_state(environment) == before
    assert list(find_into_dir(root).iterdir()) == []
    assert find_cut_changes(Store(root)) == ()


def test_a_snapshot_that_nothing_names_is_a_leftover(root: Path, wheels: Path, environment: Path) -> None:
    change(root, wheels, environment)
    folder = find_into_dir(root)
    (folder / "7" / "stage").mkdir(parents=True)
    (folder / "7" / "stage" / "torch.bin").write_bytes(b"!" * 10_000)
    store = Store(root)
    assert look_at_state(store, load_active(store)).leftovers == (f"into/{folder.name}/7",)
    garbage, _ = clean(root, wheels)
    assert [(item.kind.value, item.name) for item in garbage.items] == [("leftover", f"into/{folder.name}/7")]
    assert sorted(path.name for path in folder.iterdir()) == ["1", "finished.json"]


def test_the_snapshot_of_an_environment_that_is_gone_goes(
    root: Path, wheels: Path, environment: Path
) -> None:
    change(root, wheels, environment)
    name = f"into/{find_into_dir(root).name}"
    assert clean(root, wheels)[0].items == ()
    shutil.rmtree(environment)
    garbage, warnings = clean(root, wheels)
    assert [(item.kind.value, item.name) for item in garbage.items] == [("snapshot", name)]
    assert warnings == [f"{name} would put {environment} back, which is not there any more"]
    assert list((root / ".provision" / "into").iterdir()) == []


def test_a_change_that_was_cut_short_is_told_everywhere(root: Path, wheels: Path, environment: Path) -> None:
    kill_while_changing(root, wheels, environment)
    cut = CutChange(kind=CutKind.CHANGING, place=str(environment))
    assert cut.sentence == f"a change of {environment} was cut short, and it may be half changed"
    store, ctx = Store(root), make_context(root, wheels)
    assert look_at_state(store, load_active(store)).cut_changes == (cut,)
    assert list_generations(ctx) == ()
    assert list_warnings(ctx.reporter) == [cut.sentence]
    assert clean(root, wheels, dry_run=True)[1] == [cut.sentence]


def test_a_damaged_journal_is_made_anew_from_the_snapshot(
    root: Path, wheels: Path, environment: Path
) -> None:
    before = read_state(environment)
    kill_while_changing(root, wheels, environment)
    journal = find_into_dir(root) / "journal.json"
    journal.write_text("{", encoding="ascii")
    _, warnings = clean(root, wheels)
    assert warnings == [
        f"{journal} cannot be read; the snapshot beside it tells what to put back",
        f"an earlier change of {environment} was cut short; it is as it was before",
    ]
    assert read_state(environment) == before
    assert change(root, wheels, environment).changed


def test_a_damaged_journal_with_no_snapshot_names_itself(root: Path, wheels: Path, environment: Path) -> None:
    kill_while_changing(root, wheels, environment)
    journal = find_into_dir(root) / "journal.json"
    journal.write_text("{", encoding="ascii")
    (find_into_dir(root) / "1" / "manifest.json").unlink()
    said = f"{journal} cannot be read, nor do the snapshots beside it tell which change it was of"
    with pytest.raises(StateError) as failure:
        clean(root, wheels)
    assert failure.value.message == said
    assert failure.value.hint == f"rm {journal}   # and with it the way back to what the environment was"
    ctx = make_context(root, wheels)
    assert list_generations(ctx) == ()
    assert list_warnings(ctx.reporter) == [said]


def test_a_damaged_record_of_a_finished_change_is_set_aside(
    root: Path, wheels: Path, environment: Path
) -> None:
    change(root, wheels, environment)
    finished = find_into_dir(root) / "finished.json"
    finished.write_text("{", encoding="ascii")
    said = f"{finished} cannot be read, so the change that it tells of can be undone no more"
    ctx = make_context(root, wheels)
    assert [(row.number, row.whole) for row in list_generations(ctx)] == [(1, True)]
    assert list_warnings(ctx.reporter) == [said]
    garbage, warnings = clean(root, wheels)
    assert warnings == [f"{said}; it is set aside"]
    assert [item.name for item in garbage.items] == [f"into/{find_into_dir(root).name}/1"]
    assert [path.name for path in find_into_dir(root).iterdir()] == ["finished.damaged"]
    with pytest.raises(StateError, match="no change of .* is there to be undone"):
        undo_into(make_context(root, wheels), environment)
    assert not change(root, wheels, environment).changed


def test_a_record_that_cannot_be_completed_after_the_commit_is_a_warning(
    root: Path, wheels: Path, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_into: IntoStore, _record: object) -> None:
        raise OSError(28, "No space left on device", "finished.json")

    ctx = make_context(root, wheels)
    with monkeypatch.context() as patch:
        patch.setattr(IntoStore, "finish", refuse)
        assert apply_into(ctx, make_request(ctx), environment).changed
    assert list_warnings(ctx.reporter) == [
        f"the change of {environment} stands, and its record could not be completed: "
        "No space left on device: finished.json; the next command completes it"
    ]
    assert find_cut_changes(Store(root)) == (CutChange(kind=CutKind.VERIFIED, place=str(environment)),)
    recover_into(ctx, Store(root))
    assert undo_into(ctx, environment).finished is not None


def test_one_environment_by_two_names(root: Path, wheels: Path, environment: Path, tmp_path: Path) -> None:
    before = read_state(environment)
    change(root, wheels, environment)
    (tmp_path / "link").symlink_to(environment)
    assert undo_into(make_context(root, wheels), tmp_path / "link").finished is not None
    assert read_state(environment) == before


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_asked_to_end_it_puts_everything_back_and_ends_with_7(
    root: Path, wheels: Path, environment: Path
) -> None:
    before = read_state(environment)
    with start_change(root, wheels, environment) as process:
        deadline = time.monotonic() + 60
        while not list(root.glob(".provision/into/*/1/manifest.json")) and time.monotonic() < deadline:
            time.sleep(0.001)
        while read_journal(root).staging:
            time.sleep(0.001)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
    assert said == f"{environment} is as it was before: it was interrupted\n"
    assert process.returncode == 7
    assert read_state(environment) == before


def test_the_environment_that_the_tool_runs_in_is_refused(root: Path, wheels: Path) -> None:
    with pytest.raises(UsageError) as failure:
        change(root, wheels, Path(sys.prefix), dry_run=True)
    said = f"provision itself runs in {sys.prefix}, and would be changed under its own feet"
    assert failure.value.message == said


def test_a_mistyped_name_creates_nothing(root: Path, wheels: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no environment at"):
        change(root, wheels, tmp_path / "vnev", dry_run=True)
    assert list(root.iterdir()) == []


def test_a_model_that_nobody_can_ask_is_told_and_refused_before_anything_is_fetched(
    root: Path, wheels: Path, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "has_family", lambda *_: False)
    ctx = make_context(root, wheels)
    assert apply_into(ctx, make_request(ctx), environment, dry_run=True).pending
    assert list_warnings(ctx.reporter) == ["tiny_qwen2_vl cannot be smoked yet: no family 'qwen_vl'"]
    asked: list[IntoPlan] = []
    with pytest.raises(UsageError, match="tiny_qwen2_vl cannot be smoked yet"):
        change(root, wheels, environment, agree=asked.append)
    assert asked == []


def test_a_snapshot_that_has_no_room_says_how_much(
    root: Path, wheels: Path, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(into_change, "estimate_copied_bytes", lambda *_: 10**15)
    free = replace_usage(monkeypatch)
    with pytest.raises(StateError) as failure:
        change(root, wheels, environment)
    folder = find_into_dir(root) / "1"
    assert failure.value.message == (
        f"a snapshot of {environment} needs 1000000000.0 MB in {folder}, and {free} are free"
    )
    assert list(find_into_dir(root).iterdir()) == []


def replace_usage(monkeypatch: pytest.MonkeyPatch) -> str:
    usage = shutil.disk_usage("/")._replace(free=7_583_587)
    monkeypatch.setattr(into_change.shutil, "disk_usage", lambda _path: usage)
    return "7.6 MB"


def test_the_machine_is_kept_with_the_tools_own_python(root: Path, wheels: Path, environment: Path) -> None:
    change(root, wheels, environment)
    machine = Store(root).load_generation(1).machine
    assert machine is not None
    assert machine.python == ".".join(str(part) for part in sys.version_info[:3])
    assert machine.gpus == ()


@pytest.mark.parametrize(
    ("label", "problem"), [("cpu", None), ("cu130", "torch 2.13.0+cpu is not installed")]
)
def test_a_torch_is_the_same_by_what_its_files_say(
    root: Path, wheels: Path, environment: Path, label: str, problem: str | None
) -> None:
    """A wheel's METADATA may lack the label that the lock has; its version.py has it."""
    change(root, wheels, environment)
    (find_into_dir(root) / "finished.json").unlink()
    metadata = next(find_site(environment).glob("torch-2.13.0*.dist-info")) / "METADATA"
    text = metadata.read_text(encoding="utf-8").replace("Version: 2.13.0+cpu", "Version: 2.13.0")
    metadata.write_text(text, encoding="utf-8")
    version = find_site(environment) / "torch" / "version.py"
    version.write_text(f"__version__ = '2.13.0+{label}'\n", encoding="ascii")
    assert check_environment_stack(Store(root), 1, environment) == problem


def test_a_lock_without_a_label_asks_for_the_torch_that_was_verified(
    root: Path, wheels: Path, environment: Path
) -> None:
    change(root, wheels, environment)
    (find_into_dir(root) / "finished.json").unlink()
    store = Store(root)
    record = store.load_generation(1)
    lock = store.load_lock(1, "into")
    assert lock is not None
    store.save_locks(1, {"into": lock.replace("torch==2.13.0+cpu", "torch==2.13.0")})
    assert check_environment_stack(store, 1, environment) is None
    smoke = tuple(replace(result, torch="2.13.0+cu130") for result in record.smoke)
    path = store.state_dir / "generations" / "1" / "generation.json"
    path.write_bytes(msgspec.json.encode(replace(record, smoke=smoke)))
    assert check_environment_stack(store, 1, environment) == "torch 2.13.0 is not installed"


def test_what_another_application_works_in_is_not_put_back(
    root: Path, wheels: Path, environment: Path, tmp_path: Path
) -> None:
    """Somebody took our mark away and changed the environment with another application."""
    kill_while_changing(root, wheels, environment)
    (environment / MARK).unlink()
    lay_mark(environment, tmp_path / "other" / ".provision")
    before = read_state(environment)
    ctx, store = make_context(root, wheels), Store(root)
    recover(ctx, store)
    with pytest.raises(StateError, match="by the application in .*other is under way"):
        recover_into(ctx, store)
    assert read_state(environment) == before


@pytest.mark.parametrize("written", [None, ""])
def test_killed_before_the_mark_was_laid(
    root: Path, wheels: Path, environment: Path, written: str | None
) -> None:
    """The journal comes first: whatever is left of the mark, it is known whose it is."""
    before = read_state(environment)
    store = Store(root)
    into = IntoStore(store.state_dir, environment)
    into.save_journal(Journal(prefix=str(environment), snapshot=into.create_folder().name, staging=True))
    if written is not None:
        (environment / MARK).write_text(written, encoding="ascii")
    recover_into(make_context(root, wheels), store)
    assert read_state(environment) == before
    assert list(find_into_dir(root).iterdir()) == []
