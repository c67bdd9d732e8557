"""The plain text of `nvidia-smi -q`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from provision.core.architecture import parse_architecture
from provision.core.parse.nvidia_smi import parse_device_id
from provision.core.parse.nvidia_text.answers import build_all, judge_form, read_version
from provision.core.parse.source_report import SourceReport
from provision.model.facts import ConditionId, Gpu

_LINE_LIMIT = 400
_GPU = re.compile(r"GPU ([0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f])")
_MIB = re.compile(r"(\d{1,9}) Mi?B")  # drivers before 325 write MB for the same unit
# Keys as `grep` leaves them of the output, with the blanks that the program sets before a colon.
_PRODUCT_LINE = re.compile(r"^[ \t]{0,20}Product Name {2,40}: (\S.{0,100})$", re.MULTILINE)
_OTHER_LINE = re.compile(
    r"^[ \t]{0,20}(?:GPU UUID|Driver Version|Product Brand|Product Architecture|Attached GPUs) {2,40}: \S",
    re.MULTILINE,
)
_NO_ANSWER = ("N/A", "Not Supported", "[N/A]", "Unknown Error", "GPU is lost", "Insufficient Permissions")
# Instances of a split GPU stand in the midst of it, with keys of the same names; this one ends them.
_BEHIND_MIG_DEVICES = "Accounting Mode"


class _Record(Struct, kw_only=True):
    """The lines of one GPU as `section/key`, and of the head."""

    bus_id: str | None
    values: dict[str, str] = {}
    mig_instances: int = 0

    def get(self, *keys: str) -> str | None:
        """The first answer to one of the keys; None for what the driver does not tell."""
        found = (self.values.get(key) for key in keys)
        return next((value for value in found if value and value not in _NO_ANSWER), None)


def is_full_query(text: str) -> bool:
    """Whether the title stands there, or keys that only this output has side by side."""
    return "==NVSMI LOG==" in text or (
        _PRODUCT_LINE.search(text) is not None and _OTHER_LINE.search(text) is not None
    )


def parse_full_query(text: str) -> SourceReport:
    """Head and GPUs; what is cut off or hidden by the driver stays None."""
    head, *records = _read_records(text)
    gpus = tuple(_build_gpu(record) for record in records)
    windows = any("WDDM" in (record.get("Driver Model/Current") or "") for record in records)
    attached = head.get("Attached GPUs") or ""
    conditions = [
        *([ConditionId.KMD_HEADER] if "KMD Version" in head.values else []),
        *(
            [ConditionId.CUDA_VERSION_NA]
            if head.values.get("CUDA Version", "").startswith(("N/A", "Not Found"))
            else []
        ),
        *([ConditionId.WDDM] if windows else []),
        *_judge_virtualisation(records),
        *([ConditionId.MIG_NO_INSTANCES] if any(_is_split_into_none(record) for record in records) else []),
        *judge_form(gpus),
        *([ConditionId.HEADER_MISSING] if "Driver Version" not in head.values else []),
        *([ConditionId.HEADER_ONLY] if not gpus else []),
        *([ConditionId.TRUNCATED] if not gpus or _is_more(attached, gpus) else []),
    ]
    return SourceReport(
        gpus=gpus,
        driver=read_version(head.get("KMD Version", "Driver Version")),
        cuda_driver_version=read_version(head.get("CUDA UMD Version", "CUDA Version")),
        conditions=build_all(conditions),
        nvidia=True,
        system="Windows" if windows else None,
    )


def _read_records(text: str) -> list[_Record]:
    """The head first. Sections are told by lines without a value, not by their indentation."""
    records = [_Record(bus_id=None)]
    section, in_mig = "", False
    for raw in text.split("\n"):
        line = raw[:_LINE_LIMIT].strip()
        key, colon, value = (part.strip() for part in line.partition(" :" if " :" in line else ": "))
        started = _GPU.fullmatch(line)
        record = records[-1]
        # Where only lines with keys were sent, a product's name begins a GPU.
        unannounced = key == "Product Name" and colon and not in_mig and "Licensed" not in section
        if started or (unannounced and (record.bus_id is None or key in record.values)):
            records.append(_Record(bus_id=started[1] if started else None))
            section, in_mig = "", False
            if not started:
                records[-1].values[key] = value
        elif not colon:
            in_mig = in_mig or line == "MIG Device"
            record.mig_instances += line == "MIG Device"
            section = line
        elif in_mig and key != _BEHIND_MIG_DEVICES:
            continue
        else:
            in_mig = False
            record.values.setdefault(f"{section}/{key}" if section else key, value)
            record.values.setdefault(key, value)
    return records


def _build_gpu(record: _Record) -> Gpu:
    total = _MIB.fullmatch(record.get("FB Memory Usage/Total", "Memory Usage/Total") or "")
    used = _MIB.fullmatch(record.get("FB Memory Usage/Used", "Memory Usage/Used") or "")
    return Gpu(
        name=record.get("Product Name"),
        uuid=record.get("GPU UUID"),
        memory_mib=None if total is None else int(total[1]),
        memory_used_mib=None if used is None else int(used[1]),
        arch=parse_architecture(record.get("Product Architecture")),
        mig_enabled={"Enabled": True, "Disabled": False}.get(record.get("MIG Mode/Current") or ""),
        pci_bus_id=record.bus_id,
        pci_id=parse_device_id(record.get("Device Id")),
    )


def _judge_virtualisation(records: Sequence[_Record]) -> list[ConditionId]:
    modes = {(record.get("Virtualization Mode") or "").lower() for record in records}
    words = {"vgpu": ConditionId.VGPU, "host vgpu": ConditionId.VGPU_HOST}
    return [condition for mode, condition in words.items() if mode in modes]


def _is_more(attached: str, gpus: Sequence[Gpu]) -> bool:
    return attached.isdecimal() and len(attached) < 4 and int(attached) > len(gpus)


def _is_split_into_none(record: _Record) -> bool:
    return record.get("MIG Mode/Current") == "Enabled" and not record.mig_instances
