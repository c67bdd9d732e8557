"""The machine as a generation remembers it, and what has changed on it since."""

from __future__ import annotations

from collections.abc import Iterator

from provision.model.facts import Facts
from provision.model.state import MachineRecord


def build_machine_record(facts: Facts) -> MachineRecord:
    """What of the machine a verified generation depends on."""
    return MachineRecord(
        platform=facts.host.platform,
        python=facts.host.python_version,
        driver=facts.driver,
        gpus=tuple((gpu.name or "a GPU without a name", gpu.compute_capability) for gpu in facts.gpus),
    )


def compare_machines(then: MachineRecord, now: MachineRecord) -> tuple[str, ...]:
    """One clause for each thing that is not as it was: what was verified then is not verified now."""
    return tuple(_compare(then, now))


def _compare(then: MachineRecord, now: MachineRecord) -> Iterator[str]:
    if then.gpus != now.gpus:
        yield f"the GPUs were {_name_gpus(then)} and are {_name_gpus(now)}"
    if then.driver != now.driver:
        yield f"the driver was {then.driver or 'none'} and is {now.driver or 'none'}"
    if then.platform != now.platform:
        yield f"the platform was {then.platform} and is {now.platform}"
    if then.python != now.python:
        yield f"Python was {then.python} and is {now.python}"


def _name_gpus(machine: MachineRecord) -> str:
    named = (f"{name} ({capability})" if capability else name for name, capability in machine.gpus)
    return ", ".join(named) or "none"
