"""Over recorded output of other people's machines, where that folder lies beside the checkout."""

import pytest
import yaml

from provision.core.parse.facts import parse_probe
from provision.core.parse.os_release import parse_os_release
from provision.model.facts import Outcome, Probe, Reading, Vendor
from tests.core.parse.gpu_names import SHARED_DATA, load_gpu_names

DUMPS = SHARED_DATA / "dumps"
INDEX = DUMPS / "index.yaml"
ENTRIES = yaml.safe_load(INDEX.read_text(encoding="utf-8")) if INDEX.exists() else []
NAMES = load_gpu_names()
SOURCES = {
    "nvidia-smi-xml": "nvidia-smi-xml",
    "nvidia-smi-csv": "nvidia-smi-csv",
    "nvidia-smi-error": "nvidia-smi-csv",
}
# The index's words for what our conditions say.
CONDITIONS = {
    "driver-mismatch": "driver-mismatch",
    "driver-not-loaded": "driver-not-loaded",
    "gpu-lost": "gpu-lost",
    "no-device": "no-device",
    "nvml-library-missing": "nvml-library-missing",
    "nvml-unknown-error": "nvml-error",
    "mig": "mig",
    "mixed-models": "mixed-models",
}

pytestmark = pytest.mark.skipif(not ENTRIES, reason="no recorded dumps beside this checkout")


def _read(entry):
    return (DUMPS / entry["file"]).read_text(encoding="utf-8", errors="replace")


def _has_our_header(entry):
    """Without a header row, or without names, a CSV is not what our own query prints."""
    return entry["kind"] != "nvidia-smi-csv" or "name" in _read(entry).split("\n")[0].split(", ")


READ = [entry for entry in ENTRIES if entry["kind"] in SOURCES and _has_our_header(entry)]


def _parse(entry):
    exit_code = entry["expected"].get("exit_code", 1 if entry["kind"] == "nvidia-smi-error" else 0)
    reading = Reading(
        source=SOURCES[entry["kind"]],
        outcome=Outcome.FAILED if exit_code else Outcome.OK,
        text=_read(entry),
        exit_code=exit_code,
    )
    return parse_probe(Probe(created="", readings=(reading,)), NAMES)


def test_enough_of_them_are_read():
    assert len(READ) >= 30


@pytest.mark.parametrize("entry", READ, ids=lambda entry: entry["file"])
def test_gpus_driver_and_cuda(entry):
    expected = entry["expected"]
    facts = _parse(entry)
    keys = ("name", "memory_mib", "compute_capability", "arch")
    assert [{key: getattr(gpu, key) for key in keys} for gpu in facts.gpus] == [
        {key: gpu[key] for key in keys} for gpu in expected["gpus"]
    ]
    assert [gpu.best_compute_capability for gpu in facts.gpus] == [
        gpu.get("product_compute_capability") for gpu in expected["gpus"]
    ]
    assert (facts.driver, facts.cuda_driver_version) == (expected["driver"], expected["cuda_driver_version"])


@pytest.mark.parametrize("entry", READ, ids=lambda entry: entry["file"])
def test_conditions_and_vendor(entry):
    expected = entry["expected"]
    facts = _parse(entry)
    wanted = {CONDITIONS[word] for word in expected["conditions"] if word in CONDITIONS}
    assert wanted <= {str(condition.id) for condition in facts.conditions}
    if facts.gpus or wanted:
        assert facts.vendor is Vendor(expected["vendor"])


@pytest.mark.parametrize(
    "entry", [entry for entry in ENTRIES if entry["kind"] == "os-release"], ids=lambda entry: entry["file"]
)
def test_os_release(entry):
    distribution = parse_os_release(_read(entry))
    assert {
        "id": distribution.id,
        "version_id": distribution.version_id,
        "id_like": " ".join(distribution.like) or None,
    } == entry["expected"]["os"]
