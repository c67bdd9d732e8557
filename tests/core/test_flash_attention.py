"""flash-attn is a choice with a reason: for a stack, and for an environment that has it already."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from provision.core.flash_attention import (
    FlashDecision,
    choose_flash_attention,
    judge_installed,
    refuse_device,
)
from provision.core.flash_wheels import FlashTarget, build_flash_target
from provision.model.flash_attention import FlashKnowledge
from provision.model.profile import EvidenceStatus, FlashAttention, FlashChoice
from tests.support.profiles import BUILDS, PROFILES, load_data

KNOWLEDGE = load_data("flash_attn", FlashKnowledge)
ABSENT = FlashAttention(choice=FlashChoice.ABSENT, reason="sdpa needs none")
WHEEL = FlashAttention(choice=FlashChoice.WHEEL, reason="its makers have one")
KERNELS = FlashAttention(choice=FlashChoice.KERNELS, reason="the Hub has one")
SOURCE = FlashAttention(choice=FlashChoice.SOURCE, reason="nobody has one")
H200 = build_flash_target(
    torch="2.11.0", cuda="13.0", python="3.12", platform="linux-x86_64", capability="9.0"
)
RTX_50 = replace(H200, capability="12.0")
T4 = replace(H200, capability="7.5")


def name_wheel(version: str = "2.8.3", torch: str = "2.11", python: str = "cp312", cuda: str = "13") -> str:
    return f"flash_attn-{version}+cu{cuda}torch{torch}cxx11abiTRUE-{python}-{python}-linux_x86_64.whl"


def choose(
    chosen: FlashAttention,
    target: FlashTarget = H200,
    *found: str,
    asked: FlashChoice | None = None,
    transformers: str = "5.22.2",
) -> FlashDecision:
    return choose_flash_attention(chosen, target, transformers, KNOWLEDGE, found=found, asked=asked)


def absent(reason: str) -> FlashDecision:
    return FlashDecision(choice=FlashChoice.ABSENT, reason=reason)


def test_absent_keeps_the_profiles_reason() -> None:
    assert choose(ABSENT) == absent("sdpa needs none")
    assert choose(ABSENT, T4, name_wheel()) == absent("sdpa needs none")


def test_a_user_may_ask_for_its_absence() -> None:
    assert choose(WHEEL, H200, name_wheel(), asked=FlashChoice.ABSENT) == absent(
        "it was asked to be left out"
    )


def test_a_wheel_that_fits_is_taken() -> None:
    assert choose(WHEEL, H200, name_wheel()) == FlashDecision(
        choice=FlashChoice.WHEEL,
        reason="built for torch 2.11, CUDA 13, Python 3.12 on linux-x86_64",
        requirement="flash-attn==2.8.3+cu13torch2.11cxx11abitrue",
        wheel=name_wheel(),
    )


def test_a_user_may_ask_for_a_wheel() -> None:
    assert choose(ABSENT, H200, name_wheel(), asked=FlashChoice.WHEEL).wheel == name_wheel()


def test_the_newest_that_fits_wins_and_what_does_not_fit_is_passed_over() -> None:
    found = (
        name_wheel("2.8.3"),
        name_wheel("2.8.3.post1"),
        name_wheel("2.8.3.post2", torch="2.10"),
        "torch-2.11.0-cp312-cp312-manylinux_2_28_x86_64.whl",
        "not a wheel",
    )
    assert choose(WHEEL, H200, *found).wheel == name_wheel("2.8.3.post1")


def test_no_wheel_at_all() -> None:
    assert choose(WHEEL) == absent("no wheel of flash-attn was found")
    assert choose(WHEEL, H200, "flash_attn-2.8.3.tar.gz") == absent("no wheel of flash-attn was found")


def test_one_wheel_that_does_not_fit() -> None:
    assert choose(WHEEL, H200, name_wheel(torch="2.10")) == absent(
        f"the only wheel found does not fit; {name_wheel(torch='2.10')}: "
        "it is built for torch 2.10; this is 2.11"
    )


def test_several_wheels_that_do_not_fit_are_explained_by_the_newest() -> None:
    found = (name_wheel("2.8.3", torch="2.10"), name_wheel("2.8.3.post1", python="cp313"))
    assert choose(WHEEL, H200, *found) == absent(
        f"none of 2 wheels found fits; {found[1]}: it is built for cp313-cp313; this is cp312-cp312"
    )


def test_a_wheel_is_never_replaced_by_another_way() -> None:
    """Not by the Hub's kernels, which run code from there, and not by an hour of compiling."""
    assert choose(WHEEL).choice is FlashChoice.ABSENT
    assert choose(KERNELS, transformers="5.23.1").choice is FlashChoice.ABSENT


@pytest.mark.parametrize("chosen", [WHEEL, KERNELS, SOURCE])
@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (T4, "flash-attn 2 needs compute capability 8.0 or newer; this is 7.5"),
        (replace(H200, capability="6.1"), "flash-attn 2 needs compute capability 8.0 or newer; this is 6.1"),
        (replace(H200, capability="new"), "flash-attn 2 needs compute capability 8.0 or newer; this is new"),
        (replace(H200, capability=None), "no NVIDIA GPU is known here to choose flash-attn for"),
        (replace(H200, cuda=None), "flash-attn needs a torch that is built for CUDA"),
    ],
)
def test_devices_that_it_cannot_run_on(chosen: FlashAttention, target: FlashTarget, reason: str) -> None:
    assert choose(chosen, target, name_wheel(), asked=chosen.choice) == absent(reason)
    assert refuse_device(target, KNOWLEDGE) == reason


@pytest.mark.parametrize(
    ("transformers", "requirement"),
    [
        ("5.9.0", "kernels>=0.12.0,<0.13"),
        ("5.10.2", "kernels>=0.12.0,<0.13"),
        ("5.18.0", "kernels>=0.17.0,<0.18"),
        ("5.20.2", "kernels>=0.17.2,<0.18"),
        ("5.22.2", "kernels>=0.17.2,<0.18"),
        ("5.23.0", "kernels>=0.18.2,<0.19"),
    ],
)
def test_the_hubs_kernels_in_the_range_that_transformers_demands(transformers: str, requirement: str) -> None:
    span = Requirement(requirement).specifier
    decision = choose(KERNELS, transformers=transformers)
    assert decision == FlashDecision(
        choice=FlashChoice.KERNELS,
        reason=f"transformers {transformers} fetches kernels-community/flash-attn2 through kernels "
        + requirement.removeprefix("kernels"),
        requirement=requirement,
    )
    assert Requirement(decision.requirement or "").specifier == span


@pytest.mark.parametrize("transformers", ["4.51.3", "5.0.0", "5.19.0", "5.23.1"])
def test_a_transformers_whose_kernels_nobody_read(transformers: str) -> None:
    assert choose(KERNELS, transformers=transformers) == absent(
        f"which kernels transformers {transformers} takes is not known"
    )


def test_a_device_that_the_hubs_build_has_no_code_for() -> None:
    assert choose(KERNELS, replace(H200, capability="11.0")) == absent(
        "builds of kernels-community/flash-attn2 carry code for sm_80 sm_90 sm_100 sm_120, which 11.0 does not run"
    )


def test_source_is_built_only_when_asked() -> None:
    assert choose(SOURCE) == absent("flash-attn is never built from source unless asked")
    assert choose(ABSENT, RTX_50, asked=FlashChoice.SOURCE) == FlashDecision(
        choice=FlashChoice.SOURCE,
        reason="asked for; it needs CUDA's compiler, 12.8 or newer for Blackwell, and takes about an hour",
        requirement="flash-attn==2.8.3.post2",
    )


def test_source_has_no_code_for_every_device() -> None:
    assert choose(SOURCE, replace(H200, capability="11.0"), asked=FlashChoice.SOURCE) == absent(
        "builds of 2.8.3.post2 from source carry code for sm_80 sm_90 sm_100 sm_120, which 11.0 does not run"
    )


FITS = "2.8.3+cu13torch2.11cxx11abitrue"


@pytest.mark.parametrize("capability", ["8.0", "8.6", "8.9", "9.0"])
def test_what_is_built_for_this_torch_and_known_to_work_stays(capability: str) -> None:
    assert judge_installed(FITS, replace(H200, capability=capability), KNOWLEDGE) == (
        True,
        f"flash-attn {FITS} is built for this torch, and known to work on {capability}",
    )


@pytest.mark.parametrize(
    ("version", "target", "reason"),
    [
        ("", H200, "flash-attn's version '' cannot be read"),
        ("new", H200, "flash-attn's version 'new' cannot be read"),
        (FITS, replace(H200, cuda=None), "flash-attn needs a torch that is built for CUDA"),
        (FITS, replace(H200, capability=None), "no NVIDIA GPU is known here to choose flash-attn for"),
        (FITS, T4, "flash-attn 2 needs compute capability 8.0 or newer; this is 7.5"),
        ("2.3.2", H200, "transformers takes flash-attn 2.3.3 or newer; this is 2.3.2"),
        ("1.0.9", H200, "transformers takes flash-attn 2.3.3 or newer; this is 1.0.9"),
        (
            FITS,
            RTX_50,
            "flash-attn is not verified on compute capability 12.0, and sdpa needs none",
        ),
        (
            FITS,
            replace(H200, capability="13.0"),
            "flash-attn is not verified on compute capability 13.0, and sdpa needs none",
        ),
        (
            "2.8.3+cu12torch2.7cxx11abitrue",
            H200,
            "flash-attn 2.8.3+cu12torch2.7cxx11abitrue: it is built for torch 2.7; this is 2.11",
        ),
        (
            "2.8.3+cu12torch2.11cxx11abitrue",
            H200,
            "flash-attn 2.8.3+cu12torch2.11cxx11abitrue: it is built for CUDA 12; this is 13.0",
        ),
        (
            "2.8.3",
            H200,
            "flash-attn 2.8.3: it does not say for which torch it is built; this is 2.11",
        ),
    ],
)
def test_what_goes_from_an_environment(version: str, target: FlashTarget, reason: str) -> None:
    assert judge_installed(version, target, KNOWLEDGE) == (False, reason)


@pytest.mark.parametrize("capability", ["10.0", "10.3", "11.0", "12.0", "12.1"])
def test_no_blackwell_keeps_it(capability: str) -> None:
    keep, reason = judge_installed(FITS, replace(H200, capability=capability), KNOWLEDGE)
    assert (keep, reason) == (
        False,
        f"flash-attn is not verified on compute capability {capability}, and sdpa needs none",
    )


def test_one_without_a_label_is_judged_by_the_torch_that_it_was_beside() -> None:
    """Built there from source: its torch is the one that it was built against."""
    assert judge_installed("2.8.3", H200, KNOWLEDGE, torch_before="2.7.0+cu126") == (
        False,
        "flash-attn 2.8.3: it is built for torch 2.7; this is 2.11",
    )
    assert judge_installed("2.8.3", H200, KNOWLEDGE, torch_before="2.11.0") == (
        True,
        "flash-attn 2.8.3 is built for this torch, and known to work on 9.0",
    )


def test_a_label_goes_before_the_torch_that_it_was_beside() -> None:
    keep, _ = judge_installed("2.8.3+cu12torch2.7", H200, KNOWLEDGE, torch_before="2.11.0")
    assert not keep


@given(st.text(max_size=60), st.none() | st.text(max_size=20), st.none() | st.text(max_size=8))
def test_no_version_and_no_capability_raises(
    version: str, before: str | None, capability: str | None
) -> None:
    target = replace(H200, capability=capability)
    keep, reason = judge_installed(version, target, KNOWLEDGE, torch_before=before)
    assert reason.strip()
    assert not keep or capability in {"8.0", "8.6", "8.9", "9.0"}


@given(
    st.sampled_from([ABSENT, WHEEL, KERNELS, SOURCE]),
    st.none() | st.sampled_from(list(FlashChoice)),
    st.lists(st.text(max_size=40) | st.just(name_wheel()) | st.just(name_wheel(torch="2.9")), max_size=4),
    st.sampled_from([None, "7.5", "8.6", "9.0", "11.0", "12.1"]),
)
def test_every_decision_is_whole(
    chosen: FlashAttention, asked: FlashChoice | None, found: list[str], capability: str | None
) -> None:
    decision = choose(chosen, replace(H200, capability=capability), *found, asked=asked)
    assert decision.reason.strip()
    assert (decision.requirement is None) is (decision.choice is FlashChoice.ABSENT)
    assert (decision.wheel is None) is (decision.choice is not FlashChoice.WHEEL)
    assert decision.choice in {FlashChoice.ABSENT, asked or chosen.choice}
    assert decision.choice is not FlashChoice.SOURCE or asked is FlashChoice.SOURCE


def test_the_data_names_each_device_once_and_sources_every_claim() -> None:
    names = [device.capability for device in KNOWLEDGE.devices]
    assert sorted(names) == sorted(set(names))
    listed = [
        *KNOWLEDGE.devices,
        *KNOWLEDGE.builds,
        *KNOWLEDGE.wheels,
        *KNOWLEDGE.kernels.ranges,
        *KNOWLEDGE.evidence,
    ]
    assert len(listed) > 25
    for row in listed:
        assert row.source.strip(), row
        assert re.fullmatch(r"2026-\d{2}-\d{2}", row.date), row
        assert row.status in EvidenceStatus


def test_every_device_of_the_profiles_from_ampere_on_is_judged() -> None:
    least = Version(KNOWLEDGE.minimum_capability)
    wanted = {item for profile in PROFILES for item in profile.match.compute_capability}
    judged = {device.capability for device in KNOWLEDGE.devices}
    assert judged == {item for item in wanted if Version(item) >= least}


def test_ranges_of_kernels_do_not_meet() -> None:
    versions = ["5.9.0", "5.10.2", "5.18.0", "5.20.2", "5.22.2", "5.23.0"]
    for version in versions:
        rows = [r for r in KNOWLEDGE.kernels.ranges if SpecifierSet(r.transformers).contains(version)]
        assert len(rows) == 1, version


def test_builds_cover_every_version_once() -> None:
    for version in ("2.3.3", "2.7.3", "2.7.4.post1", "2.8.0", "2.8.0.post2", "2.8.3", "2.8.3.post2", "2.9"):
        rows = [row for row in KNOWLEDGE.builds if SpecifierSet(row.versions).contains(version)]
        assert len(rows) == 1, version


def test_no_profile_ships_flash_attn_and_no_official_wheel_would_fit_its_torch() -> None:
    """What the profiles' reasons say. A new wheel in the data makes this fail: then the reasons are judged anew."""
    for profile in PROFILES:
        assert profile.flash_attn.choice is FlashChoice.ABSENT
        assert profile.flash_attn.reason.strip()
        build = BUILDS[profile.torch]
        if build.cuda is None:
            continue
        major, short = int(build.cuda.split(".")[0]), ".".join(build.torch.split(".")[:2])
        assert [row.version for row in KNOWLEDGE.wheels if row.cuda == major and short in row.torch] == []
