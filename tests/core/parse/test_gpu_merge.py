import pytest

from provision.core.parse.gpu_merge import GpuChoice, choose_gpus, judge_vendor
from provision.core.parse.source_report import SourceReport
from provision.model.facts import Gpu, Vendor

UUID = "GPU-5c0ffee5-0071-4abc-8def-000000004090"
NVIDIA = frozenset({Vendor.NVIDIA})


def _nvidia(name, **more):
    return Gpu(name=name, vendor=Vendor.NVIDIA, **more)


def _report(*gpus):
    return SourceReport(gpus=gpus)


def test_the_most_telling_source_wins_and_others_complete_it():
    choice = choose_gpus(
        {
            "lspci-vmmnD": _report(
                _nvidia("AD102 [GeForce RTX 4090]", pci_bus_id="01:00.0", pci_id="10de:2684")
            ),
            "nvidia-smi-L": _report(Gpu(name="NVIDIA GeForce RTX 4090", uuid=UUID)),
            "nvidia-smi-table": _report(
                Gpu(name="NVIDIA GeForce RTX 4090", memory_mib=24564, pci_bus_id="00000000:01:00.0")
            ),
        }
    )
    assert choice == GpuChoice(
        gpus=(
            _nvidia(
                "NVIDIA GeForce RTX 4090",
                uuid=UUID,
                memory_mib=24564,
                pci_bus_id="00000000:01:00.0",
                pci_id="10de:2684",
            ),
        ),
        source="nvidia-smi-table",
        vendors=NVIDIA,
    )


def test_a_name_that_was_cut_short_is_completed():
    choice = choose_gpus(
        {
            "nvidia-smi-table": _report(Gpu(name="NVIDIA GeForce RTX 2080 ...")),
            "nvidia-smi-L": _report(Gpu(name="NVIDIA GeForce RTX 2080 SUPER")),
        }
    )
    assert [gpu.name for gpu in choice.gpus] == ["NVIDIA GeForce RTX 2080 SUPER"]


@pytest.mark.parametrize(
    "others",
    [
        (Gpu(name="NVIDIA GeForce RTX 3060", uuid=UUID),),
        (Gpu(name="Tesla T4", uuid=UUID), Gpu(name="Tesla T4", uuid=UUID[:-1] + "1")),
        (Gpu(name="AMD Radeon RX 7900 XTX", uuid=UUID, vendor=Vendor.AMD),),
    ],
)
def test_what_speaks_of_another_gpu_completes_nothing(others):
    choice = choose_gpus(
        {"nvidia-smi-table": _report(Gpu(name="Tesla T4")), "nvidia-smi-L": _report(*others)}
    )
    assert choice.gpus == (_nvidia("Tesla T4"),)


def test_gpus_are_matched_by_address_not_by_place():
    choice = choose_gpus(
        {
            "nvidia-smi-csv": _report(
                Gpu(name="A", pci_bus_id="00000000:01:00.0"), Gpu(name="B", pci_bus_id="00000000:02:00.0")
            ),
            "lspci": _report(
                _nvidia("b", pci_bus_id="02:00.0", pci_id="10de:0002"),
                _nvidia("a", pci_bus_id="0000:01:00.0", pci_id="10de:0001"),
            ),
        }
    )
    assert [(gpu.name, gpu.pci_id) for gpu in choice.gpus] == [("A", "10de:0001"), ("B", "10de:0002")]


@pytest.mark.parametrize(
    ("vendors", "vendor"),
    [
        ((), None),
        ((None,), Vendor.NVIDIA),
        ((Vendor.AMD, Vendor.AMD), Vendor.AMD),
        ((Vendor.INTEL, Vendor.NVIDIA), Vendor.MIXED),
    ],
)
def test_the_vendor_of_all(vendors, vendor):
    assert judge_vendor([Gpu(name="x", vendor=item) for item in vendors]) is vendor
