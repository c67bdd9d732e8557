"""Wheels of flash-attn: what a name says, and the first thing that differs."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from packaging.tags import Tag

from provision.core.flash_wheels import (
    FlashTarget,
    FlashWheel,
    WheelVerdict,
    build_flash_target,
    judge_wheel,
    parse_flash_wheel,
)
from provision.model.flash_attention import FlashKnowledge
from tests.support.profiles import load_data

KNOWLEDGE = load_data("flash_attn", FlashKnowledge)
OFFICIAL = "flash_attn-2.8.3+cu13torch2.10cxx11abiTRUE-cp312-cp312-linux_x86_64.whl"
HOPPER = FlashTarget(
    torch="2.10.0", cuda="13.0", python="3.12", platform="linux-x86_64", capability="9.0", cxx11_abi=True
)


def tags(*names: str) -> frozenset[Tag]:
    return frozenset(Tag(*name.split("-")) for name in names)


@pytest.mark.parametrize(
    ("name", "wheel"),
    [
        (
            OFFICIAL,
            FlashWheel(
                version="2.8.3+cu13torch2.10cxx11abitrue",
                cuda="13",
                torch="2.10",
                cxx11_abi=True,
                tags=tags("cp312-cp312-linux_x86_64"),
            ),
        ),
        (
            "flash_attn-2.7.4.post1+cu12torch2.6cxx11abiFALSE-cp310-cp310-linux_x86_64.whl",
            FlashWheel(
                version="2.7.4.post1+cu12torch2.6cxx11abifalse",
                cuda="12",
                torch="2.6",
                cxx11_abi=False,
                tags=tags("cp310-cp310-linux_x86_64"),
            ),
        ),
        (
            "https://host.example/v2.8.3/flash_attn-2.8.3%2Bcu128torch2.9-cp311-cp311-win_amd64.whl",
            FlashWheel(
                version="2.8.3+cu128torch2.9",
                cuda="12.8",
                torch="2.9",
                cxx11_abi=None,
                tags=tags("cp311-cp311-win_amd64"),
            ),
        ),
        (
            "flash_attn-2.8.3+rocm6.3torch2.7cxx11abiTRUE-cp312-cp312-linux_x86_64.whl",
            FlashWheel(
                version="2.8.3+rocm6.3torch2.7cxx11abitrue",
                cuda=None,
                torch="2.7",
                cxx11_abi=True,
                tags=tags("cp312-cp312-linux_x86_64"),
            ),
        ),
        (
            "flash_attn-2.8.3-cp312-cp312-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
            FlashWheel(
                version="2.8.3",
                cuda=None,
                torch=None,
                cxx11_abi=None,
                tags=tags("cp312-cp312-manylinux_2_24_x86_64", "cp312-cp312-manylinux_2_28_x86_64"),
            ),
        ),
    ],
)
def test_what_a_name_says(name: str, wheel: FlashWheel) -> None:
    assert parse_flash_wheel(name) == wheel


@pytest.mark.parametrize(
    "name",
    [
        "",
        "flash_attn",
        "flash_attn-2.8.3.tar.gz",
        "flash_attn_3-3.0.0-cp312-cp312-linux_x86_64.whl",
        "flash_attn_4-4.0.0b36-py3-none-any.whl",
        "torch-2.11.0-cp312-cp312-manylinux_2_28_x86_64.whl",
        "flash_attn-two-cp312-cp312-linux_x86_64.whl",
        "flash_attn-2.8.3-linux_x86_64.whl",
        "flash_attn-2.8.3-cp312-cp312-lïnux.whl",
        f"flash_attn-2.8.3-cp312-cp312-{'x' * 300}.whl",
        f"flash_attn-2.8.3-{'py3.' * 20}py2-none-any.whl",
    ],
)
def test_any_other_name_is_none(name: str) -> None:
    assert parse_flash_wheel(name) is None
    assert judge_wheel(name, HOPPER, KNOWLEDGE) == WheelVerdict(
        fits=False, reason="the name is not that of a wheel of flash-attn"
    )


def differ(**fields: str | bool | None) -> FlashTarget:
    return replace(HOPPER, **fields)


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (differ(torch="2.11.0"), "it is built for torch 2.10; this is 2.11"),
        (differ(torch="2.1.0"), "it is built for torch 2.10; this is 2.1"),
        (differ(torch="2.11.0", cuda="12.8", python="3.11"), "it is built for torch 2.10; this is 2.11"),
        (differ(cuda=None), "this torch is not built for CUDA"),
        (differ(cuda="12.8", python="3.11"), "it is built for CUDA 13; this is 12.8"),
        (differ(cuda="1.3"), "it is built for CUDA 13; this is 1.3"),
        (differ(python="3.11"), "it is built for cp312-cp312; this is cp311-cp311"),
        (differ(python="3.1"), "it is built for cp312-cp312; this is cp31-cp31"),
        (differ(platform="linux-aarch64"), "it is built for linux_x86_64; this is linux-aarch64"),
        (differ(platform="windows-amd64"), "it is built for linux_x86_64; this is windows-amd64"),
        (differ(platform="macos-arm64"), "it is built for linux_x86_64; this is macos-arm64"),
        (differ(cxx11_abi=False), "it is built with the new C++ ABI; this torch has the old one"),
        (differ(capability=None), "no compute capability is known to judge its code by"),
        (
            differ(capability="7.5"),
            "wheels of 2.8.3 carry code for sm_80 sm_90 sm_100 sm_120, which 7.5 does not run",
        ),
        (
            differ(capability="11.0"),
            "wheels of 2.8.3 carry code for sm_80 sm_90 sm_100 sm_120, which 11.0 does not run",
        ),
        (
            differ(capability="twelve"),
            "wheels of 2.8.3 carry code for sm_80 sm_90 sm_100 sm_120, which twelve does not run",
        ),
    ],
)
def test_the_first_thing_that_differs(target: FlashTarget, reason: str) -> None:
    assert judge_wheel(OFFICIAL, target, KNOWLEDGE) == WheelVerdict(fits=False, reason=reason)


@pytest.mark.parametrize("capability", ["8.0", "8.6", "8.9", "9.0", "10.0", "10.3", "12.0", "12.1"])
@pytest.mark.parametrize("torch", ["2.10.0", "2.10.1+cu130"])
@pytest.mark.parametrize("cuda", ["13.0", "13.2"])
def test_a_wheel_that_fits(capability: str, torch: str, cuda: str) -> None:
    """Its makers build one wheel for every minor version of CUDA."""
    target = differ(torch=torch, cuda=cuda, capability=capability)
    assert judge_wheel(OFFICIAL, target, KNOWLEDGE) == WheelVerdict(
        fits=True, reason="built for torch 2.10, CUDA 13, Python 3.12 on linux-x86_64"
    )


@pytest.mark.parametrize(
    ("name", "target", "reason"),
    [
        (
            "flash_attn-2.8.3+cu128torch2.10-cp312-cp312-linux_x86_64.whl",
            differ(cuda="12.9"),
            "it is built for CUDA 12.8; this is 12.9",
        ),
        (
            "flash_attn-2.8.3+cu12torch2.6-cp312-cp312-linux_x86_64.whl",
            differ(torch="2.6.0", cuda="12.4", cxx11_abi=False),
            "it does not say which C++ ABI it is built with; this is the old one",
        ),
        (
            "flash_attn-2.8.3-cp312-cp312-linux_x86_64.whl",
            HOPPER,
            "it does not say for which torch it is built; this is 2.10",
        ),
        (
            "flash_attn-2.8.3+torch2.10-cp312-cp312-linux_x86_64.whl",
            HOPPER,
            "it does not say for which CUDA it is built; this is 13.0",
        ),
        (
            "flash_attn-2.8.3+rocm6.4torch2.10cxx11abiTRUE-cp312-cp312-linux_x86_64.whl",
            HOPPER,
            "it does not say for which CUDA it is built; this is 13.0",
        ),
        (
            "flash_attn-2.8.3+cu13torch2.10cxx11abiTRUE-py3-none-any.whl",
            HOPPER,
            "it is built for py3-none; this is cp312-cp312",
        ),
        (
            "flash_attn-2.8.3+cu13torch2.10cxx11abiTRUE-cp312-abi3-linux_x86_64.whl",
            HOPPER,
            "it is built for cp312-abi3; this is cp312-cp312",
        ),
        (
            "flash_attn-2.8.3+cu13torch2.10cxx11abiTRUE-cp312-cp312-musllinux_1_2_x86_64.whl",
            HOPPER,
            "it is built for musllinux_1_2_x86_64; this is linux-x86_64",
        ),
        (
            "flash_attn-2.7.4.post1+cu12torch2.10cxx11abiTRUE-cp312-cp312-linux_x86_64.whl",
            differ(cuda="12.8", capability="12.0"),
            "wheels of 2.7.4.post1 carry code for sm_80 sm_90, which 12.0 does not run",
        ),
    ],
)
def test_wheels_of_other_kinds(name: str, target: FlashTarget, reason: str) -> None:
    assert judge_wheel(name, target, KNOWLEDGE) == WheelVerdict(fits=False, reason=reason)


def test_a_windows_wheel_has_one_abi() -> None:
    name = "flash_attn-2.8.3+cu130torch2.10-cp312-cp312-win_amd64.whl"
    target = differ(platform="windows-amd64", cxx11_abi=False)
    assert judge_wheel(name, target, KNOWLEDGE).fits


def test_what_its_code_is_for_must_be_known() -> None:
    blank = replace(KNOWLEDGE, builds=())
    assert judge_wheel(OFFICIAL, HOPPER, blank) == WheelVerdict(
        fits=False, reason="which devices wheels of 2.8.3 carry code for is not known"
    )


@pytest.mark.parametrize(
    ("torch", "platform", "cxx11_abi"),
    [
        ("2.11.0", "linux-x86_64", True),
        ("2.7.0+cu126", "linux-x86_64", True),
        ("2.6.0", "linux-x86_64", False),
        ("2.6.0", "windows-amd64", True),
        ("a torch of their own", "linux-x86_64", True),
    ],
)
def test_the_abi_of_torchs_own_wheels(torch: str, platform: str, cxx11_abi: bool) -> None:
    built = build_flash_target(torch=torch, cuda="13.0", python="3.12", platform=platform, capability="9.0")
    assert built == FlashTarget(
        torch=torch,
        cuda="13.0",
        python="3.12",
        platform=platform,
        capability="9.0",
        cxx11_abi=cxx11_abi,
    )


def test_every_official_wheel_that_is_listed_fits_its_own_machine() -> None:
    """And, on the same machine, no other torch, CUDA or Python."""
    judged = 0
    for row in KNOWLEDGE.wheels:
        for torch, python, abi, platform in itertools.product(
            row.torch, row.python, row.cxx11_abi, row.platforms
        ):
            tag = f"cp{python.replace('.', '')}"
            label = f"cu{row.cuda}torch{torch}cxx11abi{str(abi).upper()}"
            name = f"flash_attn-{row.version}+{label}-{tag}-{tag}-{platform.replace('-', '_')}.whl"
            target = FlashTarget(
                torch=f"{torch}.0",
                cuda=f"{row.cuda}.0",
                python=python,
                platform=platform,
                capability="9.0",
                cxx11_abi=abi,
            )
            assert judge_wheel(name, target, KNOWLEDGE).fits, name
            for other in (
                replace(target, torch="2.11.0"),
                replace(target, cuda="11.8"),
                replace(target, python="3.14"),
                replace(target, cxx11_abi=not abi),
                replace(target, capability="7.5"),
            ):
                assert not judge_wheel(name, other, KNOWLEDGE).fits, (name, other)
            judged += 1
    assert judged > 100


_PIECES = st.sampled_from(
    """flash_attn flash-attn - + . 2.8.3 2.8.3.post1 cu13 cu130 cu torch2.10 torch torch2 cxx11abiTRUE cxx11abi
    cp312 abi3 linux_x86_64 .whl py3 none any 1build %2B / ! * rocm6.3 é 00 _ v""".split()  # noqa: SIM905
)


@given(st.lists(_PIECES, max_size=14).map("".join) | st.text(max_size=400))
def test_no_name_raises(name: str) -> None:
    wheel = parse_flash_wheel(name)
    verdict = judge_wheel(name, HOPPER, KNOWLEDGE)
    assert verdict.reason.strip()
    assert wheel is not None or not verdict.fits


@given(
    st.sampled_from(["12", "13", "118", "128"]),
    st.tuples(st.integers(1, 4), st.integers(0, 30)),
    st.sampled_from([True, False, None]),
    st.sampled_from(["cp39", "cp312", "cp314"]),
)
def test_a_name_is_read_back(cuda: str, torch: tuple[int, int], abi: bool | None, tag: str) -> None:
    said = "" if abi is None else f"cxx11abi{str(abi).upper()}"
    version = f"{torch[0]}.{torch[1]}"
    wheel = parse_flash_wheel(f"flash_attn-2.8.3+cu{cuda}torch{version}{said}-{tag}-{tag}-linux_x86_64.whl")
    assert wheel is not None
    expected = cuda if len(cuda) == 2 else f"{cuda[:2]}.{cuda[2]}"
    assert (wheel.cuda, wheel.torch, wheel.cxx11_abi) == (expected, version, abi)
