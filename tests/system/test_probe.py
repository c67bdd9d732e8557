"""Real runs with fake programs on PATH, on a made-up root: what this machine has does not matter."""

import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from provision.core.parse.facts import parse_probe
from provision.core.parse.probe_json import render_probe_json
from provision.model.facts import Gpu, Outcome, Vendor
from provision.system.probe import probe_machine
from provision.system.probe_nvidia import find_nvidia_smi, find_nvml_library
from provision.system.run import run

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the fakes are shell scripts")

LIMIT_S = 6.0
HEADER = (
    "name, uuid, pci.bus_id, memory.total [MiB], memory.used [MiB], compute_cap, mig.mode.current, "
    "driver_version"
)
ROW = "NVIDIA GeForce RTX 5070 Ti, GPU-1, 00000000:01:00.0, 16303, 921, 12.0, [N/A], 580.95.05"
XML = (
    "<nvidia_smi_log><driver_version>580.95.05</driver_version><cuda_version>13.0</cuda_version>"
    '<gpu id="00000000:01:00.0"><product_name>NVIDIA GeForce RTX 5070 Ti</product_name>'
    "<processes><process_info><process_name>/usr/bin/python3 serve.py --token=sesame</process_name>"
    "</process_info></processes></gpu></nvidia_smi_log>"
)


@pytest.fixture
def machine(tmp_path):
    """A root with nothing in it, and a folder for fakes at the front of PATH."""
    (tmp_path / "root").mkdir()
    (tmp_path / "bin").mkdir()
    path = f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin"
    return SimpleNamespace(root=tmp_path / "root", bin=tmp_path / "bin", env={"PATH": path})


def _write_fake(machine, script, *, mode=0o755):
    fake = machine.bin / "nvidia-smi"
    fake.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    fake.chmod(mode)
    return fake


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _probe(machine, **more):
    """The probe and its facts, which must come in time."""
    start = time.monotonic()
    probe = probe_machine(env=machine.env, root=None, system_root=machine.root, **more)
    assert time.monotonic() - start < LIMIT_S
    return probe, parse_probe(probe)


def _outcomes(probe):
    return {
        reading.source: reading.outcome.value for reading in probe.readings if reading.source.startswith("nv")
    }


def _conditions(facts):
    return {condition.id.value: condition.message for condition in facts.conditions}


UNKNOWN = {
    "gpu-unknown": "Whether this machine has an NVIDIA GPU, and which, is unknown: no source could be read."
}
NO_GPU = {
    "no-gpu": "No NVIDIA GPU was found: neither NVIDIA's driver library nor nvidia-smi is on this machine."
}
ABSENT = {"nvidia-module": "absent", "nvml": "absent"}


def test_nothing_of_nvidia_s(machine):
    probe, facts = _probe(machine)
    assert _outcomes(probe) == {**ABSENT, "nvidia-smi-csv": "absent", "nvidia-smi-xml": "absent"}
    assert facts.vendor is Vendor.NONE
    assert _conditions(facts) == NO_GPU


def test_nvidia_smi_answers_in_both_forms(machine):
    _write_fake(machine, f"case $1 in -q) echo '{XML}';; *) printf '%s\\n' '{HEADER}' '{ROW}';; esac")
    probe, facts = _probe(machine)
    assert _outcomes(probe) == {**ABSENT, "nvidia-smi-csv": "ok", "nvidia-smi-xml": "ok"}
    assert facts.gpus == (
        Gpu(
            name="NVIDIA GeForce RTX 5070 Ti",
            uuid="GPU-1",
            memory_mib=16303,
            memory_used_mib=921,
            compute_capability="12.0",
            arch="blackwell",
            pci_bus_id="00000000:01:00.0",
        ),
    )
    assert (facts.driver, facts.cuda_driver_version, facts.conditions) == ("580.95.05", "13.0", ())


def test_other_programs_arguments_are_not_kept(machine):
    _write_fake(machine, f"echo '{XML}'")
    probe, _ = _probe(machine)
    assert "<process_name>/usr/bin/python3</process_name>" in probe.get("nvidia-smi-xml").text
    assert "sesame" not in render_probe_json(probe)


@pytest.mark.parametrize("script", ["exec sleep 600", "trap '' TERM; sleep 600 & wait; sleep 600"])
def test_nvidia_smi_sleeps(machine, script):
    fake = _write_fake(machine, script)
    probe, facts = _probe(machine)
    assert _outcomes(probe) == {**ABSENT, "nvidia-smi-csv": "timeout", "nvidia-smi-xml": "timeout"}
    assert facts.vendor is None
    assert _conditions(facts) == {
        "nvidia-smi-timeout": f"{fake} gave no answer within 4.5 s and was ended.",
        **UNKNOWN,
    }


def test_nvidia_smi_finds_no_driver(machine):
    said = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
    _write_fake(machine, f'echo "{said}"; exit 9')
    probe, facts = _probe(machine)
    assert [probe.get("nvidia-smi-csv").exit_code, probe.get("nvidia-smi-csv").text] == [9, f"{said}\n"]
    assert facts.vendor is Vendor.NVIDIA
    assert _conditions(facts) == {
        "driver-not-loaded": "NVIDIA's software is installed, but its kernel driver is not loaded.",
        **UNKNOWN,
    }


@pytest.mark.parametrize(
    ("script", "what"),
    [
        ("echo what do you want", "it ended with exit code 0 and printed 'what do you want'"),
        ("printf '\\377\\376\\000\\001'; exit 3", "it ended with exit code 3 and printed '\ufffd\ufffd'"),
        ("exit 1", "it ended with exit code 1 and printed nothing"),
        ("kill -SEGV $$", "it ended with exit code -11 and printed nothing"),
    ],
)
def test_nvidia_smi_prints_nonsense(machine, script, what):
    _write_fake(machine, script)
    _, facts = _probe(machine)
    assert _conditions(facts) == {"nvidia-smi-broken": f"nvidia-smi is of no use here: {what}.", **UNKNOWN}


def test_nvidia_smi_prints_100_megabytes(machine):
    _write_fake(machine, "head -c 100000000 /dev/zero | tr '\\0' 'x'")
    probe, facts = _probe(machine)
    assert max(len(reading.text) for reading in probe.readings) <= 4 * 1024 * 1024
    assert list(_conditions(facts)) == ["nvidia-smi-broken", "gpu-unknown"]


def test_nvidia_smi_prints_without_end(machine):
    _write_fake(machine, "exec yes")
    probe, facts = _probe(machine)
    assert max(len(reading.text) for reading in probe.readings) <= 4 * 1024 * 1024
    assert facts.vendor is None


def test_nvidia_smi_is_not_executable(machine):
    fake = _write_fake(machine, "exit 0", mode=0o644)
    _, facts = _probe(machine)
    assert _conditions(facts) == {
        "nvidia-smi-broken": f"nvidia-smi is of no use here: {fake} is not executable.",
        **UNKNOWN,
    }


def test_nvidia_smi_is_no_program(machine):
    (machine.bin / "nvidia-smi").write_bytes(b"\x00\x01\x02")
    (machine.bin / "nvidia-smi").chmod(0o755)
    _, facts = _probe(machine)
    assert list(_conditions(facts)) == ["nvidia-smi-broken", "gpu-unknown"]


def test_nvidia_smi_is_a_folder(machine):
    (machine.bin / "nvidia-smi").mkdir()
    probe, facts = _probe(machine)
    assert _outcomes(probe) == {**ABSENT, "nvidia-smi-csv": "absent", "nvidia-smi-xml": "absent"}
    assert list(_conditions(facts)) == ["no-gpu"]


def test_a_trusted_program_goes_before_path(machine):
    _write_fake(machine, "exit 0")
    trusted = machine.root / "usr/bin/nvidia-smi"
    _write(trusted, "#!/bin/sh\n")
    trusted.chmod(0o755)
    assert find_nvidia_smi(machine.env, system_root=machine.root, platform="linux").path == trusted


def test_relative_entries_of_path_are_passed_over(machine, monkeypatch):
    _write_fake(machine, "exit 0")
    monkeypatch.chdir(machine.bin.parent)
    env = {"PATH": os.pathsep.join(["", ".", "bin"])}
    assert find_nvidia_smi(env, system_root=machine.root, platform="linux").path is None


def test_entries_of_path_that_cannot_be_looked_at_are_passed_over(machine):
    fake = _write_fake(machine, "exit 0")
    unusable = f"/{'x' * 300}"
    env = {"PATH": f"{unusable}{os.pathsep}{machine.bin}", "LD_LIBRARY_PATH": unusable}
    assert find_nvidia_smi(env, system_root=machine.root, platform="linux").path == fake
    assert find_nvml_library(env, system_root=machine.root, platform="linux") is None


def test_the_library_is_found_where_the_loader_finds_it(machine):
    def find(**env):
        return find_nvml_library(env, system_root=machine.root, platform="linux")

    assert find() is None
    cached = machine.root / "usr/lib/wsl/lib/libnvidia-ml.so.1"
    _write(cached, "")
    assert find() is None
    cache = machine.root / "etc/ld.so.cache"
    cache.parent.mkdir()
    cache.write_bytes(
        b"glibc-ld.so.cache1.1\0\xff\0libnvidia-ml.so.1\0/usr/lib/wsl/lib/libnvidia-ml.so.1\0end"
    )
    assert find() == cached
    named = machine.root.parent / "named" / "libnvidia-ml.so.1"
    _write(named, "")
    assert find(LD_LIBRARY_PATH=f":{named.parent}") == named


def test_a_library_that_cannot_be_loaded_is_absent(machine):
    _write(machine.root / "usr/lib/libnvidia-ml.so.1", "no library")
    probe, facts = _probe(machine)
    library = machine.root / "usr/lib/libnvidia-ml.so.1"
    assert probe.get("nvml").outcome is Outcome.ABSENT
    assert probe.get("nvml").error == f"{library} cannot be loaded"
    assert list(_conditions(facts)) == ["no-gpu"]


def _run_instead(code):
    """A runner whose NVML child runs `code`; everything else is run as it is."""

    def run_child(argv, **options):
        replaced = [sys.executable, "-I", "-c", code] if argv[0] == sys.executable else argv
        return run(replaced, **options)

    return run_child


def test_nvml_hangs_and_nvidia_smi_too(machine):
    _write(machine.root / "usr/lib/libnvidia-ml.so.1", "")
    fake = _write_fake(machine, "exec sleep 600")
    probe, facts = _probe(machine, run=_run_instead("import time; time.sleep(600)"))
    assert _outcomes(probe) == {
        "nvidia-module": "absent",
        "nvml": "timeout",
        "nvidia-smi-csv": "timeout",
        "nvidia-smi-xml": "timeout",
    }
    left_s = probe.get("nvidia-smi-csv").limit_s
    assert _conditions(facts) == {
        "nvml-timeout": "NVML, the driver's library, gave no answer within 3.5 s and was ended.",
        "nvidia-smi-timeout": f"{fake} gave no answer within {left_s:g} s and was ended.",
        **UNKNOWN,
    }


def test_nvml_crashes_and_nvidia_smi_answers(machine):
    _write(machine.root / "usr/lib/libnvidia-ml.so.1", "")
    _write_fake(machine, f"case $1 in -q) echo '{XML}';; *) printf '%s\\n' '{HEADER}' '{ROW}';; esac")
    probe, facts = _probe(
        machine, run=_run_instead("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    )
    assert _outcomes(probe)["nvml"] == "failed"
    assert (facts.gpu_source, len(facts.gpus)) == ("nvidia-smi", 1)
    assert _conditions(facts) == {
        "nvml-error": "NVML, the driver's library, failed: its reader ended with exit code -11."
    }


def test_nvidia_smi_is_not_asked_when_nvml_answers(machine):
    _write(machine.root / "usr/lib/libnvidia-ml.so.1", "")
    _write_fake(machine, "exec sleep 600")
    document = {"schema": 1, "errors": [], "gpu_count": 1, "gpus": [{"index": 0, "name": "NVIDIA L4"}]}
    probe, facts = _probe(machine, run=_run_instead(f"print({json.dumps(document)!r})"))
    assert _outcomes(probe) == {"nvidia-module": "absent", "nvml": "ok"}
    assert facts.gpus == (Gpu(name="NVIDIA L4"),)


def test_the_host(machine):
    _write(machine.root / "etc/os-release", 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12"\nVERSION_ID="12"\n')
    _write(machine.root / "proc/cpuinfo", "processor\t: 0\nmodel name\t: Some CPU\n\nprocessor\t: 1\n")
    _write(machine.root / "proc/1/cgroup", "0::/\n")
    _write(machine.root / ".dockerenv", "")
    slot = machine.root / "sys/bus/pci/devices/0000:01:00.0"
    for name, text in {"class": "0x030000\n", "vendor": "0x10de\n", "device": "0x2c05\n"}.items():
        _write(slot / name, text)
    machine.env |= {"CUDA_VISIBLE_DEVICES": "", "HF_TOKEN": "sesame", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    start = machine.root.parent
    probe = probe_machine(env=machine.env, root=start / "not" / "there", system_root=machine.root)
    facts = parse_probe(probe)
    assert probe.get("cpuinfo").text == "processor\t: 0\nmodel name\t: Some CPU\n"
    assert json.loads(probe.get("environment").text) == {
        "CUDA_VISIBLE_DEVICES": "",
        "KUBERNETES_SERVICE_HOST": "set",
    }
    assert "sesame" not in render_probe_json(probe)
    assert (facts.host.system, facts.host.release) == (os.uname().sysname, os.uname().release)
    assert facts.host.distribution.name == "Debian GNU/Linux 12"
    assert facts.host.cpu_model == "Some CPU"
    assert facts.host.container == "kubernetes"
    assert facts.host.memory_bytes > 2**28
    assert facts.host.disk_free_bytes > 0
    assert facts.vendor is Vendor.NVIDIA
    assert _conditions(facts) == {
        "gpu-not-answering": (
            "The PCI bus shows 1 x NVIDIA 10de:2c05 (no kernel driver), but no NVIDIA driver answered."
        ),
        "cuda-visible-devices": "CUDA_VISIBLE_DEVICES is '': CUDA programs see no GPU.",
        "container": "This runs in a container (kubernetes), which sees only what it was given.",
    }


def test_this_machine_within_a_second_and_its_probe_is_json():
    start = time.monotonic()
    probe = probe_machine(env=dict(os.environ), root=Path.cwd())
    assert time.monotonic() - start < LIMIT_S
    assert msgspec.json.decode(render_probe_json(probe))["schema"] == 1
    assert parse_probe(probe).host.python_version == ".".join(map(str, sys.version_info[:3]))
