"""What the state of a machine's drivers means: why a GPU that is there cannot be used, or not yet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from provision.core.parse.json_text import parse_json
from provision.core.parse.machine_state_document import Card, MachineState, Node
from provision.core.parse.plain_conditions import build_plain
from provision.core.parse.source_report import SourceReport
from provision.model.facts import Condition, ConditionId, Host, Reading

_NVIDIA = "0x10de"
_AMD = "0x1002"
_INTEL = "0x8086"
# The kernel's own drivers for NVIDIA's cards; `nova_core` succeeds nouveau.
_OPEN_DRIVERS = ("nouveau", "nova_core")
_VM_WORDS = re.compile(
    r"\b(QEMU|KVM|VMware|VirtualBox|innotek|Xen|Bochs|Parallels|Hyper-V|Virtual Machine|OpenStack"
    r"|Amazon EC2|Google Compute Engine|Firecracker|Kata|HVM domU)\b",
    re.IGNORECASE,
)
_SPARK_WORDS = re.compile(r"GB10\b|DGX[ _]Spark", re.IGNORECASE)
_NO_DEVICES_ASKED = ("", "void", "none")


def parse_machine_state(reading: Reading | None, host: Host) -> SourceReport:
    """Conditions that files alone tell. Never raises for bad text.

    `found` stays False: it is about sources that would know of GPUs, and the state of drivers is none.
    """
    state = parse_json("" if reading is None else reading.text, MachineState)
    if state is None:
        return SourceReport(found=False)
    loaded = "nvidia" in (state.modules or ())
    return SourceReport(conditions=tuple(judge_machine_state(state, host)), nvidia=loaded, found=False)


def judge_machine_state(state: MachineState, host: Host) -> Iterator[Condition]:
    """What is to be said, from the kernel outwards. Where something is not shown, nothing is said of it."""
    if any(card.vendor == _NVIDIA and card.driver == "vfio-pci" for card in state.cards):
        yield build_plain(ConditionId.VFIO_PASSTHROUGH)
    if host.wsl is not None:
        yield from _judge_wsl(state, host)
    elif state.jetson is None:
        yield from _judge_nvidia(state, host)
        yield from _judge_other_makers(state, host)
    yield from _judge_denied(state)
    yield from _judge_compat(state)
    yield from _judge_platform(state, host)


def _judge_nvidia(state: MachineState, host: Host) -> Iterator[Condition]:
    cards = state.list_cards(_NVIDIA)
    if "nvidia" in (state.modules or ()):
        yield from _judge_loaded(state, host)
        return
    held = [card for card in cards if card.driver in _OPEN_DRIVERS]
    if held:
        yield _build_nouveau(held, state)
    if state.modules is None or not cards or any(card.driver == "nvidia" for card in cards):
        return
    condition = _judge_module_file(state, host)
    if not held or condition.id is ConditionId.NO_DRIVER_INSTALLED:
        yield condition
    if state.secure_boot:
        yield _build_secure_boot(installed=state.module_file is not None)


def _judge_module_file(state: MachineState, host: Host) -> Condition:
    """The module is not loaded; here is how much can be seen of the reason."""
    release = f"this kernel ({host.release})" if host.release else "this kernel"
    if host.container is not None:
        # A container has its own /lib/modules, mostly none: it tells nothing of the host's.
        message = "NVIDIA's kernel module is not loaded on the host of this container."
    elif state.module_file is not None:
        message = f"NVIDIA's kernel module is installed for {release}, but not loaded"
        blacklist = state.blacklists.get("nvidia")
        message += f": {blacklist} keeps it from being loaded." if blacklist else "."
    elif state.other_kernels:
        others = ", ".join(state.other_kernels)
        message = f"NVIDIA's kernel module was built for {others}, but not for {release}."
    elif not state.kernel_folder:
        message = (
            "NVIDIA's kernel module is not loaded; whether it is installed cannot be seen, because there are "
            f"no modules of {release} here."
        )
    else:
        message = f"No NVIDIA kernel module is installed for {release} or for any other."
        return Condition(id=ConditionId.NO_DRIVER_INSTALLED, message=message)
    return Condition(id=ConditionId.DRIVER_NOT_LOADED, message=message)


def _judge_loaded(state: MachineState, host: Host) -> Iterator[Condition]:
    """The driver is loaded: are its device files here, and its part for CUDA?"""
    where = "in this container" if host.container is not None else "in /dev"
    gpus = [node for node in state.list_nodes("/dev/nvidia") if node.path[-1].isdigit()]
    if not gpus and not state.list_nodes("/dev/dxg"):
        yield _build_nodes_missing(state, where)
        return
    if "nvidia_uvm" not in (state.modules or ()):
        # Where nvidia-modprobe may, CUDA loads it at its first start: not yet loaded is no fault there.
        if host.container is not None or not state.nvidia_modprobe:
            on = " on the host" if host.container is not None else ""
            yield _build_uvm_missing(f"the kernel module nvidia_uvm is not loaded{on}")
    elif not state.list_nodes("/dev/nvidia-uvm") and (
        host.container is not None or not state.nvidia_modprobe
    ):
        yield _build_uvm_missing(f"its device file /dev/nvidia-uvm is not {where}")


def _judge_wsl(state: MachineState, host: Host) -> Iterator[Condition]:
    if host.wsl == 1:
        yield build_plain(ConditionId.WSL1)
        return
    if state.linux_libraries and host.container is None:
        message = (
            f"A Linux driver is installed inside WSL ({', '.join(state.linux_libraries)}), where it can hide "
            "the one that Windows gives in /usr/lib/wsl/lib."
        )
        yield Condition(id=ConditionId.WSL_DRIVER_INSIDE, message=message)
    if not state.list_nodes("/dev/dxg"):
        message = "The device file /dev/dxg, through which WSL reaches the GPU of Windows, is not here."
        yield Condition(id=ConditionId.DEVICE_NODES_MISSING, message=message)
    elif host.container is None and "libcuda.so.1" not in (state.wsl_libraries or ()):
        message = "Windows gives this WSL no NVIDIA driver: /usr/lib/wsl/lib has no libcuda.so.1."
        yield Condition(id=ConditionId.NO_DRIVER_INSTALLED, message=message)


def _judge_other_makers(state: MachineState, host: Host) -> Iterator[Condition]:
    """AMD and Intel, where no card of NVIDIA's is there: on mixed machines theirs drive the screen."""
    if state.list_cards(_NVIDIA):
        return
    where = "in this container" if host.container is not None else "in /dev"
    amd = state.list_cards(_AMD)
    undriven = [card.pci_id for card in amd if card.driver is None]
    if undriven and state.modules is not None and "amdgpu" not in state.modules:
        message = f"The AMD GPU {', '.join(undriven)} has no kernel driver: amdgpu is not loaded."
        yield Condition(id=ConditionId.DRIVER_NOT_LOADED, message=message)
    if any(card.driver == "amdgpu" for card in amd) and not state.list_nodes("/dev/kfd"):
        message = (
            f"The driver amdgpu is loaded, but the device file /dev/kfd, which ROCm needs, is not {where}."
        )
        yield Condition(id=ConditionId.DEVICE_NODES_MISSING, message=message)
    intel = any(card.driver in {"i915", "xe"} for card in state.list_cards(_INTEL))
    if intel and not amd and not state.list_nodes("/dev/dri/renderD"):
        message = f"Intel's driver is loaded, but no device file /dev/dri/renderD* of the GPU is {where}."
        yield Condition(id=ConditionId.DEVICE_NODES_MISSING, message=message)


def _judge_denied(state: MachineState) -> Iterator[Condition]:
    """Files that this user may not open. Render nodes count only where they are what computing needs."""
    denied = [node for node in state.nodes if not node.usable and _matters(node, state)]
    if not denied:
        return
    paths = ", ".join(node.path for node in denied)
    groups = sorted({node.group for node in denied if node.group not in (None, "root")})
    owners = f"; they belong to the group {' and '.join(str(group) for group in groups)}" if groups else ""
    message = f"This user may not open the device files of the GPU: {paths}{owners}."
    yield Condition(id=ConditionId.DEVICE_NODES_DENIED, message=message)


def _matters(node: Node, state: MachineState) -> bool:
    if node.path == "/dev/nvidia-caps":
        return False
    if node.path.startswith("/dev/dri/") or node.path == "/dev/kfd":
        return not state.list_cards(_NVIDIA) and any(
            card.vendor in (_AMD, _INTEL) and card.driver is not None for card in state.cards
        )
    return True


def _judge_compat(state: MachineState) -> Iterator[Condition]:
    """Newer libcuda beside the driver's: it works on datacenter cards only, elsewhere CUDA gives error 804."""
    if state.compat_in_path:
        how = f"LD_LIBRARY_PATH puts {', '.join(state.compat_in_path)}"
    elif state.compat_in_cache:
        how = f"the loader's cache has {', '.join(dict.fromkeys(state.compat_in_cache))}"
    else:
        return
    message = f"Newer CUDA driver libraries (cuda-compat) may be taken instead of the driver's own: {how}."
    yield Condition(id=ConditionId.CUDA_COMPAT, message=message)


def _judge_platform(state: MachineState, host: Host) -> Iterator[Condition]:
    product = " ".join(part for part in (state.dmi_vendor, state.dmi_product) if part)
    if state.jetson is not None:
        message = f"This is a Jetson module ({state.jetson}), whose GPU shares the memory of the processor."
        yield Condition(id=ConditionId.JETSON, message=message)
    if _SPARK_WORDS.search(product):
        yield build_plain(ConditionId.DGX_SPARK)
    if state.jetson is not None or _SPARK_WORDS.search(product):
        yield build_plain(ConditionId.UNIFIED_MEMORY)
    if host.wsl is None and (state.hypervisor or _VM_WORDS.search(product)):
        what = f"This runs in a virtual machine ({product})." if _VM_WORDS.search(product) else None
        plain = build_plain(ConditionId.VM)
        yield plain if what is None else Condition(id=plain.id, message=what)


def _build_nouveau(held: Sequence[Card], state: MachineState) -> Condition:
    drivers = " and ".join(sorted({str(card.driver) for card in held}))
    cards = ", ".join(card.pci_id for card in held)
    message = f"The kernel's own driver {drivers} holds the NVIDIA GPU {cards}; it cannot run CUDA."
    if state.module_file is not None:
        message = f"{message[:-1]}, and NVIDIA's module, which is installed, cannot take the GPU from it."
    if "nouveau" in drivers and "nouveau" in state.blacklists:
        message = f"{message[:-1]}, although {state.blacklists['nouveau']} is to keep nouveau out."
    return Condition(id=ConditionId.NOUVEAU, message=message)


def _build_secure_boot(*, installed: bool) -> Condition:
    plain = build_plain(ConditionId.SECURE_BOOT)
    if not installed:
        return plain
    message = f"{plain.message[:-1]}, which is the likely reason why NVIDIA's is not loaded."
    return Condition(id=plain.id, message=message)


def _build_nodes_missing(state: MachineState, where: str) -> Condition:
    message = f"NVIDIA's driver is loaded, but no device file of a GPU (/dev/nvidia0) is {where}"
    if state.nvidia_mounts and where != "in /dev":
        message += ", although files of the driver were mounted into it"
    asked = state.nvidia_visible_devices
    if asked is not None and asked.strip() in _NO_DEVICES_ASKED:
        message += f"; NVIDIA_VISIBLE_DEVICES is '{asked.strip()}', which asks for none"
    return Condition(id=ConditionId.DEVICE_NODES_MISSING, message=f"{message}.")


def _build_uvm_missing(what: str) -> Condition:
    message = f"CUDA cannot start without nvidia_uvm: {what}."
    return Condition(id=ConditionId.NVIDIA_UVM_MISSING, message=message)
