"""What is asked of which backend. torch is replaced: none of these devices is where the tests run."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


class Matrix:
    """8 x 8 ones, and their product."""

    def __matmul__(self, other: Matrix) -> Matrix:
        return self

    def sum(self) -> Matrix:
        return self

    def item(self) -> float:
        return 512.0


def build_torch(calls: list[str], *, hip: str | None) -> Any:
    torch = ModuleType("torch")

    def note(name: str, answer: Any = None) -> Any:
        def call(*arguments: Any) -> Any:
            calls.append(" ".join([name, *map(str, arguments)]))
            return answer

        return call

    def build_backend(kind: str, name: str) -> SimpleNamespace:
        return SimpleNamespace(
            set_device=note(f"{kind}.set_device"),
            synchronize=note(f"{kind}.synchronize"),
            reset_peak_memory_stats=note(f"{kind}.reset_peak_memory_stats"),
            get_device_name=note(f"{kind}.get_device_name", name),
            get_device_capability=note(f"{kind}.get_device_capability", (9, 0)),
            max_memory_allocated=note(f"{kind}.max_memory_allocated", 5),
            max_memory_reserved=note(f"{kind}.max_memory_reserved", 8),
        )

    torch.device = lambda text: SimpleNamespace(type=text.partition(":")[0])  # type: ignore[attr-defined]
    torch.ones = lambda *_, device: Matrix()  # type: ignore[attr-defined]
    torch.set_num_threads = note("set_num_threads")  # type: ignore[attr-defined]
    torch.version = SimpleNamespace(hip=hip)  # type: ignore[attr-defined]
    torch.cuda = build_backend("cuda", "a CUDA device")  # type: ignore[attr-defined]
    torch.xpu = build_backend("xpu", "Intel(R) Arc(TM) B580 Graphics")  # type: ignore[attr-defined]
    torch.mps = SimpleNamespace(  # type: ignore[attr-defined]
        synchronize=note("mps.synchronize"), driver_allocated_memory=note("mps.driver_allocated_memory", 7)
    )
    return torch


@pytest.fixture
def calls() -> list[str]:
    return []


def load_measure(monkeypatch: pytest.MonkeyPatch, calls: list[str], hip: str | None = None) -> Any:
    monkeypatch.setitem(sys.modules, "torch", build_torch(calls, hip=hip))
    monkeypatch.delitem(sys.modules, "smoke.measure", raising=False)
    measure = importlib.import_module("smoke.measure")
    monkeypatch.setitem(sys.modules, "smoke.measure", measure)
    monkeypatch.setattr(measure, "_read_cpu_name", lambda: "the processor")
    return measure


@pytest.mark.parametrize(
    ("device", "hip", "found", "peak"),
    [
        (
            "cuda:0",
            None,
            {"device_name": "a CUDA device", "compute_capability": "9.0"},
            {"peak_memory_bytes": 5, "peak_memory_kind": "vram", "peak_reserved_bytes": 8},
        ),
        (
            "cuda:0",
            "7.2.26015",
            {"device_name": "a CUDA device"},
            {"peak_memory_bytes": 5, "peak_memory_kind": "vram", "peak_reserved_bytes": 8},
        ),
        (
            "xpu",
            None,
            {"device_name": "Intel(R) Arc(TM) B580 Graphics"},
            {"peak_memory_bytes": 5, "peak_memory_kind": "vram", "peak_reserved_bytes": 8},
        ),
        (
            "mps",
            None,
            {"device_name": "the processor"},
            {"peak_memory_bytes": 7, "peak_memory_kind": "metal"},
        ),
    ],
)
def test_a_gpu_says_what_it_is_and_what_it_took(
    monkeypatch: pytest.MonkeyPatch,
    calls: list[str],
    device: str,
    hip: str | None,
    found: dict[str, Any],
    peak: dict[str, Any],
) -> None:
    measure = load_measure(monkeypatch, calls, hip)
    assert measure.probe_device(device, threads=None) == found
    assert measure.read_peak_memory(device) == peak
    kind = device.partition(":")[0]
    assert {call.partition(".")[0] for call in calls} == {kind}


def test_the_cpu_starts_no_backend(monkeypatch: pytest.MonkeyPatch, calls: list[str]) -> None:
    measure = load_measure(monkeypatch, calls)
    assert measure.probe_device("cpu", threads=2) == {"device_name": "the processor"}
    with measure.Stopwatch("cpu"):
        pass
    assert calls == ["set_num_threads 2"]


@pytest.mark.parametrize("device", ["cuda:0", "xpu", "mps"])
def test_time_is_taken_when_the_device_is_done(
    monkeypatch: pytest.MonkeyPatch, calls: list[str], device: str
) -> None:
    measure = load_measure(monkeypatch, calls)
    with measure.Stopwatch(device) as stopwatch:
        calls.append("work")
    kind = device.partition(":")[0]
    assert calls == [f"{kind}.synchronize", "work", f"{kind}.synchronize"]
    assert stopwatch.elapsed_s >= 0
