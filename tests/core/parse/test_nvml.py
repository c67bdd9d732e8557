import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.core.parse.nvml import parse_nvml
from provision.core.parse.source_report import SourceReport
from provision.model.facts import Condition, ConditionId, Gpu, Outcome, Reading


def _reading(document, **changes):
    values = {"source": "nvml", "outcome": Outcome.OK, "text": json.dumps(document), "exit_code": 0}
    return Reading(**{**values, **changes})


def _refusal(call, error, gpu=None):
    return {"call": call, "gpu": gpu, "error": error}


def test_every_field_may_be_refused():
    document = {
        "schema": 1,
        "errors": [_refusal("nvmlDeviceGetName", "NVML_ERROR_NOT_SUPPORTED", 0)],
        "driver_version": None,
        "cuda_driver_version": None,
        "gpu_count": 1,
        "gpus": [{"index": 0}],
    }
    assert parse_nvml(_reading(document)) == SourceReport(gpus=(Gpu(name=None),), nvidia=True)


@pytest.mark.parametrize(
    ("version", "text"), [(13000, "13.0"), (12080, "12.8"), (10020, "10.2"), (0, None), (None, None)]
)
def test_cuda_version(version, text):
    document = {"schema": 1, "cuda_driver_version": version, "gpu_count": 1, "gpus": [{"index": 0}]}
    assert parse_nvml(_reading(document)).cuda_driver_version == text


@pytest.mark.parametrize(
    ("error", "condition", "message"),
    [
        (
            "NVML_ERROR_LIB_RM_VERSION_MISMATCH",
            "driver-mismatch",
            "The loaded NVIDIA kernel module and the driver's libraries are of different versions, as after "
            "an update of the driver without a restart.",
        ),
        (
            "NVML_ERROR_DRIVER_NOT_LOADED",
            "driver-not-loaded",
            "NVIDIA's software is installed, but its kernel driver is not loaded.",
        ),
        ("NVML_ERROR_GPU_IS_LOST", "gpu-lost", "The driver knows a GPU but gets no answer from it any more."),
        (
            "NVML_ERROR_NO_PERMISSION",
            "nvml-error",
            "NVML, the driver's library, failed: nvmlInit gave NVML_ERROR_NO_PERMISSION.",
        ),
        (
            "NVML_ERROR_FUNCTION_NOT_FOUND",
            "nvml-error",
            "NVML, the driver's library, failed: nvmlInit gave NVML_ERROR_FUNCTION_NOT_FOUND.",
        ),
    ],
)
def test_refused_at_the_start(error, condition, message):
    document = {"schema": 1, "errors": [_refusal("nvmlInit", error)]}
    assert parse_nvml(_reading(document, outcome=Outcome.FAILED, exit_code=5)) == SourceReport(
        conditions=(Condition(id=ConditionId(condition), message=message),), nvidia=True
    )


def test_a_driver_without_gpus():
    document = {"schema": 1, "errors": [], "driver_version": "580.95.05", "gpu_count": 0, "gpus": []}
    assert parse_nvml(_reading(document, exit_code=4)) == SourceReport(
        driver="580.95.05",
        conditions=(
            Condition(
                id=ConditionId.NO_DEVICE,
                message="The NVIDIA driver works, but NVML shows no GPU to this process.",
            ),
        ),
        nvidia=True,
    )


def test_a_field_refused_for_a_reason_is_told():
    document = {
        "schema": 1,
        "errors": [_refusal("nvmlDeviceGetMemoryInfo", "NVML_ERROR_UNKNOWN", 2)],
        "gpus": [{"index": 2}],
    }
    message = "NVML, the driver's library, failed: nvmlDeviceGetMemoryInfo gave NVML_ERROR_UNKNOWN for GPU 2."
    assert parse_nvml(_reading(document)).conditions == (
        Condition(id=ConditionId.NVML_ERROR, message=message),
    )


@pytest.mark.parametrize("reading", [None, Reading(source="nvml", outcome=Outcome.ABSENT)])
def test_absent(reading):
    assert parse_nvml(reading) == SourceReport(found=False)


def test_timeout():
    reading = Reading(source="nvml", outcome=Outcome.TIMEOUT, exit_code=-9, limit_s=3.5)
    message = "NVML, the driver's library, gave no answer within 3.5 s and was ended."
    assert parse_nvml(reading) == SourceReport(
        conditions=(Condition(id=ConditionId.NVML_TIMEOUT, message=message),)
    )


def test_a_crashed_reader():
    error = (
        "Fatal Python error: Segmentation fault\n\nCurrent thread 0x1 (most recent call first):\n  read_gpu\n"
    )
    reading = Reading(source="nvml", outcome=Outcome.FAILED, error=error, exit_code=-11)
    message = "NVML, the driver's library, failed: its reader ended with exit code -11 and said 'read_gpu'."
    assert parse_nvml(reading) == SourceReport(
        conditions=(Condition(id=ConditionId.NVML_ERROR, message=message),)
    )


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_any_text_gives_a_condition(text):
    report = parse_nvml(Reading(source="nvml", outcome=Outcome.OK, text=text, exit_code=0))
    assert [condition.id for condition in report.conditions] == ["nvml-error"]
