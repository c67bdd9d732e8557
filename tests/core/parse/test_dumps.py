"""Over recorded output of other people's machines, where that folder lies beside the checkout."""

import pytest
import yaml

from provision.core.parse.facts import parse_probe
from provision.core.parse.os_release import parse_os_release
from provision.core.parse.recognise import build_pasted_probe, recognise
from provision.model.facts import Vendor
from tests.core.parse.gpu_names import SHARED_DATA, load_gpu_names

DUMPS = SHARED_DATA / "dumps"
INDEX = DUMPS / "index.yaml"
ENTRIES = yaml.safe_load(INDEX.read_text(encoding="utf-8")) if INDEX.exists() else []
NAMES = load_gpu_names() if ENTRIES else None

pytestmark = pytest.mark.skipif(not ENTRIES, reason="no recorded dumps beside this checkout")

# What the index knows from beside the text: the page that it was taken from, or the name of the file.
NOT_IN_THE_TEXT = {
    "smi-table_2x-rtxpro6000_lxc_590.48.txt": {"container"},
    "smi-table_b300_580.126.txt": {"container"},
    "smi-table_gb200_pod_580.126.txt": {"container"},
    "smi-table_h20_550.144_indented.txt": {"container"},
    "smi-error_command-not-found_bash.txt": {"container"},
    "smi-error_libnvidia-ml-missing_container.txt": {"container"},
    "smi-error_nvml-unknown-error_container.txt": {"container"},
    "smi-error_no-devices_slurm.txt": {"slurm"},
    "smi-table_kata-vm_a5000_535.146.txt": {"vm"},
    "smi-table_tesla-t4_580.82_colab.txt": {"colab"},
    "smi-table_rtx3060_cm5-arm64_580.95.txt": {"aarch64"},
    "smi-table_rtx5070_freebsd-linuxulator_cuda-na.txt": {"freebsd"},
    # A host of virtual GPUs, and just as well a container without the driver's CUDA library.
    "smi-table_a10_vgpu-host_510.47_cuda-na_indented.txt": {"vgpu-host"},
    "smi-csv_gb10_mem-na_units.txt": {"dgx-spark"},
    "smi-version_gb10_580.142.txt": {"dgx-spark"},
    "sys-module-nvidia-version_535.146.txt": {"driver-mismatch"},
    "windows_amdgpu-arch_gfx1100.txt": {"windows"},
}


# What we say beside the index, by rules that it does not apply everywhere.
ALSO_SAID = {
    "aarch64",
    "compute-capability-by-name",
    "compute-capability-unknown",
    "ecc-off",
    "indented-paste",
    "laptop",
    "macos",
    "mig-capable-disabled",
    "name-without-nvidia-prefix",
    "nonzero-pci-domain",
    "old-driver",
    "truncated",
    "unified-memory",
    "unsupported-gpu",
}
# Two outputs in one text, of which the other one tells more.
FIRST_KIND: dict[str, str] = {}


def _get_name(entry):
    return entry["file"].removeprefix("dev/")


def _read(entry):
    return (DUMPS / entry["file"]).read_text(encoding="utf-8", errors="replace")


def _parse(entry):
    return parse_probe(build_pasted_probe(_read(entry), created="2026-11-21T12:00:00Z"), NAMES)


def test_all_of_them_are_here():
    assert len(ENTRIES) == 196


@pytest.mark.parametrize("entry", ENTRIES, ids=_get_name)
def test_the_kind_is_recognised(entry):
    assert recognise(_read(entry))[0] == FIRST_KIND.get(_get_name(entry), entry["kind"])


@pytest.mark.parametrize("entry", ENTRIES, ids=_get_name)
def test_what_it_says(entry):
    expected = entry["expected"]
    facts = _parse(entry)
    got = [
        {key: _shorten(key, _get_ours(gpu, key)) for key in _list_keys(wanted)}
        for gpu, wanted in zip(facts.gpus, expected["gpus"], strict=False)
    ]
    assert got == [{key: _shorten(key, gpu.get(key)) for key in _list_keys(gpu)} for gpu in expected["gpus"]]
    assert len(facts.gpus) == len(expected["gpus"])
    assert facts.vendor == (None if expected["vendor"] is None else Vendor(expected["vendor"]))
    assert (facts.driver, facts.cuda_driver_version) == (expected["driver"], expected["cuda_driver_version"])


def _list_keys(gpu):
    """What is compared: always who it is, the rest where the index has the word."""
    always = ("name", "memory_mib", "compute_capability", "arch", "product_compute_capability")
    return (*always, *(key for key in ("pci_id", "integrated", "marketing_name", "vendor") if key in gpu))


def _get_ours(gpu, key):
    return gpu.best_compute_capability if key == "product_compute_capability" else getattr(gpu, key)


def _shorten(key, value):
    """Tables of PCI ids write the marketing name with NVIDIA before it or without."""
    return value.removeprefix("NVIDIA ") if key == "marketing_name" and value else value


@pytest.mark.parametrize("entry", ENTRIES, ids=_get_name)
def test_conditions(entry):
    found = {str(condition.id) for condition in _parse(entry).conditions}
    wanted = set(entry["expected"]["conditions"]) - NOT_IN_THE_TEXT.get(_get_name(entry), set())
    assert wanted - found == set()
    assert found - wanted - ALSO_SAID == set()


@pytest.mark.parametrize("name", NOT_IN_THE_TEXT)
def test_nothing_is_excused_that_is_found(name):
    entry = next(entry for entry in ENTRIES if _get_name(entry) == name)
    found = {str(condition.id) for condition in _parse(entry).conditions}
    assert NOT_IN_THE_TEXT[name] <= set(entry["expected"]["conditions"])
    assert NOT_IN_THE_TEXT[name] & found == set()


@pytest.mark.parametrize("entry", ENTRIES, ids=_get_name)
def test_versions_and_host(entry):
    expected = entry["expected"]
    facts = _parse(entry)
    words = {
        "torch": "torch",
        "cuda_runtime": "cuda_runtime",
        "rocm": "rocm",
        "nvidia_smi_version": "nvidia_smi",
    }
    for word, key in words.items():
        if word in expected:
            assert (word, facts.versions.get(key)) == (word, expected[word])
    if expected.get("cpu", {}).get("model"):
        assert facts.host.cpu_model == expected["cpu"]["model"]
    if "os" in expected:
        distribution = facts.host.distribution
        assert distribution == parse_os_release(_read(entry))
        assert {
            "id": distribution.id,
            "version_id": distribution.version_id,
            "id_like": " ".join(distribution.like) or None,
        } == expected["os"]
