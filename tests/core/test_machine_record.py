"""What a generation remembers of its machine is what decides whether it still holds."""

from __future__ import annotations

from msgspec.structs import replace

from provision.core.machine_record import build_machine_record, compare_machines
from provision.model.facts import Gpu
from provision.model.state import MachineRecord
from tests.support.machines import make_facts

THEN = MachineRecord(platform="linux-x86_64", python="3.11.7", driver="580.1", gpus=(("NVIDIA H200", "9.0"),))


def test_a_machine_is_recorded_by_what_decides() -> None:
    facts = replace(
        make_facts(), gpus=(Gpu(name="NVIDIA H200", compute_capability="9.0"), Gpu(name=None)), driver="580.1"
    )
    assert build_machine_record(facts) == MachineRecord(
        platform=facts.host.platform,
        python=facts.host.python_version,
        driver="580.1",
        gpus=(("NVIDIA H200", "9.0"), ("a GPU without a name", None)),
    )


def test_nothing_changed() -> None:
    assert compare_machines(THEN, THEN) == ()


def test_each_change_is_a_clause() -> None:
    now = MachineRecord(platform="linux-aarch64", python="3.12.3", driver=None, gpus=(("Another", None),))
    assert compare_machines(THEN, now) == (
        "the GPUs were NVIDIA H200 (9.0) and are Another",
        "the driver was 580.1 and is none",
        "the platform was linux-x86_64 and is linux-aarch64",
        "Python was 3.11.7 and is 3.12.3",
    )
