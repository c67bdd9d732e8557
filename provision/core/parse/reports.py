"""Every reading of a probe by its parser: live readings by theirs, all text by the kind that it is."""

from __future__ import annotations

from msgspec.structs import replace

from provision.core.parse.nvidia_smi import parse_nvidia_smi
from provision.core.parse.nvidia_text.kernel_module import parse_proc_version
from provision.core.parse.nvml import parse_nvml
from provision.core.parse.pci import parse_pci_gpus
from provision.core.parse.source_report import SourceReport
from provision.model.facts import ConditionId, Host, Outcome, Probe, Reading

# The reading that marks a probe as pasted: see `recognise.py`, which is loaded only for a probe that needs it.
_FORM_SOURCE = "paste"
# Live readings with parsers of their own; a pasted text of these kinds is read as text.
_OWN_PARSERS = {
    "nvml",
    "nvidia-smi-csv",
    "nvidia-smi-xml",
    "pci",
    "nvidia-module",
    "host",
    "environment",
    "container",
    "os-release",
    "cpuinfo",
    "machine-state",
    "override",
    "proc-driver-nvidia-version",
}
# What is said of a text's form, or of the document that it comes from, and not of the machine.
_OF_FORM = {
    ConditionId.TRUNCATED,
    ConditionId.NAME_TRUNCATED,
    ConditionId.HEADER_ONLY,
    ConditionId.HEADER_MISSING,
    ConditionId.KMD_HEADER,
    ConditionId.NO_CUDA_VERSION_FIELD,
    ConditionId.NO_PRODUCT_NAME,
    ConditionId.NO_GFX_FIELD,
    ConditionId.GFX000,
    ConditionId.HEX_DEVICE_NAME,
    ConditionId.PCI_NAME_UNRESOLVED,
    ConditionId.NO_NUMERIC_IDS,
    ConditionId.DOCUMENTATION_SAMPLE,
    ConditionId.TWO_LINE_ROWS,
    ConditionId.INDENTED_PASTE,
    ConditionId.COMMENT_PREFIXED_PASTE,
    ConditionId.CSV_NOHEADER,
    ConditionId.CSV_NOUNITS,
    ConditionId.NO_NAME_COLUMN,
    ConditionId.NAME_WITHOUT_NVIDIA_PREFIX,
    ConditionId.NONZERO_PCI_DOMAIN,
    ConditionId.SHORT_BUS_ID,
    ConditionId.OLD_FORMAT,
    ConditionId.TRAILING_SPACES,
    ConditionId.WARNING_LINE,
    ConditionId.EMPTY_UUID,
    ConditionId.ERROR,
}


def is_pasted(probe: Probe) -> bool:
    """Whether the probe was made of text that somebody sent, not of this machine's own answers."""
    return probe.get(_FORM_SOURCE) is not None


def parse_form(probe: Probe) -> tuple[ConditionId, ...]:
    """What was found about the form of a pasted text when it was cleaned."""
    reading = probe.get(_FORM_SOURCE)
    known = {str(condition_id): condition_id for condition_id in (*_OF_FORM, ConditionId.UNRECOGNISED)}
    words = () if reading is None else reading.text.split()
    return tuple(known[word] for word in words if word in known)


def parse_readings(probe: Probe, host: Host) -> dict[str, SourceReport]:
    """A report for each source that was asked, by its id; the order is that of the probe. Never raises."""
    if is_pasted(probe):
        return {reading.source: report for reading in probe.readings if (report := _parse_text(reading))}
    reports: dict[str, SourceReport] = {}
    if probe.get("override") is not None:
        reports["override"] = _parse_override(probe.get("override"))
    # First, since the first sentence for a condition is kept, and the state of the machine says more of it.
    if (state := probe.get("machine-state")) is not None:
        reports["machine-state"] = _parse_state(state, host)
    reports["nvml"] = parse_nvml(probe.get("nvml"))
    reports["nvidia-smi"] = parse_nvidia_smi(probe.get("nvidia-smi-csv"), probe.get("nvidia-smi-xml"))
    reports["pci"] = parse_pci_gpus(probe.get("pci"))
    module = probe.get("proc-driver-nvidia-version")
    if module is not None and module.outcome is not Outcome.ABSENT:
        reports["proc-driver-nvidia-version"] = parse_proc_version(module.text)
    for reading in probe.readings:
        if reading.source not in _OWN_PARSERS and reading.outcome is not Outcome.ABSENT:
            report = _parse_text(reading)
            if report is not None:
                reports[reading.source] = _drop_form(report)
    return reports


def _parse_text(reading: Reading) -> SourceReport | None:
    from provision.core.parse.recognise import parse_as

    return parse_as(reading.source, reading.text)


def _drop_form(report: SourceReport) -> SourceReport:
    kept = tuple(condition for condition in report.conditions if condition.id not in _OF_FORM)
    return replace(report, conditions=kept)


def _parse_override(reading: Reading | None) -> SourceReport:
    from provision.core.parse.overrides import parse_overrides

    return parse_overrides(reading)


def _parse_state(reading: Reading, host: Host) -> SourceReport:
    from provision.core.parse.machine_state import parse_machine_state

    return parse_machine_state(reading, host)
