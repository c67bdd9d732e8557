import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.core.parse.nvml_details import parse_nvml_details

GIB = 2**30


def _parse(*gpus):
    built = [
        {"index": index, "name": "NVIDIA H200", "memory_total_bytes": 140 * GIB, **gpu}
        for index, gpu in enumerate(gpus)
    ]
    conditions = parse_nvml_details(json.dumps({"schema": 1, "gpus": built}))
    return [(condition.id.value, condition.message) for condition in conditions]


def test_an_ordinary_gpu_says_nothing():
    quiet = {
        "mig_enabled": False,
        "mig_instances": None,
        "virtualization": "none",
        "driver_model": None,
        "ecc_enabled": True,
        "ecc_default": None,
        "memory_used_bytes": GIB,
        "processes": [{"pid": 7, "name": "Xorg", "memory_bytes": 2**20}],
    }
    assert _parse(quiet, quiet) == []
    assert _parse({}) == []


MIG = "is in MIG mode: a process gets one of its instances"


@pytest.mark.parametrize(
    ("instances", "condition"),
    [
        (
            [
                {"uuid": "MIG-1", "name": "NVIDIA H200 MIG 1g.18gb", "memory_total_bytes": 16 * GIB},
                {"uuid": "MIG-2", "name": "NVIDIA H200 MIG 1g.18gb", "memory_total_bytes": 16 * GIB},
                {"uuid": "MIG-3", "name": "NVIDIA H200 MIG 3g.71gb", "memory_total_bytes": 70 * GIB},
            ],
            (
                "mig",
                f"GPU 0 (NVIDIA H200) {MIG} (2 x 1g.18gb with 16384 MiB, 1 x 3g.71gb with 71680 MiB), "
                "not all of it.",
            ),
        ),
        (
            [{"uuid": "MIG-1", "name": None, "memory_total_bytes": None}],
            ("mig", f"GPU 0 (NVIDIA H200) {MIG} (1 x of an unknown profile), not all of it."),
        ),
        (
            None,
            (
                "mig",
                "GPU 0 (NVIDIA H200) is in MIG mode: a process gets an instance of it at most, never all of it.",
            ),
        ),
        (
            [],
            (
                "mig-no-instances",
                "GPU 0 (NVIDIA H200) is in MIG mode and has no instance: CUDA programs cannot use it.",
            ),
        ),
    ],
)
def test_mig(instances, condition):
    assert _parse({"mig_enabled": True, "mig_instances": instances}, {"mig_enabled": False}) == [condition]


@pytest.mark.parametrize(
    ("gpu", "condition"),
    [
        (
            {"virtualization": "vgpu"},
            ("vgpu", "The GPU is a share that a hypervisor gave to this virtual machine (vGPU)."),
        ),
        (
            {"virtualization": "host-vgpu"},
            (
                "vgpu-host",
                "This is the host of virtual GPUs: its driver serves machines, not CUDA programs.",
            ),
        ),
        (
            {"driver_model": "wddm"},
            (
                "wddm",
                "The GPU is in Windows' display driver model (WDDM), where Windows manages its memory.",
            ),
        ),
    ],
)
def test_modes_are_told_once(gpu, condition):
    assert _parse(gpu, gpu) == [condition]


@pytest.mark.parametrize(
    ("gpu", "told"),
    [
        ({"ecc_enabled": False, "ecc_default": True}, True),
        ({"ecc_enabled": False, "ecc_default": False}, False),
        ({"ecc_enabled": False, "ecc_default": None}, False),
        ({"ecc_enabled": True, "ecc_default": None}, False),
        ({"driver_model": "tcc", "virtualization": "passthrough"}, False),
    ],
)
def test_error_correction_is_told_where_it_is_on_by_default(gpu, told):
    message = "Error correction of the memory, on by default, is switched off: GPU 0 (NVIDIA H200)."
    assert _parse(gpu) == ([("ecc-off", message)] if told else [])


def _process(pid, name, mib):
    return {"pid": pid, "name": name, "memory_bytes": None if mib is None else mib * 2**20}


@pytest.mark.parametrize(
    ("gpu", "message"),
    [
        (
            {"memory_used_bytes": 15 * GIB, "processes": [_process(4711, "python3", 14200)]},
            "15360 of 143360 MiB of GPU 0 (NVIDIA H200) are in use: python3 (process 4711) 14200 MiB.",
        ),
        (
            {
                "memory_used_bytes": 9 * GIB,
                "processes": [_process(n, f"p{n}\n", 9000 - n) for n in range(1, 6)],
            },
            "44985 of 143360 MiB of GPU 0 (NVIDIA H200) are in use: p1 (process 1) 8999 MiB, "
            "p2 (process 2) 8998 MiB, p3 (process 3) 8997 MiB and 2 more.",
        ),
        (
            {"memory_used_bytes": 9 * GIB, "processes": [_process(31, None, None)]},
            "9216 of 143360 MiB of GPU 0 (NVIDIA H200) are in use: process 31.",
        ),
        (
            {"memory_used_bytes": 9 * GIB, "processes": []},
            "9216 of 143360 MiB of GPU 0 (NVIDIA H200) are in use, by whom the driver does not tell.",
        ),
        (
            {"memory_total_bytes": 4 * GIB, "memory_used_bytes": GIB // 2, "processes": None},
            "512 of 4096 MiB of GPU 0 (NVIDIA H200) are in use, by whom the driver does not tell.",
        ),
        (
            {"memory_total_bytes": None, "processes": [_process(7, "ollama", 4096)]},
            "4096 MiB of GPU 0 (NVIDIA H200) are in use: ollama (process 7) 4096 MiB.",
        ),
    ],
)
def test_memory_that_others_hold(gpu, message):
    assert _parse(gpu) == [("gpu-memory-in-use", message)]


@pytest.mark.parametrize("used", [0, 2 * GIB - 1])
def test_little_memory_is_not_told(used):
    assert _parse({"memory_used_bytes": used}) == []


@given(st.text())
def test_it_never_raises(text):
    assert parse_nvml_details(text) == ()


def test_a_document_of_another_shape():
    assert parse_nvml_details('{"gpus": [{"index": "x"}]}') == ()
