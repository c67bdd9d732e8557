"""Where torch is looked for, in which order, and whether what a source offers may be taken."""

from __future__ import annotations

from msgspec import Struct

from provision.core.pip_settings import build_label
from provision.model.packages import PackageSettings, Source, SourceKind
from provision.model.profile import TorchBuild

# The label of wheels without a GPU backend, and of a profile that takes any build, since each runs on a CPU.
_CPU = "cpu"


class TorchQuery(Struct, frozen=True, kw_only=True):
    """Requirements to put to one source; `torchvision` is None when torch is asked for alone."""

    torch: str
    torchvision: str | None

    @property
    def requirements(self) -> tuple[str, ...]:
        """In pip's syntax."""
        pair = (f"torch=={self.torch}",)
        return pair if self.torchvision is None else (*pair, f"torchvision=={self.torchvision}")


class Offer(Struct, frozen=True, kw_only=True):
    """What a source would give: versions with their local labels, and the tag that they are built for."""

    torch: str
    torchvision: str | None
    tag: str


class Refusal(Struct, frozen=True, kw_only=True):
    """Why an offer is not taken, in one sentence."""

    reason: str


def build_sources(settings: PackageSettings, build: TorchBuild, platform: str) -> tuple[Source, ...]:
    """Every source of torch in the order in which it is tried.

    The user's own configuration first, then PyTorch's index for the build's tag, then the default index; that
    goes before where its wheels for `platform` are this very build: the locks that ship are of its files.
    `no_index` of the user's leaves only the folders that they name.
    """
    if settings.no_index:
        return settings.sources
    pytorch = Source(
        kind=SourceKind.PYTORCH,
        location=build.index,
        origin=f"build {build.name}",
        label=build_label(build.index),
    )
    default = Source(kind=SourceKind.DEFAULT, location=None, origin="uv", label="the default index")
    same = platform in build.default_index and build.default_index[platform].tag == build.tag
    return (*settings.sources, default, pytorch) if same else (*settings.sources, pytorch, default)


def build_queries(build: TorchBuild, *, torchvision_needed: bool) -> tuple[TorchQuery, ...]:
    """What to ask one source for, best first: the labelled pair, the pair, then torch without torchvision.

    A plain version also matches a labelled wheel, so every answer is judged by `judge_offer`.
    """
    label = f"+{build.tag}"
    pairs = [
        TorchQuery(torch=build.torch + label, torchvision=build.torchvision + label),
        TorchQuery(torch=build.torch, torchvision=build.torchvision),
    ]
    alone = [
        TorchQuery(torch=build.torch + label, torchvision=None),
        TorchQuery(torch=build.torch, torchvision=None),
    ]
    return tuple(pairs if torchvision_needed else pairs + alone)


def judge_offer(build: TorchBuild, platform: str, *, torch: str, torchvision: str | None) -> Offer | Refusal:
    """Whether the versions that a source offers are the build that the profile wants.

    A wheel without a label is what the default index has for that version on `platform`. A GPU profile takes
    its own CUDA tag only, never a CPU wheel; the CPU profile takes either, since a CUDA build runs on a CPU.
    torch and torchvision must carry the same label: a CUDA torchvision over a CPU torch fails at import.
    """
    label = _label(torch)
    if torchvision is not None and _label(torchvision) != label:
        return Refusal(
            reason=f"torchvision {torchvision} does not belong to torch {torch}: one CUDA tag for both"
        )
    if label is not None:
        tag = label
    elif platform in build.default_index:
        tag = build.default_index[platform].tag
    else:
        return Refusal(
            reason=f"torch {torch} carries no CUDA tag, and what it is built for on {platform} is not known"
        )
    if build.tag in (_CPU, tag):
        return Offer(torch=torch, torchvision=torchvision, tag=tag)
    kind = "the CPU" if tag == _CPU else tag
    return Refusal(reason=f"torch {torch} is built for {kind}, not for {build.tag}")


def _label(version: str) -> str | None:
    return version.partition("+")[2] or None
