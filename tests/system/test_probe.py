"""Real runs with fake programs on PATH, on a made-up root: what this machine has does not matter."""

import json
import os
import sys
import time
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from provision.core.parse.facts import parse_probe
from provision.core.parse.probe_json import render_probe_json
from provision.model.facts import Gpu, Outcome, Vendor
from provision.system.probe import probe_machine
from provision.system.probe_nvidia import build_nvidia_smi_questions, find_nvml_library
from provision.system.probe_program import find_program
from provision.system.run import Completed, run

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
    env = {"PATH": str(tmp_path / "bin")}
    return SimpleNamespace(root=tmp_path / "root", bin=tmp_path / "bin", env=env)


def _write_fake(machine, script, *, mode=0o755, name="nvidia-smi"):
    """A program on PATH, which has nothing else on it: what this machine has installed does not matter."""
    fake = machine.bin / name
    fake.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n", encoding="utf-8")
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
NO_GPU = {"no-gpu": "No GPU was found: neither NVIDIA's driver library nor nvidia-smi is on this machine."}
ABSENT = {"nvidia-module": "absent", "nvml": "absent"}
TABLE = """\
| NVIDIA-SMI 440.64       Driver Version: 440.64       CUDA Version: 10.2     |
|   0  GeForce GTX 108...  Off  | 00000000:01:00.0 Off |                  N/A |
"""


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
            vendor=Vendor.NVIDIA,
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


def _find_nvidia_smi(machine, env):
    question = build_nvidia_smi_questions("linux")[0]
    return find_program(question, env, system_root=machine.root).path


def test_a_trusted_program_goes_before_path(machine):
    _write_fake(machine, "exit 0")
    trusted = machine.root / "usr/bin/nvidia-smi"
    _write(trusted, "#!/bin/sh\n")
    trusted.chmod(0o755)
    assert _find_nvidia_smi(machine, machine.env) == trusted


def test_relative_entries_of_path_are_passed_over(machine, monkeypatch):
    _write_fake(machine, "exit 0")
    monkeypatch.chdir(machine.bin.parent)
    env = {"PATH": os.pathsep.join(["", ".", "bin"])}
    assert _find_nvidia_smi(machine, env) is None


def test_entries_of_path_that_cannot_be_looked_at_are_passed_over(machine):
    fake = _write_fake(machine, "exit 0")
    unusable = f"/{'x' * 300}"
    env = {"PATH": f"{unusable}{os.pathsep}{machine.bin}", "LD_LIBRARY_PATH": unusable}
    assert _find_nvidia_smi(machine, env) == fake
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
    assert [reading.source for reading in probe.readings] == [
        *("host", "environment", "os-release", "cpuinfo", "container", "pci", "nvidia-module"),
        *("proc-driver-nvidia-version", "nvml", "machine-state"),
    ]
    assert facts.gpus == (Gpu(name="NVIDIA L4", vendor=Vendor.NVIDIA),)


def test_the_table_is_asked_when_neither_form_is_understood(machine):
    table = machine.root.parent / "table"
    table.write_text(TABLE, encoding="utf-8")
    _write_fake(machine, f"test $# = 0 && exec cat {table}; echo 'Invalid combination of input'; exit 2")
    probe, _ = _probe(machine)
    assert _outcomes(probe) == {
        **ABSENT,
        "nvidia-smi-csv": "failed",
        "nvidia-smi-xml": "failed",
        "nvidia-smi-table": "ok",
    }
    assert probe.get("nvidia-smi-table").text == TABLE


@pytest.mark.parametrize("script", ["exit 9", "exit 12"])
def test_the_table_is_not_asked_where_it_can_only_say_the_same(machine, script):
    _write_fake(machine, script)
    probe, _ = _probe(machine)
    assert probe.get("nvidia-smi-table") is None


def _write_card(machine, slot, **words):
    for name, text in {"class": "0x030000", **words}.items():
        _write(machine.root / "sys/bus/pci/devices" / slot / name, f"{text}\n")


def _sources_after(probe, source):
    names = [reading.source for reading in probe.readings]
    return names[names.index(source) + 1 :]


def test_programs_of_makers_whose_cards_are_not_on_the_bus_are_not_started(machine):
    _write_card(machine, "0000:00:00.0", **{"class": "0x060000", "vendor": "0x8086", "device": "0x29c0"})
    for name in ("rocminfo", "amd-smi", "rocm-smi", "xpu-smi", "sycl-ls", "lspci"):
        _write_fake(machine, "exec sleep 600", name=name)
    start = time.monotonic()
    probe, _ = _probe(machine)
    assert time.monotonic() - start < 2
    assert _sources_after(probe, "nvml") == ["nvidia-smi-csv", "nvidia-smi-xml", "machine-state"]


@pytest.mark.parametrize(
    ("words", "sources"),
    [
        ({"vendor": "0x1002", "device": "0x744c"}, ["rocminfo", "amd-smi-static", "rocm-smi"]),
        (
            {"vendor": "0x1002", "device": "0x74a1", "class": "0x120000"},
            ["rocminfo", "amd-smi-static", "rocm-smi"],
        ),
        ({"vendor": "0x8086", "device": "0xe20b"}, ["xpu-smi", "sycl-ls"]),
        ({"vendor": "0x1a03", "device": "0x2000"}, []),
        (
            {"vendor": "0x1414", "device": "0x008e"},
            ["rocminfo", "amd-smi-static", "rocm-smi", "xpu-smi", "sycl-ls"],
        ),
    ],
)
def test_programs_are_chosen_by_the_cards_on_the_bus(machine, words, sources):
    _write_card(machine, "0000:03:00.0", **words)
    probe, _ = _probe(machine)
    assert _sources_after(probe, "nvidia-smi-xml") == [*sources, "machine-state"]
    assert {probe.get(source).outcome for source in sources} <= {Outcome.ABSENT}


def test_the_programs_of_a_maker_are_asked_at_once_and_one_may_hang(machine):
    _write_card(machine, "0000:03:00.0", vendor="0x1002", device="0x744c")
    _write_fake(machine, "echo 'ROCk module is loaded'", name="rocminfo")
    _write_fake(machine, "exec sleep 600", name="amd-smi")
    _write_fake(machine, 'echo "$*"; exit 1', name="rocm-smi")
    ticks = count()  # a clock that leaves programs less than a second
    probe, _ = _probe(machine, clock=lambda: next(ticks) * 0.2)
    answers = [probe.get(source) for source in ("rocminfo", "amd-smi-static", "rocm-smi")]
    assert [(reading.outcome.value, reading.text) for reading in answers] == [
        ("ok", "ROCk module is loaded\n"),
        ("timeout", ""),
        ("failed", "--showproductname --showmeminfo vram --showdriverversion --json\n"),
    ]


def test_lspci_is_asked_where_the_kernel_shows_no_bus(machine):
    listed = "Slot:\t0000:01:00.0\nClass:\t0300\nVendor:\t10de\nDevice:\t2c05"
    _write_fake(machine, f"test $1 = -vmmnD && echo '{listed}'", name="lspci")
    probe, _ = _probe(machine)
    assert probe.get("lspci-vmmnD").text == f"{listed}\n"


def _build_answers(answers):
    """A runner that knows programs by their path below the root, and starts none."""
    asked = []

    def answer(argv, *, timeout_s, env, max_output_bytes):
        asked.append(list(argv))
        exit_code, text = answers[Path(argv[0]).name]
        return Completed(argv=tuple(argv), exit_code=exit_code, stdout=text, stderr="", elapsed_s=0.1)

    return answer, asked


def _write_program(machine, path):
    _write(machine.root / path, "")
    (machine.root / path).chmod(0o755)
    return str(machine.root / path)


def test_macos_is_asked_by_its_own_programs(machine):
    profiler = _write_program(machine, "usr/sbin/system_profiler")
    sysctl = _write_program(machine, "usr/sbin/sysctl")
    run_fake, asked = _build_answers(
        {"system_profiler": (0, "Graphics/Displays:"), "sysctl": (1, "hw.model: x")}
    )
    probe, _ = _probe(machine, run=run_fake, platform="darwin")
    assert sorted(asked) == [
        [sysctl, "hw.model", "hw.machine", "hw.memsize", "hw.ncpu", "machdep.cpu.brand_string"],
        [profiler, "SPDisplaysDataType"],
    ]
    assert probe.get("system_profiler").text == "Graphics/Displays:"
    assert (probe.get("sysctl").outcome, probe.get("sysctl").text) == (Outcome.FAILED, "hw.model: x")
    assert probe.get("machine-state") is None


POWERSHELL = "Windows/System32/WindowsPowerShell/v1.0/powershell.exe"


@pytest.mark.parametrize(
    ("exit_code", "sources"), [(0, ["windows-cim"]), (1, ["windows-cim", "windows-wmic"])]
)
def test_windows_is_asked_by_cim_and_only_then_by_wmic(machine, exit_code, sources):
    _write_program(machine, POWERSHELL)
    _write_program(machine, "Windows/System32/wbem/WMIC.exe")
    run_fake, asked = _build_answers({"powershell.exe": (exit_code, "Name : x"), "WMIC.exe": (0, "Name")})
    probe, _ = _probe(machine, run=run_fake, platform="win32")
    assert _sources_after(probe, "nvidia-smi-xml") == sources
    assert [len(argv) for argv in asked] == [5, 5][: len(sources)]


def test_what_the_user_says_is_read_first(machine):
    machine.env |= {"PROVISION_COMPUTE_CAPABILITY": "12.0", "PROVISION_DRIVER": " ", "PROVISION_ROOT": "/x"}
    probe, _ = _probe(machine)
    assert (probe.readings[0].source, probe.readings[0].text) == (
        "override",
        '{"PROVISION_COMPUTE_CAPABILITY":"12.0"}',
    )


def test_variables_that_are_no_text_break_nothing(machine):
    machine.env |= {"PROVISION_GPU_NAME": "x\udcff", "CUDA_VISIBLE_DEVICES": "\udcff"}
    probe, _ = _probe(machine)
    assert probe.get("override").text == '{"PROVISION_GPU_NAME":"x?"}'
    assert probe.get("environment").text == '{"CUDA_VISIBLE_DEVICES":"?"}'


def test_a_file_that_never_answers_costs_its_limit_and_the_rest_goes_on(machine):
    (machine.root / "etc").mkdir()
    os.mkfifo(machine.root / "etc/os-release")
    probe, _ = _probe(machine)
    outcomes = {reading.source: reading.outcome.value for reading in probe.readings}
    assert [name for name, outcome in outcomes.items() if outcome == "timeout"] == [
        *("os-release", "cpuinfo", "container", "pci", "nvidia-module", "proc-driver-nvidia-version"),
    ]
    assert (outcomes["host"], outcomes["machine-state"]) == ("ok", "ok")
    # Somebody has to open the other end, or the thread would outlive the test.
    os.close(os.open(machine.root / "etc/os-release", os.O_WRONLY))


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
