"""Which display devices the PCI bus shows, and whether their absence there means anything."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

from provision.core.parse.json_text import parse_json
from provision.model.facts import Host, Reading

_NVIDIA = "0x10de"


class PciDevice(Struct, frozen=True, kw_only=True):
    """One display device. Ids are as sysfs gives them, `0x10de`; `driver` is the kernel's."""

    slot: str
    vendor: str
    device: str
    driver: str | None = None


class PciDocument(Struct, frozen=True, kw_only=True):
    """The JSON of the source `pci`; `devices` counts all of the bus, not the display devices alone."""

    devices: int
    display: tuple[PciDevice, ...]


class PciReport(Struct, frozen=True, kw_only=True):
    """NVIDIA's display devices, as phrases; `conclusive` when none on the bus means that there is none."""

    nvidia: tuple[str, ...]
    conclusive: bool


def parse_pci(reading: Reading | None, host: Host) -> PciReport:
    """What the bus shows of NVIDIA. In WSL and on boards whose GPU is no PCI device it proves nothing."""
    document = parse_json("" if reading is None else reading.text, PciDocument)
    if document is None:
        return PciReport(nvidia=(), conclusive=False)
    counts = Counter(_render_device(device) for device in document.display if device.vendor == _NVIDIA)
    nvidia = tuple(f"{count} x NVIDIA {device}" for device, count in counts.items())
    usual = host.wsl is None and host.machine in {"x86_64", "AMD64"}
    return PciReport(nvidia=nvidia, conclusive=usual and document.devices > 0)


def _render_device(device: PciDevice) -> str:
    driver = f"kernel driver {device.driver}" if device.driver else "no kernel driver"
    return f"10de:{device.device.removeprefix('0x')} ({driver})"
