import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.core.parse.overrides import Overrides, apply_overrides, parse_override_values, parse_overrides
from provision.core.parse.source_report import SourceReport
from provision.errors import UsageError
from provision.model.facts import Condition, ConditionId, Gpu, Outcome, Reading, Vendor

ALL = {
    "PROVISION_GPU_NAME": "NVIDIA GeForce RTX 5070 Ti",
    "PROVISION_COMPUTE_CAPABILITY": "12.0",
    "PROVISION_GPU_MEMORY_MIB": "16303",
    "PROVISION_DRIVER": "580.95.05",
    "PROVISION_CUDA_DRIVER_VERSION": "13.0",
    "PROVISION_GPU_VENDOR": "nvidia",
}


def _parse(values):
    return parse_overrides(Reading(source="override", outcome=Outcome.OK, text=json.dumps(values)))


def _condition(message):
    return Condition(id=ConditionId.OVERRIDE, message=message)


def test_the_values_of_an_environment():
    env = {**ALL, "PROVISION_DRIVER": " 580.95.05\n", "PROVISION_ROOT": "/x", "PATH": "/usr/bin"}
    assert parse_override_values(env) == Overrides(values=ALL)
    assert parse_override_values({"PROVISION_GPU_NAME": " "}) == Overrides()


@pytest.mark.parametrize(
    ("name", "value", "what", "hint"),
    [
        (
            "PROVISION_COMPUTE_CAPABILITY",
            "12",
            "two numbers with a dot between them",
            "export PROVISION_COMPUTE_CAPABILITY=12.0",
        ),
        (
            "PROVISION_COMPUTE_CAPABILITY",
            "sm_120",
            "two numbers with a dot between them",
            "export PROVISION_COMPUTE_CAPABILITY=12.0",
        ),
        (
            "PROVISION_GPU_MEMORY_MIB",
            "16 GB",
            "a whole number of MiB",
            "export PROVISION_GPU_MEMORY_MIB=16303",
        ),
        ("PROVISION_DRIVER", "latest", "a version with dots", "export PROVISION_DRIVER=580.95.05"),
        (
            "PROVISION_CUDA_DRIVER_VERSION",
            "cu130",
            "a version of CUDA",
            "export PROVISION_CUDA_DRIVER_VERSION=13.0",
        ),
        (
            "PROVISION_GPU_VENDOR",
            "NVIDIA",
            "nvidia, amd, intel, apple or none",
            "export PROVISION_GPU_VENDOR=nvidia",
        ),
        (
            "PROVISION_GPU_NAME",
            "x\x1b[31m",
            "the product's name, at most 100 letters",
            "export PROVISION_GPU_NAME='NVIDIA GeForce RTX 5070 Ti'",
        ),
    ],
)
def test_a_malformed_value_is_refused(name, value, what, hint):
    with pytest.raises(
        UsageError, match=f"^{re.escape(f'{name} is {value!r}, which is not {what}')}$"
    ) as caught:
        parse_override_values({**ALL, name: value})
    assert caught.value.hint == hint


def test_a_gpu_where_none_is_said_is_refused():
    with pytest.raises(UsageError) as caught:
        parse_override_values({"PROVISION_GPU_VENDOR": "none", "PROVISION_COMPUTE_CAPABILITY": "12.0"})
    assert (caught.value.message, caught.value.hint) == (
        "PROVISION_GPU_VENDOR is none, and PROVISION_COMPUTE_CAPABILITY describes a GPU",
        "unset PROVISION_COMPUTE_CAPABILITY   # or PROVISION_GPU_VENDOR",
    )


def test_everything_is_said():
    said = ", ".join(f"{name}={value}" for name, value in ALL.items())
    assert _parse(ALL) == SourceReport(
        gpus=(
            Gpu(
                name="NVIDIA GeForce RTX 5070 Ti",
                compute_capability="12.0",
                memory_mib=16303,
                vendor=Vendor.NVIDIA,
            ),
        ),
        driver="580.95.05",
        cuda_driver_version="13.0",
        conditions=(_condition(f"Given by the user, not found: {said}."),),
        vendor=Vendor.NVIDIA,
    )


def test_no_gpu_is_said():
    assert _parse({"PROVISION_GPU_VENDOR": "none", "PROVISION_GPU_NAME": "NVIDIA L4"}) == SourceReport(
        conditions=(
            _condition(
                "Given by the user, not found: PROVISION_GPU_NAME=NVIDIA L4, PROVISION_GPU_VENDOR=none."
            ),
        ),
        vendor=Vendor.NONE,
    )


def test_only_a_driver_is_said():
    assert _parse({"PROVISION_DRIVER": "535.10"}) == SourceReport(
        driver="535.10",
        conditions=(_condition("Given by the user, not found: PROVISION_DRIVER=535.10."),),
    )


def test_a_saved_probe_that_somebody_changed():
    assert _parse({"PROVISION_DRIVER": "x", "PROVISION_GPU_VENDOR": "amd"}) == SourceReport(
        conditions=(
            _condition(
                "Given by the user, not found: PROVISION_GPU_VENDOR=amd. "
                "Not understood and left out: PROVISION_DRIVER."
            ),
        ),
        vendor=Vendor.AMD,
    )


@pytest.mark.parametrize("values", [{}, {"PATH": "/usr/bin"}, [1], "text", {"PROVISION_DRIVER": 580}])
def test_nothing_is_said(values):
    assert _parse(values) == SourceReport(found=False)
    assert parse_overrides(None) == SourceReport(found=False)


L4 = Gpu(name="NVIDIA L4", uuid="GPU-1", memory_mib=23034, compute_capability="8.9", arch="ada")
OTHER = Gpu(name="NVIDIA T4", uuid="GPU-2", memory_mib=15360, compute_capability="7.5", arch="turing")


@pytest.mark.parametrize(
    ("values", "gpus", "after"),
    [
        (
            {"PROVISION_COMPUTE_CAPABILITY": "12.0"},
            (L4, OTHER),
            (
                Gpu(name="NVIDIA L4", uuid="GPU-1", memory_mib=23034, compute_capability="12.0"),
                Gpu(name="NVIDIA T4", uuid="GPU-2", memory_mib=15360, compute_capability="12.0"),
            ),
        ),
        (
            {"PROVISION_GPU_MEMORY_MIB": "1000"},
            (L4,),
            (Gpu(name="NVIDIA L4", uuid="GPU-1", memory_mib=1000, compute_capability="8.9", arch="ada"),),
        ),
        ({"PROVISION_GPU_NAME": "NVIDIA L4"}, (), (Gpu(name="NVIDIA L4"),)),
        ({"PROVISION_GPU_VENDOR": "none"}, (L4,), ()),
        ({"PROVISION_DRIVER": "535.10"}, (L4,), (L4,)),
        ({"PROVISION_DRIVER": "535.10"}, (), ()),
        ({}, (L4,), (L4,)),
    ],
)
def test_what_is_said_goes_over_what_was_found(values, gpus, after):
    assert apply_overrides(gpus, _parse(values)) == after


@given(st.text())
def test_it_never_raises(text):
    assert parse_overrides(Reading(source="override", outcome=Outcome.OK, text=text)).found is False
