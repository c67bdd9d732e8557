"""The ways in which `nvidia-smi` fails: what it says then, and what is only known from outside."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from provision.core.parse.conditions import (
    build_driver_library_mismatch,
    build_driver_not_loaded,
    build_excerpt,
    build_gpu_lost,
    build_no_devices,
    build_nvidia_smi_broken,
    build_nvidia_smi_timeout,
    build_nvml_error,
    build_nvml_library_missing,
)
from provision.core.parse.plain_conditions import build_plain
from provision.core.parse.source_report import SourceReport
from provision.model.facts import Condition, ConditionId, Outcome, Reading

UNKNOWN_FIELD = re.compile(r'Field "([^"\n]{0,100})" is not a valid field to query')
_LIBRARY_VERSION = re.compile(r"NVML library version: (\d+(?:\.\d+)+)")


def judge_answers(answers: Sequence[tuple[Reading, SourceReport]]) -> tuple[Condition, ...]:
    """What is to be said of the readings, each with what could be parsed from it.

    One condition for each kind of failure, not one for each form of the output that shows it.
    """
    judged = (_judge_answer(reading, report) for reading, report in answers)
    unique: dict[str, Condition] = {}
    for condition in judged:
        if condition is not None:
            unique.setdefault(condition.id, condition)
    return tuple(unique.values())


def _judge_answer(reading: Reading, report: SourceReport) -> Condition | None:
    if reading.outcome is Outcome.TIMEOUT:
        return build_nvidia_smi_timeout(reading)
    if report.gpus and reading.outcome is Outcome.OK:
        return None
    said = f"{reading.text}\n{reading.error}"
    known = find_failure(said)
    if known is not None or report.gpus or UNKNOWN_FIELD.search(said):
        return known
    if report.driver and reading.outcome is Outcome.OK:
        return build_no_devices("nvidia-smi")
    return build_nvidia_smi_broken(_describe_nonsense(reading, said))


def find_failure(said: str) -> Condition | None:
    """What the first known sentence of `nvidia-smi` in a text means; None where there is none."""
    matches = ((pattern.search(said), build) for pattern, build in _FAILURES)
    return next((build(match) for match, build in matches if match), None)


def _describe_nonsense(reading: Reading, said: str) -> str:
    if reading.exit_code is None:
        return reading.error or "it could not be started"
    printed = f"printed {build_excerpt(said)}" if said.strip() else "printed nothing"
    return f"it ended with exit code {reading.exit_code} and {printed}"


def _build_mismatch(match: re.Match[str]) -> Condition:
    library = _LIBRARY_VERSION.search(match.string)
    return build_driver_library_mismatch(None if library is None else library[1])


# In order: the first sentence that occurs decides.
_FAILURES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Condition]], ...] = (
    (re.compile(r"Driver/library version mismatch"), _build_mismatch),
    (
        re.compile(r"could(?:n['\u2019]t| not) communicate with the NVIDIA driver|Driver Not Loaded"),
        lambda _: build_driver_not_loaded(),
    ),
    (
        re.compile(r"couldn't find libnvidia-ml|NVML Shared Library Not Found|libraries: libnvidia-ml"),
        lambda _: build_nvml_library_missing(),
    ),
    (re.compile(r"No devices were found"), lambda _: build_no_devices("nvidia-smi")),
    (
        re.compile(
            r"Unable to determine the device handle for (?:the )?GPU ?(?:\d{1,3}: ?)?"
            r"([0-9A-Fa-f:]{7,16}\.[0-9A-Fa-f])"
        ),
        lambda match: build_gpu_lost(f"GPU {match[1]}"),
    ),
    (
        re.compile(r"Failed to initialize NVML: Unknown Error"),
        lambda _: build_plain(ConditionId.NVML_UNKNOWN_ERROR),
    ),
    (
        re.compile(r"Failed to initialize NVML: ([^\n]+)"),
        lambda match: build_nvml_error(f"its start gave {build_excerpt(match[1])}"),
    ),
)
