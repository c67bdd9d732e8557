"""States of machines, written from the formats of the kernel's files, and what must be said of each."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.core.parse.machine_state import parse_machine_state
from provision.core.parse.source_report import SourceReport
from provision.model.facts import Host, Outcome, Reading

RELEASE = "6.8.0-60-generic"
NODES = ({"path": "/dev/nvidia0"}, {"path": "/dev/nvidiactl"}, {"path": "/dev/nvidia-uvm"})
LOADED = ["nvidia_uvm", "nvidia_drm", "nvidia"]
VM = {"vm": "This runs in a virtual machine."}
SECURE_BOOT = "Secure boot is on: a kernel module whose key is not enrolled is refused"


def _card(driver, vendor="0x10de", device="0x2c05"):
    return {"slot": "0000:01:00.0", "vendor": vendor, "device": device, "driver": driver}


def _judge(*, wsl=None, container=None, **state):
    host = Host(
        system="Linux",
        release=RELEASE,
        machine="x86_64",
        python_version="3.12.3",
        wsl=wsl,
        container=container,
    )
    text = msgspec.json.encode(state).decode()
    report = parse_machine_state(Reading(source="machine-state", outcome=Outcome.OK, text=text), host)
    assert len({condition.id for condition in report.conditions}) == len(report.conditions)
    assert report == SourceReport(
        found=False, nvidia="nvidia" in (state.get("modules") or ()), conditions=report.conditions
    )
    return {condition.id.value: condition.message for condition in report.conditions}


def test_a_machine_in_order_says_nothing():
    assert _judge(cards=[_card("nvidia")], modules=LOADED, nodes=NODES, secure_boot=True) == {}


def test_nothing_shown_says_nothing():
    assert _judge() == {}
    assert _judge(cards=[_card(None)], modules=None) == {}
    assert _judge(cards=[], modules=[], kernel_folder=True) == {}


@pytest.mark.parametrize(
    ("state", "conditions"),
    [
        (
            {"kernel_folder": True},
            {
                "nouveau": "The kernel's own driver nouveau holds the NVIDIA GPU 10de:2c05; it cannot run CUDA.",
                "no-driver-installed": (
                    "No NVIDIA kernel module is installed for this kernel (6.8.0-60-generic) or for any other."
                ),
            },
        ),
        (
            {"module_file": "updates/dkms/nvidia.ko.zst", "kernel_folder": True, "secure_boot": True},
            {
                "nouveau": (
                    "The kernel's own driver nouveau holds the NVIDIA GPU 10de:2c05; it cannot run CUDA, and "
                    "NVIDIA's module, which is installed, cannot take the GPU from it."
                ),
                "secure-boot": f"{SECURE_BOOT}, which is the likely reason why NVIDIA's is not loaded.",
            },
        ),
        (
            {"kernel_folder": False, "blacklists": {"nouveau": "/etc/modprobe.d/nvidia.conf"}},
            {
                "nouveau": (
                    "The kernel's own driver nouveau holds the NVIDIA GPU 10de:2c05; it cannot run CUDA, "
                    "although /etc/modprobe.d/nvidia.conf is to keep nouveau out."
                )
            },
        ),
    ],
)
def test_nouveau_holds_the_card(state, conditions):
    assert _judge(cards=[_card("nouveau")], modules=["nouveau"], **state) == conditions


@pytest.mark.parametrize(
    ("state", "conditions"),
    [
        (
            {"module_file": "updates/dkms/nvidia.ko", "kernel_folder": True, "secure_boot": False},
            {
                "driver-not-loaded": (
                    "NVIDIA's kernel module is installed for this kernel (6.8.0-60-generic), but not loaded."
                )
            },
        ),
        (
            {
                "module_file": "updates/dkms/nvidia.ko",
                "kernel_folder": True,
                "blacklists": {"nvidia": "/lib/modprobe.d/blacklist-nvidia.conf"},
            },
            {
                "driver-not-loaded": (
                    "NVIDIA's kernel module is installed for this kernel (6.8.0-60-generic), but not loaded: "
                    "/lib/modprobe.d/blacklist-nvidia.conf keeps it from being loaded."
                )
            },
        ),
        (
            {"module_file": "updates/dkms/nvidia.ko", "kernel_folder": True, "secure_boot": True},
            {
                "driver-not-loaded": (
                    "NVIDIA's kernel module is installed for this kernel (6.8.0-60-generic), but not loaded."
                ),
                "secure-boot": f"{SECURE_BOOT}, which is the likely reason why NVIDIA's is not loaded.",
            },
        ),
        (
            {"kernel_folder": True, "other_kernels": ["6.8.0-58-generic", "6.8.0-59-generic"]},
            {
                "driver-not-loaded": (
                    "NVIDIA's kernel module was built for 6.8.0-58-generic, 6.8.0-59-generic, but not for this "
                    "kernel (6.8.0-60-generic)."
                )
            },
        ),
        (
            {"kernel_folder": True, "secure_boot": True},
            {
                "no-driver-installed": (
                    "No NVIDIA kernel module is installed for this kernel (6.8.0-60-generic) or for any other."
                ),
                "secure-boot": f"{SECURE_BOOT}.",
            },
        ),
        (
            {"kernel_folder": False},
            {
                "driver-not-loaded": (
                    "NVIDIA's kernel module is not loaded; whether it is installed cannot be seen, because "
                    "there are no modules of this kernel (6.8.0-60-generic) here."
                )
            },
        ),
        (
            {"kernel_folder": False, "container": "docker"},
            {"driver-not-loaded": "NVIDIA's kernel module is not loaded on the host of this container."},
        ),
    ],
)
def test_the_module_is_not_loaded(state, conditions):
    assert _judge(cards=[_card(None)], modules=["ext4"], **state) == conditions


UVM = "CUDA cannot start without nvidia_uvm: "
NO_NODE = "NVIDIA's driver is loaded, but no device file of a GPU (/dev/nvidia0) is "


@pytest.mark.parametrize(
    ("state", "conditions"),
    [
        (
            {"modules": ["nvidia"], "nodes": NODES[:2]},
            {"nvidia-uvm-missing": f"{UVM}the kernel module nvidia_uvm is not loaded."},
        ),
        ({"modules": ["nvidia"], "nodes": NODES[:2], "nvidia_modprobe": True}, {}),
        (
            {"modules": ["nvidia"], "nodes": NODES[:2], "nvidia_modprobe": True, "container": "docker"},
            {"nvidia-uvm-missing": f"{UVM}the kernel module nvidia_uvm is not loaded on the host."},
        ),
        (
            {"modules": LOADED, "nodes": NODES[:2]},
            {"nvidia-uvm-missing": f"{UVM}its device file /dev/nvidia-uvm is not in /dev."},
        ),
        (
            {"modules": LOADED, "nodes": NODES[:2], "container": "podman"},
            {"nvidia-uvm-missing": f"{UVM}its device file /dev/nvidia-uvm is not in this container."},
        ),
        ({"modules": LOADED}, {"device-nodes-missing": f"{NO_NODE}in /dev."}),
        (
            {"modules": LOADED, "container": "docker"},
            {"device-nodes-missing": f"{NO_NODE}in this container."},
        ),
        (
            {
                "modules": LOADED,
                "container": "docker",
                "nodes": [{"path": "/dev/nvidiactl"}],
                "nvidia_visible_devices": "void",
                "nvidia_mounts": ["/proc/driver/nvidia"],
            },
            {
                "device-nodes-missing": (
                    f"{NO_NODE}in this container, although files of the driver were mounted into it; "
                    "NVIDIA_VISIBLE_DEVICES is 'void', which asks for none."
                )
            },
        ),
    ],
)
def test_the_driver_is_loaded_but_not_whole(state, conditions):
    assert _judge(cards=[_card("nvidia")], **state) == conditions


@pytest.mark.parametrize(
    ("nodes", "conditions"),
    [
        (
            [{"path": "/dev/nvidia0", "usable": False, "group": "video"}, *NODES[1:]],
            {
                "device-nodes-denied": (
                    "This user may not open the device files of the GPU: /dev/nvidia0; they belong to the "
                    "group video."
                )
            },
        ),
        ([{"path": "/dev/nvidia-caps", "usable": False}, *NODES], {}),
        ([{"path": "/dev/dri/renderD128", "usable": False, "group": "render"}, *NODES], {}),
    ],
)
def test_device_files_that_may_not_be_opened(nodes, conditions):
    assert _judge(cards=[_card("nvidia")], modules=LOADED, nodes=nodes) == conditions


DXG = [{"path": "/dev/dxg"}]
WSL_LIBRARIES = ["libcuda.so.1", "libdxcore.so", "libnvidia-ml.so.1"]


@pytest.mark.parametrize(
    ("state", "conditions"),
    [
        ({"wsl": 1}, {"wsl1": "This is WSL 1, which gives no access to a GPU."}),
        ({"wsl": 2, "nodes": DXG, "wsl_libraries": WSL_LIBRARIES, "hypervisor": True}, {}),
        (
            {
                "wsl": 2,
                "nodes": DXG,
                "wsl_libraries": WSL_LIBRARIES,
                "linux_libraries": ["/usr/lib/x86_64-linux-gnu/libcuda.so.580.95.05"],
            },
            {
                "wsl-driver-inside": (
                    "A Linux driver is installed inside WSL (/usr/lib/x86_64-linux-gnu/libcuda.so.580.95.05), "
                    "where it can hide the one that Windows gives in /usr/lib/wsl/lib."
                )
            },
        ),
        (
            {"wsl": 2, "nodes": DXG, "wsl_libraries": ["libdxcore.so"]},
            {
                "no-driver-installed": (
                    "Windows gives this WSL no NVIDIA driver: /usr/lib/wsl/lib has no libcuda.so.1."
                )
            },
        ),
        (
            {"wsl": 2, "wsl_libraries": WSL_LIBRARIES},
            {
                "device-nodes-missing": (
                    "The device file /dev/dxg, through which WSL reaches the GPU of Windows, is not here."
                )
            },
        ),
        ({"wsl": 2, "nodes": DXG, "container": "docker", "linux_libraries": ["/usr/lib/libcuda.so.1"]}, {}),
    ],
)
def test_wsl(state, conditions):
    assert _judge(**state) == conditions


@pytest.mark.parametrize(
    ("state", "how"),
    [
        (
            {"compat_in_path": ["/usr/local/cuda-12.8/compat"], "compat_in_cache": ["/x/compat"]},
            "LD_LIBRARY_PATH puts /usr/local/cuda-12.8/compat",
        ),
        (
            {"compat_in_cache": ["/usr/local/cuda-13.0/compat", "/usr/local/cuda-13.0/compat"]},
            "the loader's cache has /usr/local/cuda-13.0/compat",
        ),
    ],
)
def test_cuda_compat(state, how):
    message = f"Newer CUDA driver libraries (cuda-compat) may be taken instead of the driver's own: {how}."
    assert _judge(**state) == {"cuda-compat": message}


UNIFIED = "The GPU has no memory of its own: it uses the system's."


@pytest.mark.parametrize(
    ("state", "conditions"),
    [
        (
            {
                "tegra_release": "# R36 (release), REVISION: 4.3",
                "device_tree_model": "NVIDIA Jetson AGX Orin Developer Kit",
                "modules": ["nvidia", "nvgpu"],
            },
            {
                "jetson": (
                    "This is a Jetson module (NVIDIA Jetson AGX Orin Developer Kit), whose GPU shares the "
                    "memory of the processor."
                ),
                "unified-memory": UNIFIED,
            },
        ),
        (
            {"tegra_release": "# R35 (release)", "container": "docker"},
            {
                "jetson": (
                    "This is a Jetson module (of an unknown model), whose GPU shares the memory of the "
                    "processor."
                ),
                "unified-memory": UNIFIED,
            },
        ),
        (
            {
                "dmi_vendor": "NVIDIA",
                "dmi_product": "NVIDIA_DGX_Spark",
                "cards": [_card("nvidia", device="0x2e12")],
                "modules": LOADED,
                "nodes": NODES,
            },
            {
                "dgx-spark": (
                    "This is a GB10 machine such as DGX Spark, whose GPU shares the memory of the processor."
                ),
                "unified-memory": UNIFIED,
            },
        ),
        ({"device_tree_model": "Raspberry Pi 5 Model B Rev 1.0"}, {}),
        (
            {"dmi_vendor": "QEMU", "dmi_product": "Standard PC (Q35 + ICH9, 2009)", "hypervisor": True},
            {"vm": "This runs in a virtual machine (QEMU Standard PC (Q35 + ICH9, 2009))."},
        ),
        (
            {"dmi_vendor": "Microsoft Corporation", "dmi_product": "Virtual Machine"},
            {"vm": "This runs in a virtual machine (Microsoft Corporation Virtual Machine)."},
        ),
        ({"hypervisor": True, "dmi_vendor": "Dell Inc."}, VM),
        ({"hypervisor": False, "dmi_vendor": "Dell Inc.", "dmi_product": "Precision 7960"}, {}),
        (
            {"cards": [_card("vfio-pci")], "modules": ["vfio_pci"], "kernel_folder": True},
            {
                "vfio-passthrough": (
                    "The GPU is handed through to a virtual machine, so this host cannot use it."
                )
            },
        ),
    ],
)
def test_what_kind_of_machine_it_is(state, conditions):
    assert _judge(**state) == conditions


def _amd(driver):
    return [_card(driver, vendor="0x1002", device="0x744c")]


def _intel(driver):
    return [_card(driver, vendor="0x8086", device="0xe20b")]


KFD = "The driver amdgpu is loaded, but the device file /dev/kfd, which ROCm needs, is not in "


@pytest.mark.parametrize(
    ("state", "conditions"),
    [
        ({"cards": _amd("amdgpu"), "modules": ["amdgpu"], "nodes": [{"path": "/dev/kfd"}]}, {}),
        ({"cards": _amd("amdgpu"), "modules": ["amdgpu"]}, {"device-nodes-missing": f"{KFD}/dev."}),
        (
            {"cards": _amd("amdgpu"), "modules": ["amdgpu"], "container": "docker"},
            {"device-nodes-missing": f"{KFD}this container."},
        ),
        (
            {"cards": _amd(None), "modules": []},
            {"driver-not-loaded": "The AMD GPU 1002:744c has no kernel driver: amdgpu is not loaded."},
        ),
        (
            {
                "cards": _amd("amdgpu"),
                "modules": ["amdgpu"],
                "nodes": [
                    {"path": "/dev/kfd", "usable": False, "group": "render"},
                    {"path": "/dev/dri/renderD128", "usable": False, "group": "render"},
                ],
            },
            {
                "device-nodes-denied": (
                    "This user may not open the device files of the GPU: /dev/kfd, /dev/dri/renderD128; "
                    "they belong to the group render."
                )
            },
        ),
        ({"cards": [*_amd("amdgpu"), _card("nvidia")], "modules": LOADED, "nodes": NODES}, {}),
        (
            {"cards": _intel("xe"), "modules": ["xe"], "container": "podman"},
            {
                "device-nodes-missing": (
                    "Intel's driver is loaded, but no device file /dev/dri/renderD* of the GPU is in this "
                    "container."
                )
            },
        ),
        ({"cards": _intel("xe"), "modules": ["xe"], "nodes": [{"path": "/dev/dri/renderD128"}]}, {}),
    ],
)
def test_other_makers(state, conditions):
    assert _judge(**state) == conditions


HOST = Host(system="Linux", release=RELEASE, machine="x86_64", python_version="3.12.3")


def test_no_reading_and_text_that_is_none():
    assert parse_machine_state(None, HOST) == SourceReport(found=False)
    reading = Reading(source="machine-state", outcome=Outcome.OK, text='{"cards": 3}')
    assert parse_machine_state(reading, HOST) == SourceReport(found=False)


@given(st.text())
def test_it_never_raises(text):
    reading = Reading(source="machine-state", outcome=Outcome.OK, text=text)
    assert parse_machine_state(reading, HOST).found is False
