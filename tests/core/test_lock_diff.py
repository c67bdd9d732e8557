"""What `provision lock --check` tells, and what a lock that is written again keeps."""

from __future__ import annotations

from msgspec.structs import replace

from provision.core.lock_diff import compare_locks, find_altered_files, keep_former
from provision.model.lockfile import ChangeKind, ExpectedSmoke, LockChange, LockedFile
from provision.model.smoke import Verdict
from tests.support.locks import COMMIT, make_document, make_hash, make_lock, make_model, make_stack


def change(kind: ChangeKind, place: str, name: str, before: str | None, after: str | None) -> LockChange:
    return LockChange(kind=kind, place=place, name=name, before=before, after=after)


def test_packages_are_added_removed_and_changed() -> None:
    former = make_document(make_lock(numpy="2.4.6", idna="3.19", tqdm="4.70"))
    latest = make_document(make_lock(numpy="2.4.6", idna="3.20", rich="15.0"))
    assert compare_locks(former, latest) == (
        change(ChangeKind.CHANGED, "stack main", "idna", "3.19", "3.20"),
        change(ChangeKind.ADDED, "stack main", "rich", None, "15.0"),
        change(ChangeKind.REMOVED, "stack main", "tqdm", "4.70", None),
    )
    assert compare_locks(former, former) == ()


def test_the_same_version_with_other_hashes_is_a_change() -> None:
    lock = make_lock(numpy="2.4.6")
    wheel = replace(lock.wheels[0], hashes=(f"sha256:{'f' * 64}", f"sha256:{'e' * 64}"))
    other = replace(lock, wheels=(wheel,))
    assert compare_locks(make_document(lock), make_document(other)) == (
        change(
            ChangeKind.CHANGED,
            "stack main",
            "numpy 2.4.6",
            f"sha256:{make_hash('numpy2.4.6')}",
            f"sha256:{'e' * 64} and 1 more",
        ),
    )


def test_stacks_models_revisions_and_files_are_compared() -> None:
    former = make_document()
    second = make_stack(make_lock(), name="second", models=("b",))
    moved = make_model(
        revision="0" * 40, remote_code=(LockedFile(path="modeling.py", size_bytes=5, sha256="4" * 64),)
    )
    added = make_model(key="b", stack="second")
    lockfile = replace(
        former.lockfile, python="3.13", stacks=(*former.lockfile.stacks, second), models=(moved, added)
    )
    latest = replace(former, lockfile=lockfile, locks={**former.locks, "second": make_lock()})
    assert compare_locks(former, latest) == (
        change(ChangeKind.CHANGED, "lock", "python", "3.12", "3.13"),
        change(ChangeKind.ADDED, "stack second", "stack", None, "3 packages, torch 2.13.0+cu130"),
        change(ChangeKind.ADDED, "model b", "model", None, COMMIT),
        change(ChangeKind.CHANGED, "model qwen_vl_2b", "revision", COMMIT, "0" * 40),
        change(
            ChangeKind.CHANGED,
            "model qwen_vl_2b",
            "modeling.py",
            f"sha256:{'3' * 64}",
            f"sha256:{'4' * 64}",
        ),
    )


def test_the_day_and_the_error_rate_of_a_smoke_are_no_difference() -> None:
    former = make_document()
    smoke = ExpectedSmoke(verdict=Verdict.PASS, dtype="bfloat16", attention="sdpa", cer=0.01)
    latest = make_document(exclude_newer="2026-12-01T00:00:00Z", models=(make_model(smoke=smoke),))
    assert compare_locks(former, latest) == ()
    assert keep_former(former.lockfile, latest.lockfile) == former.lockfile
    worse = make_document(models=(make_model(smoke=replace(smoke, verdict=Verdict.DEGRADED)),))
    assert compare_locks(former, worse) == (
        change(
            ChangeKind.CHANGED,
            "model qwen_vl_2b",
            "smoke",
            "pass, bfloat16, sdpa",
            "degraded, bfloat16, sdpa",
        ),
    )


def test_a_machine_without_the_files_keeps_what_another_knew_of_the_same_revision() -> None:
    former, bare = make_document(), make_document(models=(make_model(files=(), remote_code=(), smoke=None),))
    assert keep_former(former.lockfile, bare.lockfile) == former.lockfile
    other = make_document(models=(make_model(revision="0" * 40, files=(), remote_code=(), smoke=None),))
    assert keep_former(former.lockfile, other.lockfile) == other.lockfile


def test_a_file_that_changed_under_its_revision_is_found() -> None:
    former = make_document().lockfile
    altered = make_model(remote_code=(LockedFile(path="modeling.py", size_bytes=5, sha256="9" * 64),))
    assert find_altered_files(former, make_document(models=(altered,)).lockfile) == (
        ("qwen_vl_2b", "modeling.py"),
    )
    moved = replace(altered, revision="0" * 40)
    assert find_altered_files(former, make_document(models=(moved,)).lockfile) == ()
