"""What CUDA_VISIBLE_DEVICES leaves, as the CUDA runtime reads it."""

import pytest

from provision.core.parse.conditions import build_cuda_visible_devices
from provision.core.visible_devices import choose_visible, find_invalid_entry
from provision.model.facts import Gpu, Vendor

FIRST = Gpu(name="NVIDIA L40S", uuid="GPU-1a2b0001-aaaa", vendor=Vendor.NVIDIA)
SECOND = Gpu(name="NVIDIA L40S", uuid="GPU-1a2b0002-bbbb", vendor=Vendor.NVIDIA)
TWO = (FIRST, SECOND)


@pytest.mark.parametrize(
    ("value", "visible", "ended_by"),
    [
        ("0", (FIRST,), None),
        ("1,0", (SECOND, FIRST), None),
        (" 1 , 0 ", (SECOND, FIRST), None),
        ("0,7,1", (FIRST,), "7"),
        ("7", (), "7"),
        ("0,-1,1", (FIRST,), "-1"),
        ("", (), ""),
        ("none", (), "none"),
        ("0,0", (), "0"),
        ("0,GPU-1a2b0002", (FIRST,), "GPU-1a2b0002"),
        ("GPU-1a2b0002", (SECOND,), None),
        ("GPU-1a2b0002-bbbb,GPU-1a2b0001", (SECOND, FIRST), None),
        ("GPU-1a2b", (), "GPU-1a2b"),
        ("GPU-ffff,GPU-1a2b0001", (), "GPU-ffff"),
        ("GPU-1a2b0001,1", (FIRST,), "1"),
    ],
)
def test_the_list_is_read_up_to_what_is_no_device(value, visible, ended_by):
    assert choose_visible(value, TWO) == visible
    assert find_invalid_entry(value, TWO) == ended_by


@pytest.mark.parametrize(
    ("value", "gpus", "seen"),
    [
        ("1", TWO, "1 of 2 GPUs"),
        ("0,1", TWO, "2 of 2 GPUs"),
        ("0,9", TWO, "1 of 2 GPUs, since the list ends at '9'"),
        ("9", TWO, "no GPU, since the list ends at '9'"),
        ("GPU-dead", TWO, "no GPU, since the list ends at 'GPU-dead'"),
        ("-1", TWO, "no GPU"),
        ("", (), "no GPU"),
        ("0", (FIRST,), "the one GPU"),
        ("0", (), "that selection"),
        ("0", (Gpu(name="AMD Radeon RX 7900 XTX", vendor=Vendor.AMD),), "that selection"),
        ("MIG-5e0c", TWO, "the MIG instances that it names"),
    ],
)
def test_the_sentence_counts(value, gpus, seen):
    condition = build_cuda_visible_devices(value, gpus)
    assert condition.message == f"CUDA_VISIBLE_DEVICES is '{value}': CUDA programs see {seen}."
