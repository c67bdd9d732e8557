"""The fewest stacks for real models of the catalogue, with real uv and small wheels of the real names."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from provision.actions.context import Context
from provision.actions.package_policy import build_policy
from provision.actions.resolve import ResolvedSet, resolve_models
from provision.core.models import find_model
from provision.errors import UsageError
from provision.model.facts import Facts, Gpu, Host, Vendor
from provision.model.profile import FlashChoice
from provision.system.resources import find_data_dir
from tests.core.test_models import CATALOGUE
from tests.support.profiles import BUILDS, PROFILES
from tests.support.sources import make_context
from tests.support.wheels import build_wheel

HOPPER = next(profile for profile in PROFILES if profile.name == "hopper")
HOST = Host(system="Linux", release="6.1", machine="x86_64", python_version="3.11.7")
FACTS = Facts(
    vendor=Vendor.NVIDIA,
    gpus=(Gpu(vendor=Vendor.NVIDIA, name="NVIDIA H100", compute_capability="9.0"),),
    gpu_source="nvml",
    driver="580.95.05",
    cuda_driver_version="13.0",
    conditions=(),
    host=HOST,
)
SIX = ("qwen_vl_2b", "qwen3_vl_2b", "got_ocr_hf", "dots_ocr", "deepseek_ocr", "phi3_vision")
LABEL = "cu13torch2.11cxx11abiTRUE"


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    build_wheel(folder, "torch", "2.11.0+cu130")
    build_wheel(folder, "torchvision", "0.26.0+cu130", requires=("torch==2.11.0",))
    for version in ("4.46.3", "4.47.1", "4.51.3", "4.57.6", "5.22.2"):
        build_wheel(folder, "transformers", version)
    for name in ("addict", "easydict", "einops", "qwen_vl_utils"):
        build_wheel(folder, name, "1.0")
    for name, version in HOPPER.packages.items():
        if name != "transformers":
            build_wheel(folder, name, version)
    return folder


def resolve(tmp_path: Path, wheels: Path, *keys: str, flash_attn: FlashChoice | None = None) -> ResolvedSet:
    ctx = open_context(tmp_path, wheels)
    models = [find_model(key, CATALOGUE) for key in keys]
    policy = replace(build_policy(ctx, flash_attn=flash_attn), fresh=True)
    return resolve_models(ctx, models, HOPPER, BUILDS[HOPPER.torch], FACTS, policy=policy)


def open_context(tmp_path: Path, wheels: Path) -> Context:
    ctx = make_context(tmp_path, {"PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1"})
    return replace(ctx, data_dir=find_data_dir())


def test_the_six_models_take_three_stacks_with_one_torch(tmp_path: Path, wheels: Path) -> None:
    found = resolve(tmp_path, wheels, *SIX)
    assert [(stack.spec.name, stack.spec.models) for stack in found.stacks] == [
        ("main", ("qwen_vl_2b", "qwen3_vl_2b", "got_ocr_hf")),
        ("transformers-4.47", ("deepseek_ocr", "phi3_vision")),
        ("transformers-4.51", ("dots_ocr",)),
    ]
    assert [stack.lock.versions["transformers"] for stack in found.stacks] == ["5.22.2", "4.47.1", "4.51.3"]
    assert {stack.lock.versions["torch"] for stack in found.stacks} == {"2.11.0+cu130"}
    assert {item.model for item in found.separations} == {"deepseek_ocr", "phi3_vision", "dots_ocr"}


def test_a_stack_that_lacks_a_package_is_the_resolvers_word(tmp_path: Path, wheels: Path) -> None:
    (wheels / "addict-1.0-py3-none-any.whl").unlink()
    with pytest.raises(UsageError, match=r"^profile hopper has no environment for a model of .*addict"):
        resolve(tmp_path, wheels, "deepseek_ocr")


def test_versions_that_are_known_to_clash_are_refused_with_the_reason(tmp_path: Path, wheels: Path) -> None:
    """A wheel of transformers 4.51.3 that would let huggingface-hub 1 in, which it refuses when imported."""
    build_wheel(wheels, "huggingface_hub", "1.2.0")
    (wheels / "transformers-4.51.3-py3-none-any.whl").unlink()
    build_wheel(wheels, "transformers", "4.51.3", requires=("huggingface-hub",))
    with pytest.raises(UsageError, match="transformers 4 refuses to be imported with huggingface-hub 1"):
        resolve(tmp_path, wheels, "dots_ocr")


def test_flash_attn_is_the_wheel_that_fits_exactly(tmp_path: Path, wheels: Path) -> None:
    tag = "cp311-cp311-linux_x86_64"
    build_wheel(wheels, "flash_attn", "2.8.3+cu12torch2.8cxx11abiTRUE", tag=tag)
    absent = resolve(tmp_path, wheels, "qwen_vl_2b", flash_attn=FlashChoice.WHEEL).stacks[0].flash_attn
    assert absent is not None
    assert (absent.choice, absent.requirement) == (FlashChoice.ABSENT, None)
    assert "built for torch 2.8" in absent.reason
    build_wheel(wheels, "flash_attn", f"2.8.3+{LABEL}", tag=tag)
    [stack] = resolve(tmp_path, wheels, "qwen_vl_2b", flash_attn=FlashChoice.WHEEL).stacks
    assert stack.flash_attn is not None
    assert stack.flash_attn.choice is FlashChoice.WHEEL
    assert stack.lock.versions["flash-attn"] == f"2.8.3+{LABEL.lower()}"


def test_flash_attn_is_absent_where_nobody_asked(tmp_path: Path, wheels: Path) -> None:
    [stack] = resolve(tmp_path, wheels, "qwen_vl_2b").stacks
    assert stack.flash_attn is not None
    assert (stack.flash_attn.choice, stack.flash_attn.reason) == (
        FlashChoice.ABSENT,
        HOPPER.flash_attn.reason,
    )
