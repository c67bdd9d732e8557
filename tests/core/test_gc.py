"""What goes is chosen by who needs it; what that frees is counted by files, not by names."""

from __future__ import annotations

import pytest

from provision.core.gc import FileEntry, Freed, choose_kept, choose_stacks, choose_weights, count_freed
from provision.model.config import ConfigPatch, ProvisionSection
from provision.model.state import GenerationRecord, ModelRecord, StackRecord


def make_record(number: int, stacks: tuple[str, ...], weights: tuple[str, ...] = ()) -> GenerationRecord:
    return GenerationRecord(
        number=number,
        created="2026-11-21T12:00:00+00:00",
        profile="cpu",
        fingerprint="f",
        stacks=tuple(
            StackRecord(name=path, path=f"stacks/{path}", lock_sha256="0", models=()) for path in stacks
        ),
        models=tuple(
            ModelRecord(
                key=path,
                stack="main",
                model_dir=path,
                revision="r",
                attention="sdpa",
                dtype="bfloat16",
                files={},
            )
            for path in weights
        ),
        smoke=(),
        config=ConfigPatch(entries=(), section=ProvisionSection(generation=number, profile="cpu", models={})),
    )


@pytest.mark.parametrize(
    ("readable", "active", "keep", "kept"),
    [
        ([1, 2, 3, 4, 5], 5, 3, (3, 4, 5)),
        ([1, 2, 3, 4, 5], 1, 3, (1, 3, 4, 5)),
        ([1, 2, 3, 4, 5], 4, 1, (4, 5)),
        ([5, 9], 9, 3, (5, 9)),
        ([1, 2], None, 1, (2,)),
        ([], None, 3, ()),
    ],
)
def test_the_newest_and_the_active_one_stay(
    readable: list[int], active: int | None, keep: int, kept: tuple[int, ...]
) -> None:
    assert choose_kept(readable, active, keep) == kept


def test_stacks_that_a_kept_generation_or_a_build_for_elsewhere_needs_stay() -> None:
    kept = [make_record(2, ("main-2", "second-1")), make_record(3, ("main-2",))]
    found = ["stacks/main-1", "stacks/main-2", "stacks/second-1", "stacks/third-1", "stacks/elsewhere-1"]
    assert choose_stacks(found, kept, ["stacks/elsewhere-1"]) == ("stacks/main-1", "stacks/third-1")


@pytest.mark.parametrize("folder", ["/home/a/app/.provision/weights/", "D:\\app\\.provision\\weights\\"])
def test_weights_are_needed_by_name_wherever_the_application_was(folder: str) -> None:
    kept = [make_record(2, (), (f"{folder}tiny-1",))]
    assert choose_weights(["tiny-1", "tiny-2"], kept) == ("tiny-2",)


def test_a_file_with_a_name_elsewhere_frees_nothing() -> None:
    alone, cached = FileEntry(1, 10, 1, 100), FileEntry(1, 11, 2, 1000)
    assert count_freed({"a": [alone, cached]}) == {"a": Freed(freed_bytes=100, shared_bytes=1000)}


def test_a_file_whose_names_all_go_counts_once() -> None:
    names = FileEntry(1, 10, 2, 100)
    assert count_freed({"a": [names], "b": [names]}) == {"a": Freed(freed_bytes=100), "b": Freed()}


def test_a_file_with_two_names_here_and_one_elsewhere_is_shared_once() -> None:
    names = FileEntry(1, 10, 3, 100)
    assert count_freed({"a": [names, names]}) == {"a": Freed(shared_bytes=100)}


def test_the_same_number_on_another_device_is_another_file() -> None:
    entries = [FileEntry(1, 10, 1, 100), FileEntry(2, 10, 1, 100)]
    assert count_freed({"a": entries}) == {"a": Freed(freed_bytes=200)}
