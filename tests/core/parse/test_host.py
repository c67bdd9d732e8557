import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.core.parse.host import parse_container, parse_cpu_model, parse_host, parse_wsl_version
from provision.core.parse.os_release import parse_os_release
from provision.core.parse.pci import PciDevice, PciReport, parse_pci, parse_pci_gpus
from provision.core.parse.source_report import SourceReport
from provision.model.facts import Distribution, Gpu, Host, Outcome, Probe, Reading, Vendor


@pytest.mark.parametrize(
    ("release", "environment", "version"),
    [
        ("5.15.153.1-microsoft-standard-WSL2", {"WSL_DISTRO_NAME": "Ubuntu"}, 2),
        ("5.15.153.1-microsoft-standard-WSL2", {}, 2),
        ("4.4.0-19041-Microsoft", {"WSL_DISTRO_NAME": "Ubuntu"}, 1),
        ("6.12.9-of-my-own", {"WSL_DISTRO_NAME": "Ubuntu"}, 2),
        ("6.8.0-60-generic", {}, None),
        ("", {}, None),
    ],
)
def test_wsl_version(release, environment, version):
    assert parse_wsl_version(release, environment) == version


@pytest.mark.parametrize(
    ("text", "environment", "kind"),
    [
        ('{"files": ["/.dockerenv"], "cgroup": "0::/\\n"}', {}, "docker"),
        ('{"files": ["/run/.containerenv"], "cgroup": "0::/\\n"}', {}, "podman"),
        ('{"files": [], "cgroup": "4:memory:/docker/0123\\n"}', {}, "docker"),
        ('{"files": [], "cgroup": "0::/kubepods.slice/pod1\\n"}', {}, "kubernetes"),
        ('{"files": ["/.dockerenv"], "cgroup": ""}', {"KUBERNETES_SERVICE_HOST": "set"}, "kubernetes"),
        ('{"files": [], "cgroup": "0::/lxc.payload.web\\n"}', {}, "lxc"),
        ('{"files": [], "cgroup": "0::/\\n"}', {"container": "oci"}, "container"),
        ('{"files": [], "cgroup": "0::/\\n"}', {"container": "podman"}, "podman"),
        ('{"files": [], "cgroup": "0::/\\n"}', {"container": "wsl"}, None),
        ("{}", {"APPTAINER_CONTAINER": "set"}, "apptainer"),
        ('{"files": [], "cgroup": "0::/init.scope\\n"}', {}, None),
        ("no json", {}, None),
        ('{"x":' + "[" * 100_000, {}, None),
    ],
)
def test_container(text, environment, kind):
    assert parse_container(text, environment) == kind


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        (
            'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 24.04.2 LTS"\nID=ubuntu\nID_LIKE=debian\n'
            'VERSION_ID="24.04"\n',
            Distribution(id="ubuntu", name="Ubuntu 24.04.2 LTS", version_id="24.04", like=("debian",)),
        ),
        (
            "# comment\nNAME=Fedora\\ Linux\nID='rocky'\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\n",
            Distribution(id="rocky", name="Fedora Linux", like=("rhel", "centos", "fedora")),
        ),
        ('ID="unclosed\n', Distribution(id="unclosed", name="Linux")),
        ("", None),
        ("no assignment here\n=\n", None),
    ],
)
def test_os_release(text, distribution):
    assert parse_os_release(text) == distribution


@given(st.text())
def test_os_release_never_raises(text):
    assert isinstance(parse_os_release(text), Distribution | None)


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("processor\t: 0\nmodel\t\t: 97\nmodel name\t: AMD Ryzen 9 7950X\n", "AMD Ryzen 9 7950X"),
        ("processor\t: 0\nCPU implementer\t: 0x41\n", None),
        ("", None),
    ],
)
def test_cpu_model(text, model):
    assert parse_cpu_model(text) == model


def test_a_probe_without_readings_leaves_all_unknown():
    probe = Probe(created="", readings=())
    assert parse_host(probe) == Host(system="", release="", machine="", python_version="")


def test_garbled_readings_leave_all_unknown():
    sources = ("host", "environment", "os-release", "cpuinfo", "container")
    readings = tuple(Reading(source=name, outcome=Outcome.OK, text="\x00[]{") for name in sources)
    assert parse_host(Probe(created="", readings=readings)) == Host(
        system="", release="", machine="", python_version=""
    )


@pytest.mark.parametrize(
    ("text", "machine", "wsl", "report"),
    [
        ('{"devices": 6, "display": []}', "x86_64", None, PciReport(nvidia=(), conclusive=True)),
        ('{"devices": 6, "display": []}', "x86_64", 2, PciReport(nvidia=(), conclusive=False)),
        ('{"devices": 6, "display": []}', "aarch64", None, PciReport(nvidia=(), conclusive=False)),
        ('{"devices": 0, "display": []}', "x86_64", None, PciReport(nvidia=(), conclusive=False)),
        (
            '{"devices": 9, "display": ['
            '{"slot": "0000:01:00.0", "vendor": "0x10de", "device": "0x2335", "driver": null},'
            '{"slot": "0000:02:00.0", "vendor": "0x10de", "device": "0x2335", "driver": null},'
            '{"slot": "0000:03:00.0", "class": "0x030000", "vendor": "0x1a03", "device": "0x2000",'
            ' "driver": "ast"}],'
            '"accelerators": [{"slot": "0000:04:00.0", "vendor": "0x1002", "device": "0x74a1"}]}',
            "x86_64",
            None,
            PciReport(
                nvidia=("2 x NVIDIA 10de:2335 (no kernel driver)",),
                conclusive=True,
                display=(
                    PciDevice(slot="0000:01:00.0", vendor="0x10de", device="0x2335"),
                    PciDevice(slot="0000:02:00.0", vendor="0x10de", device="0x2335"),
                    PciDevice(
                        slot="0000:03:00.0",
                        pci_class="0x030000",
                        vendor="0x1a03",
                        device="0x2000",
                        driver="ast",
                    ),
                ),
                accelerators=(PciDevice(slot="0000:04:00.0", vendor="0x1002", device="0x74a1"),),
            ),
        ),
        ("nonsense", "x86_64", None, PciReport(nvidia=(), conclusive=False)),
    ],
)
def test_pci(text, machine, wsl, report):
    host = Host(system="Linux", release="6.8", machine=machine, python_version="3.12.3", wsl=wsl)
    assert parse_pci(Reading(source="pci", outcome=Outcome.OK, text=text), host) == report


def _bus(*display, accelerators=()):
    names = ("slot", "class", "vendor", "device", "driver")
    answer = {
        "devices": 20,
        "display": [dict(zip(names, words, strict=True)) for words in display],
        "accelerators": [dict(zip(names, words, strict=True)) for words in accelerators],
    }
    return Reading(source="pci", outcome=Outcome.OK, text=json.dumps(answer))


RADEON = ("0000:03:00.0", "0x030000", "0x1002", "0x744c", "amdgpu")
ARC = ("0000:04:00.0", "0x030000", "0x8086", "0xe20b", "xe")
PROCESSOR = ("0000:00:02.0", "0x030000", "0x8086", "0x7dd5", "i915")
INSTINCT = ("0000:05:00.0", "0x120000", "0x1002", "0x74a1", "amdgpu")
NPU = ("0000:00:0b.0", "0x120000", "0x8086", "0x7d1d", "intel_vpu")
BMC = ("0000:06:00.0", "0x030000", "0x1a03", "0x2000", "ast")
GEFORCE = ("0000:01:00.0", "0x030000", "0x10de", "0x2c05", None)


def _gpu(pci_id, bus_id, vendor, integrated=None):
    return Gpu(name=pci_id, pci_id=pci_id, pci_bus_id=bus_id, vendor=vendor, integrated=integrated)


@pytest.mark.parametrize(
    ("reading", "gpus", "conditions"),
    [
        (_bus(RADEON), (_gpu("1002:744c", "00000000:03:00.0", Vendor.AMD),), []),
        (_bus(accelerators=[INSTINCT]), (_gpu("1002:74a1", "00000000:05:00.0", Vendor.AMD),), []),
        (
            _bus(PROCESSOR, ARC, accelerators=[NPU]),
            (
                _gpu("8086:7dd5", "00000000:00:02.0", Vendor.INTEL, integrated=True),
                _gpu("8086:e20b", "00000000:04:00.0", Vendor.INTEL),
            ),
            ["npu-present"],
        ),
        (_bus((*RADEON[:4], None)), (), []),
        (_bus((*RADEON[:4], "vfio-pci")), (), []),
        (_bus(GEFORCE, RADEON, BMC), (), ["bmc-vga-present"]),
        (_bus(), (), []),
        (None, (), []),
        (Reading(source="pci", outcome=Outcome.OK, text="nonsense"), (), []),
    ],
)
def test_gpus_that_only_the_bus_tells_of(reading, gpus, conditions):
    report = parse_pci_gpus(reading)
    assert [condition.id.value for condition in report.conditions] == conditions
    assert report == SourceReport(gpus=gpus, conditions=report.conditions, found=False)
