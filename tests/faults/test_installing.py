"""Wheels that do not arrive whole: never installed, never half a stack, and the next run succeeds."""

from __future__ import annotations

import pytest

from provision.actions.build import name_stack_dir
from provision.errors import ProvisionError
from provision.system.stack_folder import load_manifest
from tests.faults.mirror import Mirror, check_built, list_stacks
from tests.support import index_faults
from tests.support.index_faults import Fault

NUMPY = "*/numpy-*.whl"
LASTING: dict[str, Fault] = {
    "busy": index_faults.refuse(503),
    "throttled": index_faults.refuse(429),
    "forbidden": index_faults.refuse(403),
    "gone": index_faults.refuse(404),
    "reset at once": index_faults.reset_at(0),
    **{f"reset at {percent} %": index_faults.reset_at(percent / 100) for percent in range(10, 100, 10)},
    "cut short": index_faults.truncate_at(0.9),
    "one byte is another": index_faults.flip_byte,
    "silent": index_faults.stall,
    "login page": index_faults.show_login_page,
    "longer than told": index_faults.declare_length(-5),
    "shorter than told": index_faults.declare_length(5),
}


@pytest.mark.parametrize("name", LASTING)
def test_a_wheel_that_does_not_come_leaves_nothing_behind(mirror: Mirror, name: str) -> None:
    stack = mirror.resolve()
    mirror.server.fail(NUMPY, LASTING[name])
    with pytest.raises(ProvisionError) as caught:
        mirror.build(stack)
    mirror.check_refused(caught)
    assert "numpy" in caught.value.message + getattr(caught.value, "output", "")
    mirror.server.heal()
    check_built(mirror.store, stack, mirror.build(stack))


@pytest.mark.parametrize(
    "fault",
    [
        index_faults.refuse(503),
        index_faults.refuse(429, retry_after_s=1),
        index_faults.reset_at(0),
        index_faults.reset_at(0.5),
        index_faults.truncate_at(0.5),
    ],
    ids=["busy", "throttled", "reset at once", "reset within", "cut short"],
)
def test_a_wheel_is_fetched_again(mirror: Mirror, fault: Fault) -> None:
    stack = mirror.resolve()
    mirror.server.fail(NUMPY, fault, times=1)
    check_built(mirror.store, stack, mirror.build(stack, UV_HTTP_RETRIES="2"))
    assert len(mirror.server.list_fetched(NUMPY)) >= 2


def test_a_slow_wheel_is_waited_for(mirror: Mirror) -> None:
    """The time limit is for silence, not for the whole."""
    stack = mirror.resolve()
    mirror.server.fail(NUMPY, index_faults.dribble(100_000))
    check_built(mirror.store, stack, mirror.build(stack))


def test_an_index_that_tells_another_hash_does_not_matter_once_there_is_a_lock(mirror: Mirror) -> None:
    """The file itself is held against the lock, and it is the right one."""
    stack = mirror.resolve()
    mirror.server.told_hashes["numpy-2.4.6-py3-none-any.whl"] = "0" * 64
    check_built(mirror.store, stack, mirror.build(stack))


def test_a_lock_made_from_a_lie_installs_nothing(mirror: Mirror) -> None:
    mirror.server.told_hashes["numpy-2.4.6-py3-none-any.whl"] = "0" * 64
    stack = mirror.resolve()
    with pytest.raises(ProvisionError) as caught:
        mirror.build(stack)
    mirror.check_refused(caught)
    assert "numpy" in caught.value.message + getattr(caught.value, "output", "")


def test_a_stack_that_works_outlives_a_failed_repair(mirror: Mirror) -> None:
    """Somebody removed a file; building again fails on the network, and what still worked is still there."""
    stack = mirror.resolve()
    mirror.build(stack)
    folder = name_stack_dir(mirror.store, stack)
    [module] = folder.rglob("transformers/__init__.py")
    module.unlink()
    mirror.server.fail("*.whl", index_faults.reset_at(0.5))
    with pytest.raises(ProvisionError):
        mirror.build(stack)
    assert load_manifest(folder) is not None
    assert list_stacks(mirror.store) == [folder.name]
    mirror.server.heal()
    check_built(mirror.store, stack, mirror.build(stack))
    assert module.exists()
