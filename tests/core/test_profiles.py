"""Which of the shipped profiles fits which machine, and what is said of the others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from provision.core.profiles import choose_profile, judge_profiles
from provision.core.yaml_text import convert, parse_yaml
from provision.errors import NoProfileError, UsageError
from provision.model.facts import Condition, ConditionId, Facts, Vendor
from provision.model.profile import Profile, TorchBuild, TorchBuilds
from tests.support.machines import LINUX, make_facts, make_gpu

FOLDER = Path(__file__).parents[2] / "profiles"


def load(name: str, kind: type) -> object:
    path = FOLDER / f"{name}.yaml"
    return convert(parse_yaml(path.read_text("utf-8"), where=name), kind, where=name)


BUILDS: dict[str, TorchBuild] = {build.name: build for build in load("torch", TorchBuilds).builds}  # type: ignore[attr-defined]
PROFILES: tuple[Profile, ...] = tuple(
    load(name, Profile)  # type: ignore[misc]
    for name in ("blackwell", "hopper", "ada", "ampere", "turing", "cpu")
)


def choose(name: str, facts: Facts) -> str:
    return choose_profile(name, judge_profiles(facts, PROFILES, BUILDS), PROFILES, facts).name


@pytest.mark.parametrize(
    ("name", "capability", "profile"),
    [
        ("NVIDIA GeForce RTX 5070 Ti", "12.0", "blackwell"),
        ("NVIDIA GB10", "12.1", "blackwell"),
        ("NVIDIA B300 SXM6 AC", "10.3", "blackwell"),
        ("NVIDIA H200", "9.0", "hopper"),
        ("NVIDIA GeForce RTX 4090", "8.9", "ada"),
        ("NVIDIA A100-SXM4-80GB", "8.0", "ampere"),
        ("NVIDIA GeForce RTX 3090", "8.6", "ampere"),
        ("Tesla T4", "7.5", "turing"),
    ],
)
def test_auto_goes_by_compute_capability(name: str, capability: str, profile: str) -> None:
    assert choose("auto", make_facts(make_gpu(name, capability))) == profile


def test_the_name_does_not_count_when_the_capability_is_known() -> None:
    assert choose("auto", make_facts(make_gpu("NVIDIA GeForce RTX 5090", "8.6"))) == "ampere"


def test_no_gpu_is_the_cpu() -> None:
    assert choose("auto", make_facts()) == "cpu"


def test_an_old_driver_is_refused_with_the_version_that_is_needed() -> None:
    facts = make_facts(make_gpu("NVIDIA GeForce RTX 5070 Ti", "12.0"), driver="570.124.06")
    with pytest.raises(NoProfileError) as caught:
        choose("blackwell", facts)
    assert caught.value.message == (
        "profile blackwell does not fit: driver 570.124.06 is older than 580.65.06, which CUDA 13.0 needs"
    )


def test_wsl_shows_the_windows_driver() -> None:
    gpu = make_gpu("NVIDIA GeForce RTX 5070 Ti", "12.0")
    host = replace(LINUX, wsl=2)
    with pytest.raises(NoProfileError, match=re.escape("driver 580.70 is older than 580.88")):
        choose("blackwell", make_facts(gpu, driver="580.70", host=host))
    assert choose("auto", make_facts(gpu, driver="591.86", host=host)) == "blackwell"


def test_a_card_that_no_wheel_carries_is_no_reason_to_take_the_cpu() -> None:
    facts = make_facts(make_gpu("NVIDIA GeForce GTX 1080 Ti", "6.1"))
    with pytest.raises(NoProfileError) as caught:
        choose("auto", facts)
    assert caught.value.message.startswith(
        "no profile fits NVIDIA GeForce GTX 1080 Ti (6.1), and the CPU is not taken silently. blackwell: needs "
    )


def test_the_cpu_may_be_asked_for_by_name() -> None:
    assert choose("cpu", make_facts(make_gpu("NVIDIA H200", "9.0"))) == "cpu"


def test_a_gpu_that_does_not_answer_is_no_reason_to_take_the_cpu() -> None:
    message = "NVML, the driver's library, gave no answer within 3.5 s and was ended."
    condition = Condition(id=ConditionId.NVML_TIMEOUT, message=message)
    facts = make_facts(vendor=None, conditions=(condition,))
    with pytest.raises(NoProfileError) as caught:
        choose("auto", facts)
    assert caught.value.message == (
        f"whether there is a GPU is unknown, and the CPU is not taken silently. {message}"
    )
    with pytest.raises(NoProfileError, match="^a GPU by nvidia cannot be used, and the CPU is not taken"):
        choose("auto", make_facts(vendor=Vendor.NVIDIA))


def test_another_generations_profile_is_refused_with_the_one_that_fits() -> None:
    with pytest.raises(NoProfileError) as caught:
        choose("blackwell", make_facts(make_gpu("NVIDIA H200", "9.0")))
    assert caught.value.message == (
        "profile blackwell does not fit: needs compute capability 10.0 or 10.3 or 12.0 or 12.1; "
        "found NVIDIA H200 (9.0)"
    )
    assert caught.value.hint == "provision apply hopper"


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        choose("blackwel", make_facts())
    assert caught.value.message == (
        "there is no profile 'blackwel'; known are auto, blackwell, hopper, ada, ampere, turing, cpu"
    )
    assert caught.value.hint == "provision apply blackwell"


def test_a_build_without_code_for_the_card_is_refused() -> None:
    builds = {name: replace(build, sass=(80, 90)) for name, build in BUILDS.items()}
    facts = make_facts(make_gpu("NVIDIA GeForce RTX 5070 Ti", "12.0"))
    [fit] = [fit for fit in judge_profiles(facts, PROFILES, builds) if fit.name == "blackwell"]
    assert fit.reasons == ("torch 2.11.0 for cu130 carries no code for compute capability 12.0",)


def test_every_claim_of_the_data_names_its_source_and_date() -> None:
    claims = [item for holder in (*PROFILES, *BUILDS.values()) for item in holder.evidence]
    assert claims
    for claim in claims:
        assert claim.source
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", claim.date)
