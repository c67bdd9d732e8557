"""Which display devices the PCI bus shows, and whether their absence there means anything."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

from provision.core.parse.json_text import parse_json
from provision.core.parse.pci_devices import PciEntry, build_pci_report
from provision.core.parse.source_report import SourceReport
from provision.model.facts import ConditionId, Host, Reading, Vendor

_NVIDIA = "0x10de"
# The kernel's drivers for the GPUs of AMD and Intel. NVIDIA's cards count only when its software answers.
_DRIVERS = ("amdgpu", "i915", "xe")
# Of a live bus, the drivers' state is said better by `machine_state.py`.
_SAID_OF_THE_BUS = (ConditionId.NPU_PRESENT, ConditionId.BMC_VGA_PRESENT, ConditionId.NOUVEAU)
_OTHER_MAKERS = {"0x1002": Vendor.AMD, "0x8086": Vendor.INTEL}
_MAKER_NAMES = {"0x1002": "AMD", "0x8086": "Intel"}


class PciDevice(Struct, frozen=True, kw_only=True, rename={"pci_class": "class"}):
    """One display device or accelerator. Ids are as sysfs gives them, `0x10de`; `driver` is the kernel's.

    `pci_class` is `0x030000` for a card with an output, `0x030200` for one without, `0x120000` for an
    accelerator.
    """

    slot: str
    vendor: str
    device: str
    pci_class: str | None = None
    driver: str | None = None

    @property
    def pci_id(self) -> str:
        """`10de:2c05`"""
        return f"{self.vendor.removeprefix('0x')}:{self.device.removeprefix('0x')}"


class PciDocument(Struct, frozen=True, kw_only=True):
    """The JSON of the source `pci`; `devices` counts all of the bus, not those that are listed alone."""

    devices: int
    display: tuple[PciDevice, ...]
    accelerators: tuple[PciDevice, ...] = ()


class PciReport(Struct, frozen=True, kw_only=True):
    """NVIDIA's display devices, as phrases; `conclusive` when none on the bus means that there is none.

    `unserved` are those of AMD and Intel without a driver of theirs, `unserved_vendor` whose the first is.
    `display` and `accelerators` are the devices of all makers, in the order of the bus.
    """

    nvidia: tuple[str, ...]
    conclusive: bool
    unserved: tuple[str, ...] = ()
    unserved_vendor: Vendor | None = None
    display: tuple[PciDevice, ...] = ()
    accelerators: tuple[PciDevice, ...] = ()


def parse_pci(reading: Reading | None, host: Host) -> PciReport:
    """What the bus shows of NVIDIA. In WSL and on boards whose GPU is no PCI device it proves nothing."""
    document = parse_json("" if reading is None else reading.text, PciDocument)
    if document is None:
        return PciReport(nvidia=(), conclusive=False)
    counts = Counter(_render_device(device) for device in document.display if device.vendor == _NVIDIA)
    nvidia = tuple(f"{count} x NVIDIA {device}" for device, count in counts.items())
    unserved = [
        device
        for device in document.display
        if device.vendor in _OTHER_MAKERS and device.driver not in _DRIVERS
    ]
    usual = host.wsl is None and host.machine in {"x86_64", "AMD64"}
    return PciReport(
        nvidia=nvidia,
        conclusive=usual and document.devices > 0,
        unserved=tuple(f"{_MAKER_NAMES[device.vendor]} {_render_device(device)}" for device in unserved),
        unserved_vendor=_OTHER_MAKERS[unserved[0].vendor] if unserved else None,
        display=document.display,
        accelerators=document.accelerators,
    )


def parse_pci_gpus(reading: Reading | None) -> SourceReport:
    """GPUs of AMD and Intel that their kernel driver holds, for where none of their programs is installed.

    Their names are PCI ids, `1002:744c`. None are told beside a card of NVIDIA's: there they are mostly the
    processor's own, and the card is what the user means. `found` stays False, as a bus answers no question.
    """
    document = parse_json("" if reading is None else reading.text, PciDocument)
    devices = () if document is None else (*document.display, *document.accelerators)
    if not devices:
        return SourceReport(found=False)
    alone = all(device.vendor != _NVIDIA for device in devices)
    report = build_pci_report([_build_entry(device) for device in devices])
    served = build_pci_report(
        [_build_entry(device) for device in devices if alone and device.driver in _DRIVERS]
    )
    return SourceReport(
        gpus=served.gpus,
        conditions=tuple(condition for condition in report.conditions if condition.id in _SAID_OF_THE_BUS),
        found=False,
    )


def _build_entry(device: PciDevice) -> PciEntry:
    return PciEntry(
        slot=device.slot.lower(),
        class_id=(device.pci_class or "0x0300").removeprefix("0x")[:4],
        vendor_id=device.vendor.removeprefix("0x"),
        device_id=device.device.removeprefix("0x"),
        driver=device.driver,
        driver_told=True,
    )


def _render_device(device: PciDevice) -> str:
    driver = f"kernel driver {device.driver}" if device.driver else "no kernel driver"
    return f"{device.pci_id} ({driver})"
