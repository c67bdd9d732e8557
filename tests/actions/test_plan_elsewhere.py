"""A plan for another machine: its platform and Python decide, and nothing of this machine's state counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from provision.actions.plan import Request, prepare
from provision.core.parse.recognise import build_pasted_probe
from provision.errors import DownloadError
from provision.model.facts import Probe
from provision.system.resources import find_data_dir
from provision.system.store import Store
from tests.support.sources import make_context
from tests.support.wheels import build_wheel

GB10 = """\
PyTorch version: 2.9.1+cu130
OS: Ubuntu 24.04.3 LTS (aarch64)
Python version: 3.12.3 (main, Aug 14 2025, 17:47:21) [GCC 13.3.0] (64-bit runtime)
Python platform: Linux-6.14.0-1013-nvidia-aarch64-with-glibc2.39
Is CUDA available: True
GPU models and configuration: GPU 0: NVIDIA GB10
Nvidia driver version: 580.95.05
"""
PINS = (
    ("torchvision", "0.26.0+cu130"),
    ("transformers", "5.22.2"),
    ("accelerate", "1.15.0"),
    ("pillow", "13.0.0"),
)


def build_probe() -> Probe:
    return build_pasted_probe(GB10, "2026-11-21T12:00:00+00:00")


def make_wheels(folder: Path, torch_tag: str) -> Path:
    build_wheel(folder, "torch", "2.11.0+cu130", tag=torch_tag)
    for name, version in PINS:
        build_wheel(folder, name, version)
    return folder


def plan(tmp_path: Path, torch_tag: str):
    wheels = make_wheels(tmp_path / "wheels", torch_tag)
    ctx = make_context(tmp_path, {"PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1"})
    ctx = replace(ctx, data_dir=find_data_dir())
    return prepare(ctx, Store(ctx.root), Request(probe=build_probe()))


def test_wheels_of_the_other_platform_are_what_is_planned(tmp_path: Path) -> None:
    prepared = plan(tmp_path, "cp312-cp312-manylinux_2_28_aarch64")
    assert prepared.plan is not None
    assert (prepared.plan.profile, prepared.situation.elsewhere) == ("gb10", True)
    (stack,) = prepared.plan.stacks
    assert (stack.torch, stack.tag, stack.complete) == ("2.11.0+cu130", "cu130", False)
    target = prepared.situation.target
    assert target is not None
    assert (target.platform, target.uv_platform, target.python) == (
        "linux-aarch64",
        "aarch64-manylinux_2_28",
        "3.12",
    )
    assert prepared.situation.assumptions == ()
    assert not (tmp_path / ".provision").exists()


def test_wheels_of_this_platform_are_of_no_use_to_it(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"no source of packages serves torch 2\.11\.0 for cu130"):
        plan(tmp_path, "cp312-cp312-manylinux_2_28_x86_64")
