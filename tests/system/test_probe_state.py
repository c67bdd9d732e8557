"""Made-up roots: what is read of drivers from files, and what of broken files."""

import json
import os
import sys
from pathlib import Path

import pytest

from provision.model.facts import Outcome, Reading
from provision.system.probe_state import probe_machine_state

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a Linux root")

RELEASE = "6.8.0-60-generic"
NO_CARDS = Reading(source="pci", outcome=Outcome.ABSENT)
CARD = {"slot": "0000:01:00.0", "vendor": "0x10de", "device": "0x2c05", "driver": None}
SECURE_BOOT = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
NOTHING = {
    "cards": [],
    "modules": None,
    "nodes": [],
    "secure_boot": None,
    "blacklists": {},
    "nvidia_modprobe": False,
    "wsl_libraries": None,
    "linux_libraries": [],
    "nvidia_mounts": [],
    "nvidia_visible_devices": None,
    "compat_in_path": [],
    "compat_in_cache": [],
    "tegra_release": None,
    "device_tree_model": None,
    "dmi_vendor": None,
    "dmi_product": None,
    "hypervisor": None,
}


def _write(path: Path, content: str | bytes = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _read(root, *, env=None, cards=()):
    pci = NO_CARDS
    if cards:
        text = json.dumps({"devices": 9, "display": list(cards), "accelerators": []})
        pci = Reading(source="pci", outcome=Outcome.OK, text=text)
    reading = probe_machine_state(env or {}, pci, release=RELEASE, system_root=root)
    assert (reading.source, reading.outcome) == ("machine-state", Outcome.OK)
    return json.loads(reading.text)


def test_an_empty_root(tmp_path):
    assert _read(tmp_path) == NOTHING


def test_modules_and_the_command_line(tmp_path):
    _write(
        tmp_path / "proc/modules",
        "nvidia_uvm 4194304 2 - Live 0x0\nnvidia 60000000 40 nvidia_uvm,nvidia_modeset, Live 0x0 (POE)\n"
        "ext4 1 1 - Live 0x0\ni915 4 1 - Live 0x0\n",
    )
    _write(tmp_path / "proc/cmdline", "ro quiet rd.driver.blacklist=nouveau,nova_core splash\n")
    _write(tmp_path / "proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu hypervisor avx2\n\nprocessor\t: 1\n")
    state = _read(tmp_path)
    assert state["modules"] == ["nvidia_uvm", "nvidia", "i915"]
    assert state["blacklists"] == {"nouveau": "/proc/cmdline"}
    assert state["hypervisor"] is True


def test_device_files(tmp_path):
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidiasomething"):
        _write(tmp_path / "dev" / name)
    _write(tmp_path / "dev/dri/renderD128")
    (tmp_path / "dev/nvidia-caps").mkdir()
    nodes = _read(tmp_path)["nodes"]
    assert [(node["path"], node["usable"]) for node in nodes] == [
        ("/dev/nvidia0", True),
        ("/dev/nvidia1", True),
        ("/dev/nvidiactl", True),
        ("/dev/nvidia-uvm", True),
        ("/dev/nvidia-caps", True),
        ("/dev/dri/renderD128", True),
    ]
    assert {node["group"] for node in nodes} == {(tmp_path / "dev").group()}


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may open everything")
def test_device_files_of_others(tmp_path):
    _write(tmp_path / "dev/kfd").chmod(0)
    assert [node["usable"] for node in _read(tmp_path)["nodes"]] == [False]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("updates/dkms/nvidia.ko.zst: kernel/drivers/video.ko", "updates/dkms/nvidia.ko.zst"),
        ("kernel/nvidia-580/nvidia.ko:", "kernel/nvidia-580/nvidia.ko"),
        ("updates/dkms/nvidia-current.ko:", "updates/dkms/nvidia-current.ko"),
        ("updates/dkms/nvidia-tesla-535.ko.xz:", "updates/dkms/nvidia-tesla-535.ko.xz"),
        ("kernel/drivers/video/fbdev/nvidia/nvidiafb.ko:", None),
        ("updates/dkms/nvidia-uvm.ko: updates/dkms/nvidia.ko", None),
        ("updates/dkms/nvidia-current-drm.ko: updates/dkms/nvidia-current.ko", None),
    ],
)
def test_the_module_of_the_running_kernel(tmp_path, line, found):
    _write(tmp_path / f"lib/modules/{RELEASE}/modules.dep", f"kernel/fs/ext4.ko:\n{line}\nkernel/x.ko:\n")
    state = _read(tmp_path, cards=[CARD])
    assert (state["kernel_folder"], state["module_file"], state["other_kernels"]) == (True, found, [])
    assert state["cards"] == [CARD]


def test_the_module_of_other_kernels(tmp_path):
    _write(tmp_path / "lib/modules/6.8.0-59-generic/modules.dep", "updates/dkms/nvidia.ko:\n")
    _write(tmp_path / "lib/modules/6.8.0-58-generic/modules.dep", "kernel/fs/ext4.ko:\n")
    _write(tmp_path / "lib/modules/stray", "")
    state = _read(tmp_path, cards=[CARD])
    assert (state["kernel_folder"], state["module_file"], state["other_kernels"]) == (
        False,
        None,
        ["6.8.0-59-generic"],
    )


def test_module_lists_are_not_read_where_the_driver_is_loaded(tmp_path):
    _write(tmp_path / f"lib/modules/{RELEASE}/modules.dep", "updates/dkms/nvidia.ko:\n")
    _write(tmp_path / "proc/modules", "nvidia 60000000 40 - Live 0x0\n")
    assert "module_file" not in _read(tmp_path, cards=[CARD])


@pytest.mark.parametrize(
    ("data", "secure_boot"),
    [(b"\x06\0\0\0\x01", True), (b"\x06\0\0\0\0", False), (b"\x06\0\0\0", None), (b"", None)],
)
def test_secure_boot(tmp_path, data, secure_boot):
    _write(tmp_path / SECURE_BOOT, data)
    assert _read(tmp_path)["secure_boot"] is secure_boot


def test_blacklists(tmp_path):
    _write(tmp_path / "etc/modprobe.d/a.conf", "# blacklist nvidia\nblacklist nouveau\n")
    _write(tmp_path / "etc/modprobe.d/b.conf", "blacklist nouveau\nblacklist nvidiafb\n")
    _write(tmp_path / "usr/lib/modprobe.d/c.conf", "install nvidia /bin/false\n")
    _write(tmp_path / "etc/modprobe.d/d.txt", "blacklist nvidia\n")
    (tmp_path / "etc/modprobe.d/e.conf").mkdir()
    assert _read(tmp_path)["blacklists"] == {
        "nouveau": "/etc/modprobe.d/a.conf",
        "nvidia": "/usr/lib/modprobe.d/c.conf",
    }


def test_nvidia_modprobe(tmp_path):
    program = _write(tmp_path / "usr/bin/nvidia-modprobe")
    program.chmod(0o644)
    assert _read(tmp_path)["nvidia_modprobe"] is False
    program.chmod(0o4755)
    assert _read(tmp_path)["nvidia_modprobe"] is True


def _write_cache(root, *paths):
    _write(root / "etc/ld.so.cache", b"\0".join([b"glibc-ld.so.cache1.1", *(p.encode() for p in paths), b""]))


def test_driver_libraries_inside_wsl(tmp_path):
    for name in ("libcuda.so.1", "libnvidia-ml.so.1", "libdxcore.so"):
        _write(tmp_path / "usr/lib/wsl/lib" / name, "of Windows")
    (tmp_path / "usr/lib/x86_64-linux-gnu").mkdir(parents=True)
    (tmp_path / "usr/lib/x86_64-linux-gnu/libcuda.so.1").symlink_to("../wsl/lib/libcuda.so.1")
    _write(tmp_path / "usr/lib64/libcuda.so.1")
    _write_cache(tmp_path, "/usr/lib/wsl/lib/libcuda.so.1", "/usr/local/cuda-13.0/compat/libcuda.so.1")
    _write(tmp_path / "usr/local/cuda-13.0/compat/libcuda.so.1", "newer")
    state = _read(tmp_path)
    assert state["wsl_libraries"] == ["libcuda.so.1", "libdxcore.so", "libnvidia-ml.so.1"]
    assert state["linux_libraries"] == []
    _write(tmp_path / "usr/lib/x86_64-linux-gnu/libnvidia-ml.so.580.95.05", "of Linux")
    (tmp_path / "usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1").symlink_to("libnvidia-ml.so.580.95.05")
    assert _read(tmp_path)["linux_libraries"] == ["/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.580.95.05"]


def test_a_link_in_a_circle_is_no_library(tmp_path):
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/libcuda.so.1").symlink_to("libcuda.so.1")
    assert _read(tmp_path)["linux_libraries"] == []


def test_cuda_compat(tmp_path):
    compat = _write(tmp_path / "usr/local/cuda-12.8/compat/libcuda.so.1", "newer").parent
    _write_cache(
        tmp_path, "/usr/local/cuda-12.8/compat/libcuda.so.1", "/usr/local/cuda-9/compat/libcuda.so.1"
    )
    state = _read(tmp_path, env={"LD_LIBRARY_PATH": f":{compat}:/nowhere/compat"})
    assert state["compat_in_path"] == [str(compat)]
    assert state["compat_in_cache"] == ["/usr/local/cuda-12.8/compat"]


def test_what_a_container_was_given(tmp_path):
    _write(
        tmp_path / "proc/self/mountinfo",
        "22 27 0:21 / /proc rw - proc proc rw\n"
        "31 27 8:1 /x /usr/bin/nvidia-smi ro - ext4 /dev/sda1 rw\n"
        "30 27 0:5 / /proc/driver/nvidia rw - tmpfs tmpfs rw\nshort\n",
    )
    state = _read(tmp_path, env={"NVIDIA_VISIBLE_DEVICES": "all"})
    assert state["nvidia_mounts"] == ["/proc/driver/nvidia", "/usr/bin/nvidia-smi"]
    assert state["nvidia_visible_devices"] == "all"


def test_the_board(tmp_path):
    _write(tmp_path / "etc/nv_tegra_release", "# R36 (release), REVISION: 4.3\n# KERNEL_VARIANT: oot\n")
    _write(tmp_path / "proc/device-tree/model", "NVIDIA Jetson AGX Orin Developer Kit\0")
    _write(tmp_path / "sys/class/dmi/id/sys_vendor", "NVIDIA\n")
    _write(tmp_path / "sys/class/dmi/id/product_name", "Jetson\n")
    state = _read(tmp_path)
    assert state == NOTHING | {
        "tegra_release": "# R36 (release), REVISION: 4.3",
        "device_tree_model": "NVIDIA Jetson AGX Orin Developer Kit",
        "dmi_vendor": "NVIDIA",
        "dmi_product": "Jetson",
    }


def test_files_that_are_folders_or_no_text(tmp_path):
    for name in ("proc/modules", "proc/cmdline", "etc/ld.so.cache", "etc/nv_tegra_release", "dev/nvidia0"):
        (tmp_path / name).mkdir(parents=True)
    _write(tmp_path / "sys/class/dmi/id/product_name", b"\xff\xfe\0board")
    _write(tmp_path / "usr/lib/wsl/lib", "a file")
    _write(tmp_path / "proc/cpuinfo", b"flags\xff: \xff\n")
    state = _read(tmp_path)
    assert state["dmi_product"] == "\ufffd\ufffd\0board"
    assert (state["wsl_libraries"], state["hypervisor"], state["modules"]) == (None, False, None)
    assert [node["path"] for node in state["nodes"]] == ["/dev/nvidia0"]
