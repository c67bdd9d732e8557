"""A log is read on a machine that it is not from: the cause stays the same."""

import pytest

from provision.model.facts import Distribution, Facts, Gpu, Host, Vendor
from provision.model.failure import Confidence
from tests.core.diagnosis.failures import find_causes
from tests.core.diagnosis.test_failures import CAUSES_OF, OTHER_LOGS, OWN_LOGS

UBUNTU = Distribution(id="ubuntu", name="Ubuntu 24.04 LTS", version_id="24.04", like=("debian",))
RTX_5070 = Gpu(name="NVIDIA GeForce RTX 5070 Ti", compute_capability="12.0", arch="blackwell")
H200 = Gpu(name="NVIDIA H200", compute_capability="9.0", arch="hopper")


def build_facts(system, gpu=None, vendor=Vendor.NVIDIA, **host):
    return Facts(
        vendor=vendor,
        gpus=(gpu,) if gpu else (),
        gpu_source=None,
        driver="580.95.05" if gpu else None,
        cuda_driver_version=None,
        conditions=(),
        host=Host(system=system, release="6.8", machine="x86_64", python_version="3.12.3", **host),
    )


MACHINES = {
    "container": build_facts("Linux", vendor=Vendor.NONE, distribution=UBUNTU, container="docker"),
    "windows": build_facts("Windows", RTX_5070),
    "wsl2": build_facts("Linux", RTX_5070, distribution=UBUNTU, wsl=2),
    "h200": build_facts("Linux", H200, distribution=UBUNTU),
    "macos": build_facts("Darwin", vendor=Vendor.APPLE),
}
# Where a log says no more than a message that causes share, the machine that it is read on decides.
DECIDED_HERE = {
    ("fa2-needs-ampere", "flash-attn-lacks-gpu-arch"),
    ("container-started-without-gpus", "wsl1-or-no-wsl-gpu"),
    ("wsl1-or-no-wsl-gpu", "container-started-without-gpus"),
}


@pytest.mark.parametrize("facts", MACHINES.values(), ids=MACHINES.keys())
@pytest.mark.parametrize(("cause", "log"), OWN_LOGS)
def test_own_logs(cause, log, facts):
    first = find_causes(log, facts)[0]
    assert first.id == cause or ((cause, first.id) in DECIDED_HERE and first.machine)


@pytest.mark.skipif(not OTHER_LOGS, reason="no reference logs beside this checkout")
@pytest.mark.parametrize("facts", MACHINES.values(), ids=MACHINES.keys())
@pytest.mark.parametrize(("cause", "log"), OTHER_LOGS)
def test_other_peoples_logs(cause, log, facts):
    first = find_causes(log, facts)[0]
    assert first.id in CAUSES_OF[log] or (cause, first.id) in DECIDED_HERE


def test_few_causes_are_decided_by_the_machine():
    changed = [
        (parameter.values[0], name)
        for parameter in OWN_LOGS
        for name, facts in MACHINES.items()
        if find_causes(parameter.values[1], facts)[0].id != parameter.values[0]
    ]
    assert set(changed) == {("fa2-needs-ampere", "wsl2"), ("fa2-needs-ampere", "h200")}


def test_a_log_of_which_this_machine_leaves_nothing_is_of_another():
    """`triton` has no wheel for Windows; the log does not say that it is from there, and this is a Mac."""
    log = "triton has no wheels with a matching platform tag: triton==3.1.0\n"
    assert [(cause.id, cause.confidence) for cause in find_causes(log, MACHINES["macos"])] == [
        ("triton-missing-windows", Confidence.MEDIUM)
    ]
