"""Live cards that only the bus or Windows' list shows, in every mixture of makers."""

import json

import pytest

from provision.core.parse.facts import parse_probe
from provision.core.parse.probe_json import parse_probe_json
from provision.model.facts import Vendor
from tests.core.parse.gpu_names import ROOT, load_gpu_names

DATA = ROOT / "tests" / "data"
NAMES = load_gpu_names()
RADEON = ("0x1002", "0x744c", "0000:03:00.0")
RAPHAEL = ("0x1002", "0x164e", "0000:0c:00.0")
ARC = ("0x8086", "0xe20b", "0000:03:00.0")
IRIS = ("0x8086", "0x46a6", "0000:00:02.0")
RTX_3050_TI = ("0x10de", "0x25a0", "0000:01:00.0")
RTX_5070_TI = ("0x10de", "0x2c05", "0000:01:00.0")
BMC = ("0x1a03", "0x2000", "0000:04:00.0")


def _parse(base, *devices):
    """The saved probe `base` with these display devices on its bus, each (vendor, device, slot) and its driver."""
    probe = json.loads((DATA / "probes" / f"{base}.json").read_text(encoding="utf-8"))
    display = [
        {"slot": slot, "class": "0x030000", "vendor": vendor, "device": device, "driver": driver}
        for (vendor, device, slot), driver in devices
    ]
    for reading in probe["readings"]:
        if reading["source"] == "pci":
            reading.update(outcome="ok", text=json.dumps({"devices": 40, "display": display}))
    return parse_probe(parse_probe_json(json.dumps(probe), base), NAMES)


@pytest.mark.parametrize(
    ("devices", "vendor", "gpus", "said"),
    [
        ([(RADEON, "amdgpu")], Vendor.AMD, [("1002:744c", "gfx1100", None)], {}),
        ([(RADEON, "amdgpu"), (RAPHAEL, "amdgpu")], Vendor.AMD, [("1002:744c", "gfx1100", None)], {}),
        ([(IRIS, "i915"), (ARC, "xe")], Vendor.INTEL, [("8086:e20b", "xe2-hpg", None)], {}),
        (
            [(IRIS, "i915")],
            Vendor.INTEL,
            [("8086:46a6", "xe-lp", True)],
            {"integrated-gpu": "One of the GPUs is part of the processor."},
        ),
        (
            [(RADEON, None)],
            Vendor.AMD,
            [],
            {
                "gpu-not-answering": (
                    "The PCI bus shows AMD 1002:744c (no kernel driver): no driver serves it."
                )
            },
        ),
        (
            [(IRIS, "i915"), (RTX_3050_TI, None)],
            Vendor.NVIDIA,
            [],
            {
                "gpu-not-answering": (
                    "The PCI bus shows 1 x NVIDIA 10de:25a0 (no kernel driver), but no NVIDIA driver answered."
                )
            },
        ),
        (
            [(BMC, "ast")],
            Vendor.NONE,
            [],
            {
                "bmc-vga-present": (
                    "One display device belongs to the board's management controller and cannot compute."
                ),
                "no-gpu": "No GPU was found: the PCI bus shows none.",
            },
        ),
    ],
)
def test_what_the_bus_alone_tells(devices, vendor, gpus, said):
    facts = _parse("nouveau", *devices)
    assert facts.vendor == vendor
    assert [(gpu.pci_id, gpu.arch, gpu.integrated) for gpu in facts.gpus] == gpus
    assert {str(condition.id): condition.message for condition in facts.conditions} == said


@pytest.mark.parametrize("other", [(IRIS, "i915"), (RADEON, "amdgpu")])
def test_a_card_that_answers_is_what_the_user_means(other):
    facts = _parse("rtx5070ti-nvml", other, (RTX_5070_TI, "nvidia"))
    assert (facts.vendor, facts.gpu_source) == (Vendor.NVIDIA, "nvml")
    assert [gpu.name for gpu in facts.gpus] == ["NVIDIA GeForce RTX 5070 Ti"]
    assert facts.conditions == ()


def test_windows_lists_a_card_whose_driver_does_not_answer():
    text = (DATA / "machines" / "windows-cim.json").read_text(encoding="utf-8")
    facts = parse_probe(parse_probe_json(text, "windows-cim"), NAMES)
    assert (facts.vendor, facts.gpus) == (Vendor.NVIDIA, ())
    said = {str(condition.id): condition.message for condition in facts.conditions}
    assert said["gpu-not-answering"] == (
        "The list of devices shows NVIDIA GeForce RTX 5070 Ti, but no NVIDIA driver answered."
    )
