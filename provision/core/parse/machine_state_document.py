"""The JSON of the source `machine-state`: what the probe read of drivers in files."""

from __future__ import annotations

import re

from msgspec import Struct

_JETSON_WORDS = re.compile(r"Jetson|Tegra|\bOrin\b", re.IGNORECASE)


class Card(Struct, frozen=True, kw_only=True):
    """A display device or accelerator of the PCI bus, ids as in sysfs; `driver` is the kernel's."""

    vendor: str = ""
    device: str = ""
    driver: str | None = None

    @property
    def pci_id(self) -> str:
        """`10de:2c05`"""
        return f"{self.vendor.removeprefix('0x')}:{self.device.removeprefix('0x')}"


class Node(Struct, frozen=True, kw_only=True):
    """A device file; `usable` is whether its permissions let this user read and write it."""

    path: str
    usable: bool = True
    group: str | None = None


class MachineState(Struct, frozen=True, kw_only=True):
    """The JSON of the source `machine-state`; None where the machine does not show it.

    `module_file`, `kernel_folder` and `other_kernels` are about NVIDIA's module in `/lib/modules`, and filled
    only where a card of NVIDIA's lacks it. `blacklists` names the file that keeps a module out.
    """

    cards: tuple[Card, ...] = ()
    modules: tuple[str, ...] | None = None
    nodes: tuple[Node, ...] = ()
    module_file: str | None = None
    kernel_folder: bool | None = None
    other_kernels: tuple[str, ...] = ()
    secure_boot: bool | None = None
    blacklists: dict[str, str] = {}
    nvidia_modprobe: bool = False
    wsl_libraries: tuple[str, ...] | None = None
    linux_libraries: tuple[str, ...] = ()
    nvidia_mounts: tuple[str, ...] = ()
    nvidia_visible_devices: str | None = None
    compat_in_path: tuple[str, ...] = ()
    compat_in_cache: tuple[str, ...] = ()
    tegra_release: str | None = None
    device_tree_model: str | None = None
    dmi_vendor: str | None = None
    dmi_product: str | None = None
    hypervisor: bool | None = None

    def list_cards(self, vendor: str) -> tuple[Card, ...]:
        """The cards of a maker, leaving out those that are handed through to a virtual machine."""
        return tuple(card for card in self.cards if card.vendor == vendor and card.driver != "vfio-pci")

    def list_nodes(self, prefix: str) -> tuple[Node, ...]:
        """The device files whose path begins so."""
        return tuple(node for node in self.nodes if node.path.startswith(prefix))

    @property
    def jetson(self) -> str | None:
        """The model of a Jetson board, as far as it is told; None on anything else."""
        model = self.device_tree_model or ""
        if self.tegra_release is None and not _JETSON_WORDS.search(model):
            return None
        return model or "of an unknown model"
