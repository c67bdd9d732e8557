import re

import pytest

from provision.core.architecture import (
    build_identity,
    choose_architecture,
    choose_capability_by_name,
    parse_architecture,
)
from provision.model.facts import Gpu
from tests.core.parse.gpu_names import SHARED_DATA, load_gpu_names

PCI_NAMES_PATH = SHARED_DATA / "pci_device_names.tsv"
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
