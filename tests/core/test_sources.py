"""Which offer of torch is taken, and from where."""

from __future__ import annotations

import pytest

from provision.core.sources import Offer, Refusal, build_queries, build_sources, judge_offer
from provision.model.packages import PackageSettings, Source, SourceKind
from provision.model.profile import PlatformBuild, TorchBuild

CUDA = TorchBuild(
    name="cuda",
    torch="2.11.0",
    torchvision="0.26.0",
    tag="cu130",
    cuda="13.0",
    index="https://torch.example/whl/cu130",
    default_index={"linux-x86_64": PlatformBuild(tag="cu130"), "windows-amd64": PlatformBuild(tag="cpu")},
)
CPU = TorchBuild(
    name="cpu",
    torch="2.13.0",
    torchvision="0.28.0",
    tag="cpu",
    cuda=None,
    index="https://torch.example/whl/cpu",
    default_index={"linux-x86_64": PlatformBuild(tag="cu130")},
)
ROCM = TorchBuild(
    name="rocm",
    torch="2.11.0",
    torchvision="0.26.0",
    tag="rocm7.2",
    cuda=None,
    index="https://torch.example/whl/rocm7.2",
    default_index={"linux-x86_64": PlatformBuild(tag="cu130")},
)
WHEELS = Source(kind=SourceKind.FIND_LINKS, location="/wheels", origin="PIP_FIND_LINKS", label="/wheels")


def test_the_users_sources_come_first() -> None:
    sources = build_sources(PackageSettings(sources=(WHEELS,)), CUDA, "windows-amd64")
    assert [(item.kind, item.label) for item in sources] == [
        (SourceKind.FIND_LINKS, "/wheels"),
        (SourceKind.PYTORCH, "https://torch.example/whl/cu130"),
        (SourceKind.DEFAULT, "the default index"),
    ]


def test_the_default_index_is_asked_before_pytorchs_where_it_has_the_same_build() -> None:
    assert [item.kind for item in build_sources(PackageSettings(), CUDA, "linux-x86_64")] == [
        SourceKind.DEFAULT,
        SourceKind.PYTORCH,
    ]
    assert [item.kind for item in build_sources(PackageSettings(), ROCM, "linux-x86_64")] == [
        SourceKind.PYTORCH,
        SourceKind.DEFAULT,
    ]


def test_no_index_means_no_index() -> None:
    assert build_sources(PackageSettings(sources=(WHEELS,), no_index=True), CUDA, "linux-x86_64") == (WHEELS,)


def test_the_labelled_pair_is_asked_for_first() -> None:
    assert [query.requirements for query in build_queries(CPU, torchvision_needed=False)] == [
        ("torch==2.13.0+cpu", "torchvision==0.28.0+cpu"),
        ("torch==2.13.0", "torchvision==0.28.0"),
        ("torch==2.13.0+cpu",),
        ("torch==2.13.0",),
    ]


def test_torch_alone_is_not_asked_for_when_torchvision_is_needed() -> None:
    assert all(query.torchvision for query in build_queries(CPU, torchvision_needed=True))


@pytest.mark.parametrize(
    ("build", "platform", "torch", "torchvision", "expected"),
    [
        (CUDA, "linux-x86_64", "2.11.0+cu130", "0.26.0+cu130", "cu130"),
        (CUDA, "linux-x86_64", "2.11.0", "0.26.0", "cu130"),
        (ROCM, "linux-x86_64", "2.11.0+rocm7.2", "0.26.0+rocm7.2", "rocm7.2"),
        (CPU, "linux-x86_64", "2.13.0+cpu", None, "cpu"),
        (CPU, "linux-x86_64", "2.13.0", "0.28.0", "cu130"),
    ],
)
def test_taken(build: TorchBuild, platform: str, torch: str, torchvision: str | None, expected: str) -> None:
    offer = judge_offer(build, platform, torch=torch, torchvision=torchvision)
    assert offer == Offer(torch=torch, torchvision=torchvision, tag=expected)


@pytest.mark.parametrize(
    ("build", "platform", "torch", "torchvision", "reason"),
    [
        (CUDA, "linux-x86_64", "2.11.0+cpu", None, "torch 2.11.0+cpu is built for the CPU, not for cu130"),
        (CUDA, "linux-x86_64", "2.11.0+cu126", None, "torch 2.11.0+cu126 is built for cu126, not for cu130"),
        (CUDA, "windows-amd64", "2.11.0", "0.26.0", "torch 2.11.0 is built for the CPU, not for cu130"),
        (ROCM, "linux-x86_64", "2.11.0", "0.26.0", "torch 2.11.0 is built for cu130, not for rocm7.2"),
        (ROCM, "linux-x86_64", "2.11.0+cpu", None, "torch 2.11.0+cpu is built for the CPU, not for rocm7.2"),
        (
            CPU,
            "linux-x86_64",
            "2.13.0+cpu",
            "0.28.0",
            "torchvision 0.28.0 does not belong to torch 2.13.0+cpu: one CUDA tag for both",
        ),
        (
            CUDA,
            "freebsd-amd64",
            "2.11.0",
            None,
            "torch 2.11.0 carries no CUDA tag, and what it is built for on freebsd-amd64 is not known",
        ),
    ],
)
def test_refused(build: TorchBuild, platform: str, torch: str, torchvision: str | None, reason: str) -> None:
    assert judge_offer(build, platform, torch=torch, torchvision=torchvision) == Refusal(reason=reason)
