"""Saved probes, written from the formats of the sources, and the facts that they must give."""

from pathlib import Path

import pytest

from provision.core.parse.facts import parse_probe
from provision.core.parse.probe_json import parse_probe_json
from provision.model.facts import (
    Condition,
    ConditionId,
    Distribution,
    Facts,
    Gpu,
    Host,
    Outcome,
    Probe,
    Reading,
    Vendor,
)
from tests.core.parse.gpu_names import ROOT, load_gpu_names

PROBES = ROOT / "tests" / "data" / "probes"
NAMES = load_gpu_names()

UBUNTU = Distribution(id="ubuntu", name="Ubuntu 24.04.2 LTS", version_id="24.04", like=("debian",))
DEBIAN = Distribution(id="debian", name="Debian GNU/Linux 12 (bookworm)", version_id="12")
DOCKER = Condition(
    id=ConditionId.CONTAINER, message="This runs in a container (docker), which sees only what it was given."
)
RTX_5070_TI = Gpu(
    name="NVIDIA GeForce RTX 5070 Ti",
    uuid="GPU-5c0ffee5-0001-4abc-8def-000000005070",
    memory_mib=16303,
    memory_used_mib=921,
    compute_capability="12.0",
    arch="blackwell",
    pci_bus_id="00000000:01:00.0",
    vendor=Vendor.NVIDIA,
)
RTX_4090 = Gpu(
    name="NVIDIA GeForce RTX 4090",
    uuid="GPU-5c0ffee5-0003-4abc-8def-000000004090",
    memory_mib=24564,
    memory_used_mib=1,
    compute_capability="8.9",
    arch="ada",
    pci_bus_id="00000000:01:00.0",
    vendor=Vendor.NVIDIA,
)


def _parse(name, names=NAMES):
    text = (PROBES / f"{name}.json").read_text(encoding="utf-8")
    return parse_probe(parse_probe_json(text, name), names)


def _workstation(**changes):
    values = {
        "system": "Linux",
        "release": "6.8.0-60-generic",
        "machine": "x86_64",
        "distribution": UBUNTU,
        "python_version": "3.12.3",
        "cpu_model": "AMD Ryzen 9 7950X 16-Core Processor",
        "cpu_count": 32,
        "memory_bytes": 67_108_864_000,
        "disk_free_bytes": 512_000_000_000,
    }
    return Host(**{**values, **changes})


def _facts(**changes):
    values = {
        "vendor": Vendor.NVIDIA,
        "gpus": (),
        "gpu_source": None,
        "driver": None,
        "cuda_driver_version": None,
        "conditions": (),
        "host": _workstation(),
    }
    return Facts(**{**values, **changes})


def _condition(name, message):
    return Condition(id=ConditionId(name), message=message)


OLD_DRIVER = _condition(
    "old-driver", "Driver 440.64 is of a branch before 525, too old for wheels of CUDA 12 or 13."
)


def test_rtx_5070_ti_by_nvml():
    assert _parse("rtx5070ti-nvml") == _facts(
        gpus=(RTX_5070_TI,), gpu_source="nvml", driver="580.95.05", cuda_driver_version="13.0"
    )


def test_rtx_5070_ti_by_nvidia_smi():
    assert _parse("rtx5070ti-nvidia-smi") == _facts(
        gpus=(RTX_5070_TI,), gpu_source="nvidia-smi", driver="580.95.05", cuda_driver_version="13.0"
    )


def test_rtx_5070_ti_in_wsl_2():
    facts = _parse("rtx5070ti-wsl2")
    assert (facts.driver, facts.cuda_driver_version, facts.host.wsl) == ("596.21", "13.2", 2)
    assert facts.conditions == (
        _condition("wsl", "This is Linux in WSL 2: the GPU driver is the one of Windows."),
    )


def test_h200_in_a_container():
    assert _parse("h200-nvml") == _facts(
        gpus=(
            Gpu(
                name="NVIDIA H200",
                uuid="GPU-5c0ffee5-0002-4abc-8def-000000000200",
                memory_mib=143771,
                memory_used_mib=545,
                compute_capability="9.0",
                arch="hopper",
                mig_enabled=False,
                pci_bus_id="00000000:97:00.0",
                vendor=Vendor.NVIDIA,
            ),
        ),
        gpu_source="nvml",
        driver="570.172.08",
        cuda_driver_version="12.8",
        conditions=(DOCKER,),
        host=_workstation(
            release="5.15.0-1084-aws",
            cpu_model="Intel(R) Xeon(R) Platinum 8488C",
            cpu_count=16,
            memory_bytes=137_438_953_472,
            disk_free_bytes=64_000_000_000,
            container="docker",
        ),
    )


def test_an_h200_as_it_was_recorded():
    """Taken on a real one on 2026-11-21; only the UUID and the names of its host were changed."""
    facts = _parse("h200-recorded")
    assert facts.gpus == (
        Gpu(
            name="NVIDIA H200",
            uuid="GPU-00000000-1111-2222-3333-444444444444",
            memory_mib=143771,
            memory_used_mib=615,
            compute_capability="9.0",
            arch="hopper",
            mig_enabled=False,
            pci_bus_id="00000000:00:06.0",
            vendor=Vendor.NVIDIA,
        ),
    )
    assert (facts.gpu_source, facts.driver, facts.cuda_driver_version) == ("nvml", "580.159.04", "13.0")
    assert facts.conditions == (DOCKER,)
    assert (facts.host.distribution.name, facts.host.cpu_count) == ("Ubuntu 24.04.3 LTS", 16)


def test_mixed_gpus_of_which_cuda_visible_devices_selects_one():
    assert _parse("mixed-cuda-visible-devices") == _facts(
        gpus=(
            RTX_4090,
            Gpu(
                name="NVIDIA GeForce RTX 3060",
                uuid="GPU-5c0ffee5-0004-4abc-8def-000000003060",
                memory_mib=12288,
                memory_used_mib=1,
                compute_capability="8.6",
                arch="ampere",
                pci_bus_id="00000000:02:00.0",
                vendor=Vendor.NVIDIA,
            ),
        ),
        gpu_source="nvml",
        driver="550.144.03",
        cuda_driver_version="12.4",
        conditions=(
            _condition("multi-gpu", "There is more than one GPU."),
            _condition(
                "mixed-models",
                "The GPUs are not all alike: 1 x NVIDIA GeForce RTX 4090, 1 x NVIDIA GeForce RTX 3060.",
            ),
            _condition("cuda-visible-devices", "CUDA_VISIBLE_DEVICES is '1': CUDA programs see 1 of 2 GPUs."),
        ),
    )


def test_no_gpu():
    assert _parse("no-gpu") == _facts(
        vendor=Vendor.NONE,
        conditions=(_condition("no-gpu", "No GPU was found: the PCI bus shows none."), DOCKER),
        host=_workstation(
            distribution=DEBIAN,
            cpu_model="AMD EPYC",
            cpu_count=2,
            memory_bytes=8_589_934_592,
            disk_free_bytes=20_000_000_000,
            container="docker",
        ),
    )


def test_no_gpu_where_no_pci_bus_is_shown():
    facts = _parse("no-gpu-no-pci")
    assert facts.vendor is Vendor.NONE
    assert facts.conditions == (
        _condition(
            "no-gpu",
            "No GPU was found: neither NVIDIA's driver library nor nvidia-smi is on this machine.",
        ),
    )


def test_driver_library_mismatch():
    assert _parse("driver-mismatch") == _facts(
        driver="570.172.08",
        conditions=(
            _condition(
                "driver-mismatch",
                "The loaded NVIDIA kernel module and the driver's libraries are of different versions, "
                "as after an update of the driver without a restart.",
            ),
            _condition(
                "gpu-unknown",
                "Whether this machine has an NVIDIA GPU, and which, is unknown: no source could be read.",
            ),
        ),
    )


def test_a_driver_too_old_to_tell_the_compute_capability():
    assert _parse("old-driver") == _facts(
        gpus=(
            Gpu(
                name="GeForce GTX 1080 Ti",
                uuid="GPU-5c0ffee5-0005-4abc-8def-000000001080",
                memory_mib=11178,
                memory_used_mib=10,
                compute_capability_by_name="6.1",
                arch="pascal",
                pci_bus_id="00000000:01:00.0",
                vendor=Vendor.NVIDIA,
            ),
        ),
        gpu_source="nvidia-smi",
        driver="440.64",
        cuda_driver_version="10.2",
        conditions=(
            _condition(
                "nvml-error",
                "NVML, the driver's library, failed: nvmlInit gave NVML_ERROR_FUNCTION_NOT_FOUND.",
            ),
            _condition(
                "compute-capability-by-name",
                "The compute capability of GeForce GTX 1080 Ti, 6.1, was inferred from its name, since the "
                "driver does not say.",
            ),
            OLD_DRIVER,
        ),
    )


def test_without_rules_for_names_the_capability_stays_unknown():
    facts = _parse("old-driver", names=None)
    assert facts.gpus[0].best_compute_capability is None
    assert facts.conditions[1:] == (
        _condition(
            "compute-capability-unknown",
            "The compute capability of GeForce GTX 1080 Ti is unknown: the driver does not say.",
        ),
        OLD_DRIVER,
    )


def test_mig():
    facts = _parse("a100-mig")
    assert [gpu.mig_enabled for gpu in facts.gpus] == [True]
    assert facts.conditions == (
        _condition(
            "mig",
            "GPU 0 (NVIDIA A100-SXM4-80GB) is in MIG mode: a process gets an instance of it at most, "
            "never all of it.",
        ),
        _condition("container", "This runs in a container (kubernetes), which sees only what it was given."),
    )


def test_a_gpu_that_nouveau_drives():
    facts = _parse("nouveau")
    assert (facts.vendor, facts.gpus, facts.driver) == (Vendor.NVIDIA, (), None)
    assert facts.conditions == (
        _condition("nouveau", "The kernel's own driver nouveau holds the GPU; it cannot run CUDA."),
        _condition(
            "gpu-not-answering",
            "The PCI bus shows 1 x NVIDIA 10de:2c05 (kernel driver nouveau), but no NVIDIA driver answered.",
        ),
    )


def test_everything_hangs():
    facts = _parse("hung")
    assert (facts.vendor, facts.gpus, facts.driver) == (Vendor.NVIDIA, (), "580.95.05")
    assert facts.conditions == (
        _condition("nvml-timeout", "NVML, the driver's library, gave no answer within 3.5 s and was ended."),
        _condition("nvidia-smi-timeout", "/usr/bin/nvidia-smi gave no answer within 1.5 s and was ended."),
        _condition(
            "gpu-unknown",
            "Whether this machine has an NVIDIA GPU, and which, is unknown: no source could be read.",
        ),
        _condition("aarch64", "The processor is 64-bit ARM."),
    )


def test_one_gpu_of_two_is_lost():
    facts = _parse("gpu-lost")
    assert facts.gpus == (RTX_4090,)
    assert facts.conditions == (
        _condition("gpu-lost", "The driver knows GPU 1 but gets no answer from it any more."),
    )


def test_every_saved_probe_is_tested_here():
    source = Path(__file__).read_text(encoding="utf-8")
    assert [path.stem for path in PROBES.glob("*.json") if f'"{path.stem}"' not in source] == []


def _probe(*readings):
    return Probe(created="", readings=readings)


def test_a_program_that_prints_garbage_proves_nothing():
    facts = parse_probe(_probe(Reading(source="nvidia-smi-csv", outcome=Outcome.OK, text="hi", exit_code=0)))
    assert facts.vendor is None
    assert [str(condition.id) for condition in facts.conditions] == ["nvidia-smi-broken", "gpu-unknown"]


def test_a_program_that_prints_garbage_where_the_bus_shows_no_gpu():
    facts = parse_probe(
        _probe(
            Reading(source="host", outcome=Outcome.OK, text='{"system": "Linux", "machine": "x86_64"}'),
            Reading(source="pci", outcome=Outcome.OK, text='{"devices": 6, "display": []}'),
            Reading(source="nvidia-smi-csv", outcome=Outcome.OK, text="hi", exit_code=0),
        )
    )
    assert facts.vendor is Vendor.NONE
    assert [str(condition.id) for condition in facts.conditions] == ["nvidia-smi-broken", "no-gpu"]


def test_a_container_without_the_devices_of_its_host():
    device = '{"slot": "0000:01:00.0", "vendor": "0x10de", "device": "0x2335", "driver": "nvidia"}'
    facts = parse_probe(
        _probe(
            Reading(source="pci", outcome=Outcome.OK, text=f'{{"devices": 6, "display": [{device}]}}'),
            Reading(source="nvml", outcome=Outcome.OK, text='{"gpu_count": 0}', exit_code=4),
        )
    )
    assert facts.vendor is Vendor.NVIDIA
    assert [str(condition.id) for condition in facts.conditions] == ["no-device"]


@pytest.mark.parametrize(
    ("said", "vendor", "conditions"),
    [
        ("couldn't communicate with the NVIDIA driver", Vendor.NONE, ["driver-not-loaded", "no-gpu"]),
        ("Driver/library version mismatch", Vendor.NVIDIA, ["driver-mismatch", "gpu-unknown"]),
        ("No devices were found", Vendor.NVIDIA, ["no-device"]),
    ],
)
def test_a_bus_without_gpus_against_what_the_driver_says(said, vendor, conditions):
    facts = parse_probe(
        _probe(
            Reading(source="host", outcome=Outcome.OK, text='{"system": "Linux", "machine": "x86_64"}'),
            Reading(source="pci", outcome=Outcome.OK, text='{"devices": 6, "display": []}'),
            Reading(source="nvidia-smi-csv", outcome=Outcome.FAILED, text=said, exit_code=9),
        )
    )
    assert facts.vendor is vendor
    assert [str(condition.id) for condition in facts.conditions] == conditions


def test_an_empty_probe():
    facts = parse_probe(_probe())
    assert (facts.vendor, facts.gpus) == (Vendor.NONE, ())
    assert [str(condition.id) for condition in facts.conditions] == ["no-gpu"]


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("580.95.05\n", "580.95.05"),
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  375.74  Wed Jun 14 01:39:39 PDT 2017\n", "375.74"),
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.144.03  Release Build\n"
            "GCC version:  gcc version 12.3.0\n",
            "550.144.03",
        ),
        ("garbage", None),
    ],
)
def test_the_kernel_module_tells_the_driver(text, version):
    assert (
        parse_probe(_probe(Reading(source="nvidia-module", outcome=Outcome.OK, text=text))).driver == version
    )


def _vmmn(slot, pci_class, vendor, device):
    return f"Slot:\t{slot}\nClass:\t{pci_class}\nVendor:\t{vendor}\nDevice:\t{device}\n\n"


LSPCI = _vmmn("00:00.0", "0600", "8086", "a700") + _vmmn("00:02.0", "0300", "8086", "a780")


def test_a_list_of_devices_adds_to_what_the_driver_said_and_no_gpu_to_it():
    text = LSPCI + _vmmn("01:00.0", "0300", "10de", "2c05")
    gpu = '{"index": 0, "name": "NVIDIA GeForce RTX 5070 Ti", "pci_bus_id": "00000000:01:00.0"}'
    facts = parse_probe(
        _probe(
            Reading(source="nvml", outcome=Outcome.OK, text=f'{{"gpu_count": 1, "gpus": [{gpu}]}}'),
            Reading(source="lspci-vmmnD", outcome=Outcome.OK, text=text),
        ),
        NAMES,
    )
    assert (facts.vendor, facts.gpu_source) == (Vendor.NVIDIA, "nvml")
    assert [(gpu.name, gpu.pci_id) for gpu in facts.gpus] == [("NVIDIA GeForce RTX 5070 Ti", "10de:2c05")]
    assert [str(condition.id) for condition in facts.conditions if condition.id == "truncated"] == []


def test_a_card_that_no_driver_answers_for_is_no_gpu_yet():
    text = LSPCI + _vmmn("01:00.0", "0300", "10de", "2c05")
    device = '{"slot": "0000:01:00.0", "vendor": "0x10de", "device": "0x2c05", "driver": "nouveau"}'
    facts = parse_probe(
        _probe(
            Reading(source="pci", outcome=Outcome.OK, text=f'{{"devices": 6, "display": [{device}]}}'),
            Reading(source="lspci-vmmnD", outcome=Outcome.OK, text=text),
        ),
        NAMES,
    )
    assert (facts.vendor, facts.gpus, facts.gpu_source) == (Vendor.NVIDIA, (), None)
    assert "gpu-not-answering" in {str(condition.id) for condition in facts.conditions}


def test_a_failure_in_the_place_of_a_table_is_no_table():
    facts = parse_probe(
        _probe(Reading(source="nvidia-smi-table", outcome=Outcome.FAILED, text="Segmentation fault"))
    )
    assert (facts.vendor, facts.gpus) == (Vendor.NONE, ())


def test_what_the_user_says_goes_before_what_was_found():
    given = '{"PROVISION_COMPUTE_CAPABILITY": "9.0", "PROVISION_DRIVER": "570.1"}'
    nvml = '{"driver_version": "580.95.05", "gpus": [{"index": 0, "name": "NVIDIA H200"}]}'
    facts = parse_probe(
        _probe(
            Reading(source="override", outcome=Outcome.OK, text=given),
            Reading(source="nvml", outcome=Outcome.OK, text=nvml),
        ),
        NAMES,
    )
    assert [(gpu.name, gpu.compute_capability, gpu.arch) for gpu in facts.gpus] == [
        ("NVIDIA H200", "9.0", "hopper")
    ]
    assert (facts.driver, facts.gpu_source) == ("570.1", "nvml")
    assert "override" in {str(condition.id) for condition in facts.conditions}


def test_cards_of_two_makers_whose_drivers_both_answer():
    rocminfo = (
        "ROCk module is loaded\n=====\nHSA Agents\n=====\n*******\nAgent 2\n*******\n"
        "  Name:                    gfx1100\n  Marketing Name:          AMD Radeon RX 7900 XTX\n"
        "  Vendor Name:             AMD\n  Device Type:             GPU\n"
    )
    nvml = '{"driver_version": "580.95.05", "gpus": [{"index": 0, "name": "NVIDIA H200"}]}'
    facts = parse_probe(
        _probe(
            Reading(source="nvml", outcome=Outcome.OK, text=nvml),
            Reading(source="rocminfo", outcome=Outcome.OK, text=rocminfo),
        ),
        NAMES,
    )
    assert (facts.vendor, [gpu.name for gpu in facts.gpus]) == (Vendor.NVIDIA, ["NVIDIA H200"])
    assert "mixed-vendors" in {str(condition.id) for condition in facts.conditions}
