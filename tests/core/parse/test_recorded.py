"""What one machine with an NVIDIA H200 printed, in every form of nvidia-smi: they must all tell the same.

Recorded on 2026-11-21; serial numbers and the UUID were replaced.
"""

from pathlib import Path

import pytest

from provision.core.parse.facts import parse_probe
from provision.core.parse.recognise import build_pasted_probe
from tests.core.parse.gpu_names import load_gpu_names

FOLDER = Path(__file__).parents[2] / "data" / "pastes" / "recorded"
NAMES = load_gpu_names()
UUID = "GPU-5c0ffee5-0200-4abc-8def-000000000200"
MEMORY, DRIVER, CUDA = 143771, "580.159.04", "13.0"
# What each form tells: memory, compute capability, UUID, driver, CUDA.
FORMS = {
    "h200-table.txt": (MEMORY, None, None, DRIVER, CUDA),
    "h200-q.txt": (MEMORY, None, UUID, DRIVER, CUDA),
    "h200-x.xml": (MEMORY, None, UUID, DRIVER, CUDA),
    "h200-L.txt": (None, None, UUID, None, None),
    "h200-csv.csv": (MEMORY, "9.0", UUID, DRIVER, None),
    "h200-csvn.csv": (MEMORY, "9.0", UUID, DRIVER, None),
    "h200-collect.txt": (None, None, None, DRIVER, None),
}


def parse(name):
    text = (FOLDER / name).read_text(encoding="utf-8")
    return parse_probe(build_pasted_probe(text, "2026-11-21T15:00:00+00:00"), NAMES)


@pytest.mark.parametrize(("name", "told"), FORMS.items(), ids=FORMS.keys())
def test_every_form_tells_the_same_gpu(name, told):
    facts = parse(name)
    (gpu,) = facts.gpus
    assert (gpu.name, gpu.arch, gpu.best_compute_capability) == ("NVIDIA H200", "hopper", "9.0")
    assert (gpu.memory_mib, gpu.compute_capability, gpu.uuid) == told[:3]
    assert (facts.vendor, facts.driver, facts.cuda_driver_version) == ("nvidia", *told[3:])


@pytest.mark.parametrize("name", ["h200-version.txt", "h200-proc.txt"])
def test_what_tells_of_the_driver_only(name):
    facts = parse(name)
    assert (facts.vendor, facts.gpus, facts.driver) == ("nvidia", (), DRIVER)


def test_all_of_it_in_one_text():
    """As a person pastes one command after the other: one GPU, with what each of them knows."""
    parts = [f"$ {name}\n{(FOLDER / name).read_text(encoding='utf-8')}" for name in FORMS]
    facts = parse_probe(build_pasted_probe("\n".join(parts), "2026-11-21T15:00:00+00:00"), NAMES)
    (gpu,) = facts.gpus
    assert (gpu.name, gpu.memory_mib, gpu.compute_capability, gpu.uuid) == (
        "NVIDIA H200",
        MEMORY,
        "9.0",
        UUID,
    )
    assert (facts.driver, facts.cuda_driver_version) == (DRIVER, CUDA)
