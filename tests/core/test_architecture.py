import re

import pytest
import yaml

from provision.core.architecture import (
    build_identity,
    choose_architecture,
    choose_capability_by_name,
    choose_capability_by_pci_id,
    choose_marketing_name,
    parse_architecture,
)
from provision.model.facts import Gpu, Vendor
from tests.core.parse.gpu_names import SHARED_DATA, load_gpu_names

PCI_NAMES_PATH = SHARED_DATA / "pci_device_names.tsv"
TABLES_PATH = SHARED_DATA / "compute_capability.yaml"
NAMES = load_gpu_names()


@pytest.mark.parametrize(
    ("capability", "arch"),
    [
        ("3.7", "kepler"),
        ("5.2", "maxwell"),
        ("6.1", "pascal"),
        ("7.0", "volta"),
        ("7.2", "volta"),
        ("7.5", "turing"),
        ("8.0", "ampere"),
        ("8.6", "ampere"),
        ("8.7", "ampere"),
        ("8.9", "ada"),
        ("9.0", "hopper"),
        ("10.0", "blackwell"),
        ("10.3", "blackwell"),
        ("11.0", "blackwell"),
        ("12.0", "blackwell"),
        ("12.1", "blackwell"),
        ("8.8", None),
        ("10.7", None),
        ("13.0", None),
        ("", None),
        (None, None),
    ],
)
def test_architecture_of_a_capability(capability, arch):
    assert choose_architecture(capability) == arch


@pytest.mark.parametrize(
    ("text", "arch"),
    [("Ada Lovelace", "ada"), ("Blackwell", "blackwell"), ("Unknown", None), ("", None), (None, None)],
)
def test_architecture_in_the_words_of_the_driver(text, arch):
    assert parse_architecture(text) == arch


@pytest.mark.parametrize(
    ("name", "capability"),
    [
        ("NVIDIA GeForce RTX 5070 Ti", "12.0"),
        ("NVIDIA GeForce RTX 5070 Ti Laptop GPU", "12.0"),
        ("NVIDIA RTX PRO 6000 Blac...", "12.0"),
        ("NVIDIA RTX 6000D", "12.0"),
        ("NVIDIA GB10", "12.1"),
        ("NVIDIA Thor", "11.0"),
        ("NVIDIA B300 SXM6 AC", "10.3"),
        ("NVIDIA GB200", "10.0"),
        ("NVIDIA GH200 480GB", "9.0"),
        ("NVIDIA H20", "9.0"),
        ("NVIDIA RTX 500 Ada Generation Laptop GPU", "8.9"),
        ("NVIDIA L40S", "8.9"),
        ("NVIDIA GeForce RTX 3050 A Laptop GPU", "8.9"),
        ("NVIDIA GeForce RTX 3050 Laptop GPU", "8.6"),
        ("NVIDIA GeForce RTX 2050", "8.6"),
        ("NVIDIA GeForce MX570", "8.6"),
        ("NVIDIA GeForce MX550", "7.5"),
        ("NVIDIA GeForce MX150", "6.1"),
        ("NVIDIA GeForce MX130", "5.0"),
        ("NVIDIA A16-2Q", "8.6"),
        ("NVIDIA A100-SXM4-80GB", "8.0"),
        ("Orin (nvgpu)", "8.7"),
        ("NVIDIA DGX Display", "7.5"),
        ("Quadro RTX 6000", "7.5"),
        ("NVIDIA RTX 6000 Ada Generation", "8.9"),
        ("NVIDIA RTX A6000", "8.6"),
        ("NVIDIA RTX 6000", None),
        ("Tesla V100-SXM2-16GB", "7.0"),
        ("NVIDIA TITAN X (Pascal)", "6.1"),
        ("NVIDIA TITAN Xp", "6.1"),
        ("NVIDIA GeForce GTX TITAN X", "5.2"),
        ("NVIDIA TITAN X", None),
        ("NVIDIA GeForce GT 730", None),
        ("NVIDIA GeForce ...", None),
        ("Graphics Device", None),
        # The chip, as lspci writes it, settles what the product's name leaves open.
        ("GA107M [GeForce RTX 2050]", "8.6"),
        ("GK208B [GeForce GT 730]", "3.5"),
        ("GF108 [GeForce GT 730]", "2.1"),
        ("GP102 [TITAN X]", "6.1"),
        ("GM108M [GeForce MX130]", "5.0"),
        ("GK210GL [Tesla K80]", "3.7"),
        ("GB20B [GB10]", "12.1"),
        ("GB202GL [RTX PRO 6000 Blackwell Server Edition]", "12.0"),
        ("GB100 [B200]", "10.0"),
        ("TU117", "7.5"),
        ("G98 [GeForce 8400 GS]", None),
        ("10de:2c05", None),
        ("", None),
        (None, None),
    ],
)
def test_capability_by_name(name, capability):
    assert choose_capability_by_name(name, NAMES) == capability


def test_every_rule_is_a_pattern_for_a_capability_that_has_an_architecture():
    capabilities = {rule.compute_capability for rule in NAMES.rules} - {None}
    assert [capability for capability in capabilities if choose_architecture(capability) is None] == []
    assert len([re.compile(rule.pattern) for rule in NAMES.rules]) == len(NAMES.rules)


def test_every_target_has_a_pattern_that_can_be_compiled():
    patterns = [pattern for rule in NAMES.targets for pattern in (rule.pattern, rule.pci) if pattern]
    assert len([re.compile(pattern) for pattern in patterns]) >= len(NAMES.targets)
    assert [rule for rule in NAMES.targets if rule.arch is None and rule.integrated is None] == []


def test_pci_ranges_are_ranges_of_hexadecimal_digits():
    ids = [(rule.first, rule.last) for rule in NAMES.pci_rules]
    assert [pair for pair in ids if pair != tuple(sorted(pair))] == []
    assert [digits for pair in ids for digits in pair if not re.fullmatch("[0-9A-F]{4}", digits)] == []


def test_names_that_do_not_tell_say_why():
    assert [rule.pattern for rule in NAMES.rules if rule.compute_capability is None and not rule.why] == []


@pytest.mark.skipif(not PCI_NAMES_PATH.exists(), reason="the table of PCI names is not beside this checkout")
def test_names_agree_with_the_table_of_the_open_kernel_modules():
    rows = [line.split("\t") for line in PCI_NAMES_PATH.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if len(row) == 4 and row[0] != "device_id"]
    differing = {
        row[2]: row[3] for row in rows if choose_capability_by_name(row[2], NAMES) != row[3].strip("-")
    }
    assert len(rows) > 800
    # Two boards of another maker, and one product whose capability the table does not know ("-") either.
    assert differing == {
        "Matrox D-Series D2450": "7.5",
        "Matrox D-Series D2480": "7.5",
        "NVIDIA DRIVE P2021": "-",
    }


@pytest.mark.parametrize(
    ("pci_id", "capability"),
    [
        ("10de:1eb8", "7.5"),
        ("10de:20b0", "8.0"),
        ("10DE:2204", "8.6"),
        ("10de:2330", "9.0"),
        ("10de:2684", "8.9"),
        ("10de:2901", "10.0"),
        ("10de:29bb", None),
        ("10de:2c05", "12.0"),
        ("10de:2e12", "12.1"),
        ("10de:3182", "10.3"),
        ("10de:102d", "3.7"),
        ("10de:1023", "3.5"),
        ("10de:1b80", "6.1"),
        ("10de:1d01", "6.1"),
        ("10de:1db6", "7.0"),
        ("10de:15f8", "6.0"),
        ("10de:13c2", "5.2"),
        ("10de:174d", "5.0"),
        ("10de:1244", "2.1"),
        ("10de:0a20", None),
        ("10de:ffff", None),
        ("10de:", None),
        ("1002:2684", None),
        ("", None),
        (None, None),
    ],
)
def test_capability_by_pci_id(pci_id, capability):
    assert choose_capability_by_pci_id(pci_id, NAMES) == capability


@pytest.mark.parametrize(
    ("pci_id", "name"),
    [
        ("10de:2f04", "NVIDIA GeForce RTX 5070"),
        ("10de:28B9", "NVIDIA RTX 1000 Ada Generation Laptop GPU"),
        ("8086:e20b", "Arc B580"),
        # Sold under two names: which one, the id does not tell.
        ("10de:1e30", None),
        ("8086:2f04", None),
        ("10de", None),
        ("..:2f04", None),
        (None, None),
    ],
)
def test_marketing_name(pci_id, name):
    assert choose_marketing_name(pci_id, NAMES) == name


@pytest.mark.skipif(not PCI_NAMES_PATH.exists(), reason="the table of PCI names is not beside this checkout")
def test_pci_ids_agree_with_the_table_of_the_open_kernel_modules():
    rows = [line.split("\t") for line in PCI_NAMES_PATH.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if len(row) == 4 and row[0] != "device_id"]
    names: dict[str, set[str]] = {}
    for device, _, name, capability in rows:
        assert (
            choose_capability_by_pci_id(f"10de:{device}", NAMES) == capability.strip("-") or capability == "-"
        )
        names.setdefault(device, set()).add(name)
    assert {device: choose_marketing_name(f"10de:{device}", NAMES) for device in names} == {
        device: next(iter(group)) if len(group) == 1 else None for device, group in names.items()
    }


@pytest.mark.parametrize(
    ("vendor", "name", "pci_id", "arch", "integrated"),
    [
        (Vendor.AMD, "AMD Radeon RX 9070 XT", None, "gfx1201", None),
        (Vendor.AMD, "AMD Radeon AI PRO R9700", None, "gfx1201", None),
        (Vendor.AMD, "Navi 31 [Radeon RX 7900 XT/7900 XTX]", "1002:744c", "gfx1100", None),
        (Vendor.AMD, "AMD Radeon RX 7700S", None, "gfx1102", None),
        (Vendor.AMD, "AMD Radeon RX 7700 XT", None, "gfx1101", None),
        (Vendor.AMD, "AMD Radeon RX 6800", None, "gfx1030", None),
        (Vendor.AMD, "AMD Radeon RX 6800M", None, "gfx1031", None),
        (Vendor.AMD, "AMD Radeon RX 6700S", None, "gfx1032", None),
        (Vendor.AMD, None, "1002:73df", "gfx1031", None),
        (Vendor.AMD, "0x738c", "1002:738c", "gfx908", None),
        (Vendor.AMD, "AMD Instinct MI250X/MI250", None, "gfx90a", None),
        (Vendor.AMD, "AMD Instinct MI325X", None, "gfx942", None),
        (Vendor.AMD, "AMD Radeon 780M Graphics", None, "gfx1103", True),
        (Vendor.AMD, "Radeon 8060S Graphics", None, "gfx1151", True),
        (Vendor.AMD, "AMD Radeon(TM) Graphics", None, None, True),
        (Vendor.AMD, "AMD Radeon RX 12345", None, None, None),
        (Vendor.INTEL, "Intel(R) Arc(TM) A770 Graphics", None, "xe-hpg", None),
        (Vendor.INTEL, "Intel(R) Arc(TM) B580 Graphics", None, "xe2-hpg", None),
        # A GPU of the processor, whatever the letter says.
        (Vendor.INTEL, "Intel(R) Arc(TM) B390 GPU", None, "xe3-lpg", True),
        (Vendor.INTEL, "Intel(R) Arc(TM) 140V GPU (16GB)", None, "xe2-lpg", True),
        (Vendor.INTEL, "Intel(R) Arc(TM) Graphics", None, None, None),
        (Vendor.INTEL, "Intel(R) Arc(TM) Graphics", "8086:7d55", "xe-lpg", True),
        (Vendor.INTEL, "Intel(R) UHD Graphics 730", None, "xe-lp", True),
        (Vendor.INTEL, "Intel(R) UHD Graphics", None, None, True),
        (Vendor.INTEL, "Intel(R) UHD Graphics", "8086:9bc4", "intel-gen9.5", True),
        (Vendor.INTEL, "Intel(R) Iris(R) Xe MAX Graphics", None, "xe-lp", None),
        (Vendor.INTEL, "Intel(R) Iris(R) Xe Graphics", None, "xe-lp", True),
        (Vendor.INTEL, "Intel(R) Data Center GPU Max 1550", None, "xe-hpc", None),
        (Vendor.INTEL, "8086:a788", "8086:a788", "xe-lp", True),
        (Vendor.APPLE, "Apple M4 Max", None, "apple-m4", None),
        (Vendor.APPLE, "Apple A18 Pro", None, "apple-a18", None),
        (Vendor.APPLE, "Apple Paravirtual device", None, None, None),
    ],
)
def test_architectures_of_other_makers(vendor, name, pci_id, arch, integrated):
    gpu = build_identity(Gpu(name=name, vendor=vendor, pci_id=pci_id), NAMES)
    assert (gpu.arch, gpu.integrated, gpu.best_compute_capability) == (arch, integrated, None)


def test_the_target_that_the_tool_named_wins_over_the_tables():
    gpu = Gpu(name="AMD Radeon RX 6800", vendor=Vendor.AMD, arch="gfx9999", pci_id="1002:73bf")
    assert build_identity(gpu, NAMES) == gpu


@pytest.mark.skipif(not TABLES_PATH.exists(), reason="the tables of targets are not beside this checkout")
def test_targets_agree_with_the_tables_of_amd_and_llvm():
    rows = yaml.safe_load(TABLES_PATH.read_text(encoding="utf-8"))["amd_gfx"]
    by_name = [(row["gfx"], product.replace("(XT)", "XT")) for row in rows for product in row["products"]]
    by_id = [(row["gfx"], str(device)) for row in rows for device in row.get("pci", [])]
    assert len(by_name) > 40
    assert [
        (product, arch)
        for arch, product in by_name
        if build_identity(Gpu(name=product, vendor=Vendor.AMD), NAMES).arch != arch
    ] == []
    differing = {
        device: arch
        for arch, device in by_id
        if build_identity(Gpu(name=None, vendor=Vendor.AMD, pci_id=f"1002:{device}"), NAMES).arch != arch
    }
    # The PRO V710: a Navi 32 (gfx1101) by AMD's specifications, gfx1100 by rocm_agent_enumerator. Left unknown.
    assert differing == {"7460": "gfx1100", "7461": "gfx1100"}


@pytest.mark.parametrize(
    "name", [None, "unknown", "Device", "Device 2f04", "0x2f04", "10de:2f04", "Graphics Device"]
)
def test_a_gpu_that_has_an_id_for_a_name_gets_one_from_the_table(name):
    gpu = build_identity(Gpu(name=name, pci_id="10de:2f04"), NAMES)
    assert (gpu.name, gpu.marketing_name) == (name, "NVIDIA GeForce RTX 5070")
    assert (gpu.compute_capability_by_name, gpu.arch) == ("12.0", "blackwell")


def test_a_gpu_with_a_name_keeps_it():
    gpu = build_identity(Gpu(name="NVIDIA GeForce RTX 5070", pci_id="10de:2f04"), NAMES)
    assert gpu.marketing_name is None


def test_a_name_and_an_id_that_contradict_each_other_tell_nothing():
    gpu = Gpu(name="NVIDIA GeForce RTX 3090", pci_id="10de:2f04")
    assert build_identity(gpu, NAMES) == gpu


def test_the_id_settles_what_the_name_leaves_open():
    gpu = build_identity(Gpu(name="NVIDIA RTX 6000", pci_id="10de:26b1"), NAMES)
    assert (gpu.compute_capability_by_name, gpu.arch) == ("8.9", "ada")


def test_the_driver_s_capability_wins_over_the_name():
    gpu = Gpu(name="NVIDIA GeForce RTX 5070 Ti", compute_capability="8.9")
    assert build_identity(gpu, NAMES) == Gpu(
        name="NVIDIA GeForce RTX 5070 Ti", compute_capability="8.9", arch="ada"
    )


def test_a_name_against_the_driver_s_architecture_is_not_believed():
    gpu = Gpu(name="NVIDIA GeForce RTX 5070 Ti", arch="ada")
    assert build_identity(gpu, NAMES) == gpu


def test_an_unknown_capability_keeps_the_driver_s_architecture():
    gpu = Gpu(name="NVIDIA Something", compute_capability="8.8", arch="ada")
    assert build_identity(gpu, NAMES) == gpu


def test_without_rules_the_name_says_nothing():
    gpu = Gpu(name="NVIDIA GeForce RTX 5070 Ti")
    assert build_identity(gpu, None) == gpu
