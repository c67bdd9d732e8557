"""What a change may touch is saved and put back: bytes, modes, times, links, and nothing besides."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from provision.errors import UsageError
from provision.model.into import SavedKind, Scope, Snapshot
from provision.system.environment_restore import restore_snapshot
from provision.system.environment_scope import find_read_only, find_scope
from provision.system.environment_snapshot import (
    estimate_copied_bytes,
    list_states,
    load_snapshot,
    take_snapshot,
)
from tests.support.environments import Environment, write
from tests.support.into_environment import read_state

BIG = 1024 * 1024
SITE = "lib/python3.12/site-packages"


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """torch with a library and bytecode, a package that stays, and what is in no RECORD."""
    made = Environment(tmp_path)
    files = {
        "torch/__init__.py": "# torch\n",
        "torch/lib/libtorch.so": "x" * BIG,
        "../../../bin/torchrun": "#!/bin/sh\n",
    }
    made.install("torch", "2.7.0", files=files)
    made.install("mine", "1.0")
    write(made.site / "torch" / "__pycache__" / "__init__.cpython-312.pyc", "old bytecode")
    write(made.site / "torch" / "mine.txt", "not listed")
    write(made.site / "torch-2.7.0.dist-info" / "direct_url.json", "{}")
    (made.prefix / "bin" / "torchrun").chmod(0o755)
    return made


@pytest.fixture
def scope(environment: Environment, tmp_path: Path) -> Scope:
    """Of torch 2.7.0 going and torch 2.11.0 with a new package coming; one of its files is the user's own so far."""
    stage = Environment(tmp_path / "stage")
    new = {"torch/__init__.py": "# new\n", "torch/new/deep.py": "", "mine/__init__.py": "# overwritten\n"}
    stage.install("torch", "2.11.0", files=new)
    return find_scope(
        environment.prefix,
        outgoing={"torch"},
        stage=stage.prefix,
        site_dirs=[environment.site],
        scripts_dir=environment.prefix / "bin",
    )


def save(environment: Environment, scope: Scope, folder: Path) -> Snapshot:
    folder.mkdir()
    return take_snapshot(environment.prefix, folder, scope, freeze=("torch==2.7.0",), created="now")


def change(environment: Environment) -> None:
    """As uv would: what goes is unlinked, what comes is written, one file in place."""
    site = environment.site
    shutil.rmtree(site / "torch-2.7.0.dist-info")
    shutil.rmtree(site / "torch" / "lib")
    (site / "torch" / "__init__.py").unlink()
    (environment.prefix / "bin" / "torchrun").unlink()
    write(site / "torch" / "__init__.py", "# new\n")
    write(site / "torch" / "new" / "deep.py", "")
    write(site / "torch" / "new" / "__pycache__" / "deep.cpython-312.pyc", "new bytecode")
    bytecode = site / "torch" / "__pycache__" / "__init__.cpython-312.pyc"
    bytecode.unlink()
    write(bytecode, "new bytecode")
    write(site / "mine" / "__init__.py", "# overwritten\n")
    write(site / "mine" / "__pycache__" / "__init__.cpython-312.pyc", "new bytecode")
    write(site / "torch-2.11.0.dist-info" / "METADATA", "")
    write(site / "torch-2.11.0.dist-info" / "RECORD", "")
    write(site / ".tmpA1b2C3" / "half", "")
    write(environment.prefix / ".lock", "")


def test_the_scope_names_what_goes_and_what_comes(scope: Scope) -> None:
    assert scope.unlinked == {
        ".lock",
        "bin/torchrun",
        f"{SITE}/torch-2.7.0.dist-info/INSTALLER",
        f"{SITE}/torch-2.7.0.dist-info/METADATA",
        f"{SITE}/torch-2.7.0.dist-info/RECORD",
        f"{SITE}/torch-2.7.0.dist-info/WHEEL",
        f"{SITE}/torch/__init__.py",
        f"{SITE}/torch/__pycache__/__init__.cpython-312.pyc",
        f"{SITE}/torch/lib/libtorch.so",
    }
    assert scope.written - {path for path in scope.written if ".dist-info" in path} == {
        f"{SITE}/mine/__init__.py",
        f"{SITE}/torch/__init__.py",
        f"{SITE}/torch/new/deep.py",
    }
    assert scope.info_dirs == {f"{SITE}/torch-2.7.0.dist-info", f"{SITE}/torch-2.11.0.dist-info"}
    assert scope.swept_dirs == ("bin", SITE)


def test_a_change_is_taken_back_exactly(environment: Environment, scope: Scope, tmp_path: Path) -> None:
    before = read_state(environment.prefix)
    times = {path: path.lstat().st_mtime_ns for path in (environment.site, environment.site / "torch")}
    snapshot = save(environment, scope, tmp_path / "1")
    change(environment)
    assert read_state(environment.prefix) != before
    assert restore_snapshot(environment.prefix, tmp_path / "1", snapshot) == []
    assert read_state(environment.prefix) == before
    assert {path: path.lstat().st_mtime_ns for path in times} == times
    assert restore_snapshot(environment.prefix, tmp_path / "1", snapshot) == []
    assert read_state(environment.prefix) == before


@pytest.mark.parametrize("steps", range(6))
def test_a_change_that_was_cut_short_is_taken_back_too(
    environment: Environment, scope: Scope, tmp_path: Path, steps: int
) -> None:
    before = read_state(environment.prefix)
    snapshot = save(environment, scope, tmp_path / "1")
    site = environment.site
    acts = [
        (site / "torch" / "__init__.py").unlink,
        lambda: shutil.rmtree(site / "torch"),
        lambda: shutil.rmtree(site / "torch-2.7.0.dist-info"),
        lambda: write(site / "torch" / "new" / "deep.py", ""),
        lambda: write(site / "torch-2.11.0.dist-info" / "METADATA", ""),
    ]
    for act in acts[:steps]:
        act()
    if steps > 1:
        # Not in any RECORD and not touched by uv: nobody saved it.
        write(site / "torch" / "mine.txt", "not listed")
        name = f"{SITE}/torch/mine.txt"
        before[name] = read_state(environment.prefix)[name]
    assert restore_snapshot(environment.prefix, tmp_path / "1", snapshot) == []
    assert read_state(environment.prefix) == before


def test_large_files_are_kept_by_a_second_name_and_what_is_written_over_is_copied(
    environment: Environment, scope: Scope, tmp_path: Path
) -> None:
    library = environment.site / "torch" / "lib" / "libtorch.so"
    snapshot = save(environment, scope, tmp_path / "1")
    linked = {entry.path for entry in snapshot.entries if entry.linked}
    assert linked == {
        f"{SITE}/torch/lib/libtorch.so",
        f"{SITE}/torch/__pycache__/__init__.cpython-312.pyc",
    }
    assert library.stat().st_nlink == 2
    assert snapshot.linked_bytes == BIG + len("old bytecode")
    assert estimate_copied_bytes(environment.prefix, tmp_path, scope) < BIG
    inode = library.stat().st_ino
    change(environment)
    restore_snapshot(environment.prefix, tmp_path / "1", snapshot)
    assert library.stat().st_ino == inode


def test_a_large_file_that_would_be_written_over_is_copied(environment: Environment, tmp_path: Path) -> None:
    write(environment.site / "orphan.so", "y" * BIG)
    path = f"{SITE}/orphan.so"
    scope = Scope(unlinked=frozenset(), written=frozenset({path}), info_dirs=frozenset(), swept_dirs=(SITE,))
    assert estimate_copied_bytes(environment.prefix, tmp_path, scope) == BIG
    snapshot = save(environment, scope, tmp_path / "1")
    (environment.site / "orphan.so").write_text("in place")
    assert restore_snapshot(environment.prefix, tmp_path / "1", snapshot) == []
    assert (environment.site / "orphan.so").read_text() == "y" * BIG


def test_a_file_that_a_package_that_stays_lists_too_is_copied(
    environment: Environment, tmp_path: Path
) -> None:
    """As nvidia-cudnn-cu12 and -cu13 do: uv leaves it where it is, and the new one is written over it."""
    environment.install("other", "1.0", files={"torch/lib/libtorch.so": "x" * BIG})
    write(environment.site / "torch" / "lib" / "__pycache__" / "stray.cpython-312.pyc", "bytecode")
    scope = find_scope(
        environment.prefix,
        outgoing={"torch"},
        stage=tmp_path / "no stage",
        site_dirs=[environment.site],
        scripts_dir=environment.prefix / "bin",
    )
    assert scope.shared == {f"{SITE}/torch/lib/libtorch.so"}
    assert f"{SITE}/torch/lib/__pycache__/stray.cpython-312.pyc" in scope.unlinked
    snapshot = save(environment, scope, tmp_path / "1")
    library = environment.site / "torch" / "lib" / "libtorch.so"
    library.write_text("in place")
    assert restore_snapshot(environment.prefix, tmp_path / "1", snapshot) == []
    assert library.read_text() == "x" * BIG


def test_what_was_saved_and_edited_since_is_told(
    environment: Environment, scope: Scope, tmp_path: Path
) -> None:
    snapshot = save(environment, scope, tmp_path / "1")
    library = environment.site / "torch" / "lib" / "libtorch.so"
    with library.open("r+b") as stream:
        stream.write(b"edited in place, and with it the only other name")
    assert restore_snapshot(environment.prefix, tmp_path / "1", snapshot) == [
        f"{library}: what was saved of it has other content than it had"
    ]


def test_bytecode_that_was_spoiled_goes(environment: Environment, scope: Scope, tmp_path: Path) -> None:
    snapshot = save(environment, scope, tmp_path / "1")
    bytecode = environment.site / "torch" / "__pycache__" / "__init__.cpython-312.pyc"
    write(bytecode, "in place")
    assert restore_snapshot(environment.prefix, tmp_path / "1", snapshot) == []
    assert not bytecode.exists()


def test_links_come_back_as_links(environment: Environment, tmp_path: Path) -> None:
    link = environment.site / "libtriton.so"
    link.symlink_to("torch/lib/libtorch.so")
    path = f"{SITE}/libtriton.so"
    scope = Scope(unlinked=frozenset({path}), written=frozenset(), info_dirs=frozenset(), swept_dirs=(SITE,))
    snapshot = save(environment, scope, tmp_path / "1")
    [entry] = [entry for entry in snapshot.entries if entry.kind is not SavedKind.FOLDER]
    assert (entry.kind, entry.target) == (SavedKind.LINK, "torch/lib/libtorch.so")
    link.unlink()
    write(link, "a file now")
    assert restore_snapshot(environment.prefix, tmp_path / "1", snapshot) == []
    assert os.readlink(link) == "torch/lib/libtorch.so"  # noqa: PTH115


def test_files_of_somebody_else_stay(environment: Environment, scope: Scope, tmp_path: Path) -> None:
    snapshot = save(environment, scope, tmp_path / "1")
    change(environment)
    write(environment.site / "torch" / "new" / "theirs.py", "written meanwhile")
    write(environment.site / "mine" / "data.txt", "edited meanwhile")
    assert restore_snapshot(environment.prefix, tmp_path / "1", snapshot) == []
    assert (environment.site / "torch" / "new" / "theirs.py").read_text() == "written meanwhile"
    assert (environment.site / "mine" / "data.txt").read_text() == "edited meanwhile"
    assert not (environment.site / "torch" / "new" / "deep.py").exists()


def test_a_snapshot_without_its_manifest_is_none(
    environment: Environment, scope: Scope, tmp_path: Path
) -> None:
    snapshot = save(environment, scope, tmp_path / "1")
    assert load_snapshot(tmp_path / "1") == snapshot
    (tmp_path / "1" / "manifest.json").write_text('{"schema": 1', encoding="ascii")
    assert load_snapshot(tmp_path / "1") is None
    assert load_snapshot(tmp_path / "2") is None


def test_states_tell_an_environment_that_was_changed_since(
    environment: Environment, scope: Scope, tmp_path: Path
) -> None:
    snapshot = save(environment, scope, tmp_path / "1")
    change(environment)
    after = list_states(environment.prefix, snapshot)
    assert f"{SITE}/torch/new/deep.py" in after
    assert not [path for path in after if "__pycache__" in path or path == ".lock"]
    write(environment.site / "torch" / "new" / "deep.py", "more")
    assert list_states(environment.prefix, snapshot) != after


def test_a_package_that_is_a_link_out_of_the_environment_is_refused(
    environment: Environment, tmp_path: Path
) -> None:
    shutil.move(environment.site / "torch", tmp_path / "checkout")
    (environment.site / "torch").symlink_to(tmp_path / "checkout")
    with pytest.raises(UsageError) as refusal:
        find_scope(
            environment.prefix,
            outgoing={"torch"},
            stage=tmp_path / "no stage",
            site_dirs=[environment.site],
            scripts_dir=environment.prefix / "bin",
        )
    assert refusal.value.message == (
        f"{environment.site / 'torch'} leads out of the environment, to {tmp_path / 'checkout'}: what lies there "
        "is not changed"
    )


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_the_first_folder_that_may_not_be_written_to(environment: Environment, scope: Scope) -> None:
    (environment.site / "torch").chmod(0o555)
    assert find_read_only(environment.prefix, scope.unlinked) == str(environment.site / "torch")
    (environment.site / "torch").chmod(0o755)
    assert find_read_only(environment.prefix, scope.unlinked) is None
