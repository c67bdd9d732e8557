"""What the user says of the machine in variables, where detection cannot know or is to be told otherwise."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from provision.core.parse.json_text import parse_json
from provision.core.parse.source_report import SourceReport
from provision.errors import UsageError
from provision.model.facts import Condition, ConditionId, Gpu, Reading, Vendor

_NAME = "PROVISION_GPU_NAME"
_CAPABILITY = "PROVISION_COMPUTE_CAPABILITY"
_MEMORY = "PROVISION_GPU_MEMORY_MIB"
_DRIVER = "PROVISION_DRIVER"
_CUDA = "PROVISION_CUDA_DRIVER_VERSION"
_VENDOR = "PROVISION_GPU_VENDOR"
_OF_A_GPU = (_NAME, _CAPABILITY, _MEMORY)


class OverrideRule(Struct, frozen=True, kw_only=True):
    """What a variable may hold: `pattern`, in words `what`, and an `example` that fits."""

    pattern: re.Pattern[str]
    what: str
    example: str


_RULES: dict[str, OverrideRule] = {
    _NAME: OverrideRule(
        pattern=re.compile(r"[ -~]{1,100}"),
        what="the product's name, at most 100 letters",
        example="'NVIDIA GeForce RTX 5070 Ti'",
    ),
    _CAPABILITY: OverrideRule(
        pattern=re.compile(r"[1-9]\d?\.\d"), what="two numbers with a dot between them", example="12.0"
    ),
    _MEMORY: OverrideRule(pattern=re.compile(r"[1-9]\d{0,7}"), what="a whole number of MiB", example="16303"),
    _DRIVER: OverrideRule(
        pattern=re.compile(r"\d{1,4}(\.\d{1,6}){1,3}"), what="a version with dots", example="580.95.05"
    ),
    _CUDA: OverrideRule(pattern=re.compile(r"\d{1,2}\.\d{1,2}"), what="a version of CUDA", example="13.0"),
    _VENDOR: OverrideRule(
        pattern=re.compile("nvidia|amd|intel|apple|none"),
        what="nvidia, amd, intel, apple or none",
        example="nvidia",
    ),
}

# Every variable there is.
OVERRIDES = tuple(_RULES)


class Overrides(Struct, frozen=True, kw_only=True):
    """The values that were given and are well formed, by variable, and the variables that are not."""

    values: dict[str, str] = {}
    malformed: tuple[str, ...] = ()


def parse_override_values(env: Mapping[str, str]) -> Overrides:
    """The overrides of an environment; a variable that is empty is not set.

    Raises UsageError for a value that is malformed, and for a GPU described where `none` is said.
    """
    overrides = _sort_values(env)
    for name in overrides.malformed:
        rule = _RULES[name]
        message = f"{name} is {env[name][:100]!r}, which is not {rule.what}"
        raise UsageError(message, hint=f"export {name}={rule.example}")
    if overrides.values.get(_VENDOR) == Vendor.NONE:
        for name in _OF_A_GPU:
            if name in overrides.values:
                raise UsageError(
                    f"{_VENDOR} is none, and {name} describes a GPU", hint=f"unset {name}   # or {_VENDOR}"
                )
    return overrides


def parse_overrides(reading: Reading | None) -> SourceReport:
    """What the reading `override` says; it goes before every other source. Never raises for bad text.

    `gpus` is one GPU where its name, capability or memory was given: `apply_overrides` puts it over those
    that were found. `vendor` is the one that was said, which may be `none`.
    """
    given = parse_json("" if reading is None else reading.text, dict[str, str])
    overrides = _sort_values(given or {})
    if not overrides.values and not overrides.malformed:
        return SourceReport(found=False)
    values = overrides.values
    vendor = Vendor(values[_VENDOR]) if _VENDOR in values else None
    gpu = Gpu(
        name=values.get(_NAME),
        compute_capability=values.get(_CAPABILITY),
        memory_mib=int(values[_MEMORY]) if _MEMORY in values else None,
        vendor=vendor,
    )
    described = vendor is not Vendor.NONE and any(name in values for name in _OF_A_GPU)
    return SourceReport(
        gpus=(gpu,) if described else (),
        driver=values.get(_DRIVER),
        cuda_driver_version=values.get(_CUDA),
        conditions=(_build_override(overrides),),
        vendor=vendor,
    )


def apply_overrides(gpus: Sequence[Gpu], report: SourceReport) -> tuple[Gpu, ...]:
    """The GPUs found, with what the user said of each; the user's alone where none was found."""
    if report.vendor is Vendor.NONE:
        return ()
    if not report.gpus:
        return tuple(gpus)
    said = report.gpus[0]
    changes = {
        field: value
        for field in ("name", "compute_capability", "memory_mib", "vendor")
        if (value := getattr(said, field)) is not None
    }
    # What was derived from a name or a capability that no longer holds is derived anew.
    if said.name is not None or said.compute_capability is not None:
        changes |= {"arch": None, "compute_capability_by_name": None}
    return tuple(replace(gpu, **changes) for gpu in gpus) or report.gpus


def _sort_values(given: Mapping[str, str]) -> Overrides:
    present = {name: given[name].strip() for name in _RULES if given.get(name, "").strip()}
    malformed = tuple(name for name, value in present.items() if not _RULES[name].pattern.fullmatch(value))
    values = {name: value for name, value in present.items() if name not in malformed}
    return Overrides(values=values, malformed=malformed)


def _build_override(overrides: Overrides) -> Condition:
    parts = []
    if overrides.values:
        given = ", ".join(f"{name}={value}" for name, value in overrides.values.items())
        parts.append(f"Given by the user, not found: {given}")
    if overrides.malformed:
        parts.append(f"Not understood and left out: {', '.join(overrides.malformed)}")
    return Condition(id=ConditionId.OVERRIDE, message=f"{'. '.join(parts)}.")
