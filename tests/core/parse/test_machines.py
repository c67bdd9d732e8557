"""Machines in each state that must be told apart: written from the formats of their sources, one recorded."""

import pytest

from provision.core.parse.host import parse_host
from provision.core.parse.machine_state import parse_machine_state
from provision.core.parse.nvml_details import parse_nvml_details
from provision.core.parse.probe_json import parse_probe_json, render_probe_json
from tests.core.parse.gpu_names import ROOT

MACHINES = ROOT / "tests" / "data" / "machines"
UNIFIED = "The GPU has no memory of its own: it uses the system's."
SAID = {
    "amd-not-in-group": {
        "device-nodes-denied": (
            "This user may not open the device files of the GPU: /dev/kfd, /dev/dri/renderD128; they belong "
            "to the group render."
        )
    },
    "amd-rocm": {},
    "container-without-devices": {
        "device-nodes-missing": (
            "NVIDIA's driver is loaded, but no device file of a GPU (/dev/nvidia0) is in this container; "
            "NVIDIA_VISIBLE_DEVICES is 'void', which asks for none."
        )
    },
    "gb10": {
        "dgx-spark": (
            "This is a GB10 machine such as DGX Spark, whose GPU shares the memory of the processor."
        ),
        "unified-memory": UNIFIED,
    },
    # Asked on the machine itself while another process held 20 GiB; UUID and kernel's build left out.
    "h200-memory-taken-recorded": {
        "vm": "This runs in a virtual machine.",
        "gpu-memory-in-use": (
            "21621 of 143771 MiB of GPU 0 (NVIDIA H200) are in use: python3 (process 423) 20998 MiB."
        ),
    },
    "intel-arc": {},
    "jetson-orin": {
        "jetson": (
            "This is a Jetson module (NVIDIA Jetson AGX Orin Developer Kit), whose GPU shares the memory of "
            "the processor."
        ),
        "unified-memory": UNIFIED,
    },
    "macos": {},
    "memory-taken": {
        "gpu-memory-in-use": (
            "13790 of 16303 MiB of GPU 0 (NVIDIA GeForce RTX 5070 Ti) are in use: ollama (process 8821) "
            "12240 MiB, gnome-shell (process 1893) 980 MiB, Xorg (process 1650) 310 MiB."
        )
    },
    "mig-instances": {
        "mig": (
            "GPU 0 (NVIDIA A100-SXM4-80GB) is in MIG mode: a process gets one of its instances "
            "(1 x 3g.40gb with 40192 MiB, 2 x 1g.10gb with 9728 MiB), not all of it."
        )
    },
    "mig-no-instances": {
        "mig-no-instances": (
            "GPU 0 (NVIDIA A100-SXM4-80GB) is in MIG mode and has no instance: CUDA programs cannot use it."
        )
    },
    "module-not-loaded": {
        "driver-not-loaded": (
            "NVIDIA's kernel module was built for 6.8.0-59-generic, but not for this kernel "
            "(6.8.0-60-generic)."
        )
    },
    "nouveau-secure-boot": {
        "nouveau": "The kernel's own driver nouveau holds the NVIDIA GPU 10de:2c05; it cannot run CUDA.",
        "no-driver-installed": (
            "No NVIDIA kernel module is installed for this kernel (6.8.0-60-generic) or for any other."
        ),
        "secure-boot": "Secure boot is on: a kernel module whose key is not enrolled is refused.",
    },
    "uvm-missing": {
        "nvidia-uvm-missing": (
            "CUDA cannot start without nvidia_uvm: the kernel module nvidia_uvm is not loaded."
        )
    },
    "vgpu": {
        "vm": "This runs in a virtual machine (QEMU Standard PC (Q35 + ICH9, 2009)).",
        "vgpu": "The GPU is a share that a hypervisor gave to this virtual machine (vGPU).",
    },
    "windows-cim": {},
    "wsl1": {"wsl1": "This is WSL 1, which gives no access to a GPU."},
    "wsl2": {},
    "wsl2-linux-driver-inside": {
        "wsl-driver-inside": (
            "A Linux driver is installed inside WSL (/usr/lib/x86_64-linux-gnu/libcuda.so.580.95.05, "
            "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.580.95.05), where it can hide the one that Windows "
            "gives in /usr/lib/wsl/lib."
        )
    },
}


@pytest.mark.parametrize("name", sorted(SAID))
def test_what_is_said_of_a_machine(name):
    text = (MACHINES / f"{name}.json").read_text(encoding="utf-8")
    probe = parse_probe_json(text, name)
    assert render_probe_json(probe) == text
    state = parse_machine_state(probe.get("machine-state"), parse_host(probe))
    conditions = (*state.conditions, *parse_nvml_details(probe.get("nvml").text))
    assert {str(condition.id): condition.message for condition in conditions} == SAID[name]


def test_every_machine_is_tested_here():
    assert {path.stem for path in MACHINES.glob("*.json")} == set(SAID)
