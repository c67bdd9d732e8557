"""What a plan takes of disks and of a device, against what is free."""

from __future__ import annotations

from msgspec.structs import replace

from provision.core.needs import (
    STACKS,
    UV_CACHE,
    WEIGHTS,
    build_space_needs,
    estimate_bytes,
    list_shortages,
)
from provision.model.checkup import Space
from provision.model.packages import StackLock, Wheel
from provision.model.plan import MemoryNeed, PlannedStack, SpaceNeed
from tests.core.test_models import CATALOGUE

TORCH = Wheel(name="torch", version="2.11.0", hashes=(), size_bytes=500)
OLD = Wheel(name="transformers", version="4.47.1", hashes=(), size_bytes=10)
NEW = Wheel(name="transformers", version="5.22.2", hashes=(), size_bytes=12)


def make_stack(name: str, *wheels: Wheel, complete: bool = False) -> PlannedStack:
    return PlannedStack(
        name=name,
        models=("m",),
        lock=StackLock(text="", sha256="", wheels=wheels),
        path=f"/app/{name}",
        tag="cu130",
        torch="2.11.0",
        torchvision=None,
        attempts=(),
        complete=complete,
    )


def make_space(purpose: str, device: int, free_bytes: int = 10_000) -> Space:
    return Space(purpose=purpose, path=f"/{purpose}", device=device, free_bytes=free_bytes)


def test_wheels_that_stacks_share_are_unpacked_once_and_whole_stacks_not_at_all() -> None:
    stacks = [make_stack("main", TORCH, NEW), make_stack("old", TORCH, OLD)]
    models = [model for model in CATALOGUE.models if model.key in ("tiny_qwen2_vl", "qwen_vl_2b")]
    assert estimate_bytes(stacks, models) == {STACKS: 1044, UV_CACHE: 1044, WEIGHTS: 4417971200}
    assert estimate_bytes([make_stack("main", TORCH, complete=True)], ()) == {
        STACKS: 0,
        UV_CACHE: 0,
        WEIGHTS: 0,
    }


def test_hard_links_take_no_room_on_the_same_file_system() -> None:
    wanted = {STACKS: 1000, UV_CACHE: 1000, WEIGHTS: 50}
    one = [make_space(STACKS, 1), make_space(UV_CACHE, 1), make_space(WEIGHTS, 1)]
    assert build_space_needs(wanted, one) == (
        SpaceNeed(
            purpose="stacks, uv's cache, weights", path="/stacks", needed_bytes=1050, free_bytes=10_000
        ),
    )
    two = [make_space(STACKS, 1), make_space(UV_CACHE, 2), make_space(WEIGHTS, 2)]
    assert [(need.purpose, need.needed_bytes) for need in build_space_needs(wanted, two)] == [
        ("stacks", 1000),
        ("uv's cache, weights", 1050),
    ]


def test_shortages_are_sentences() -> None:
    space = SpaceNeed(purpose="stacks", path="/app", needed_bytes=5_700_000_000, free_bytes=2_000_000_000)
    memory = MemoryNeed(model="dots_ocr", device="RTX", needed_bytes=6_100_000_000, free_bytes=4_000_000_000)
    assert list_shortages([space], [memory, replace(memory, free_bytes=None)]) == [
        "/app may run full: up to 5.7 GB are written for stacks, and 2.0 GB are free",
        "dots_ocr may not fit on RTX: its weights take 6.1 GB, and 4.0 GB are free",
    ]
    assert list_shortages([replace(space, free_bytes=10**12)], []) == []
