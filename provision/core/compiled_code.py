"""Whether the code in a wheel runs on an NVIDIA device: SASS at once, PTX after the driver compiled it."""

from __future__ import annotations

from enum import Enum

from provision.model.profile import Architectures

# NVIDIA's integrated devices run cubins made for themselves only. torch.cuda._check_cubins has the same exceptions:
# https://github.com/pytorch/pytorch/blob/v2.11.0/torch/cuda/__init__.py, DEVICE_REQUIREMENT.
_OWN_CUBINS_ONLY = frozenset({53, 62, 72, 87})


class Runs(Enum):
    """How a device runs what a wheel carries."""

    NATIVE = "sass"
    COMPILED = "ptx"
    NOT = "not"


def judge_code(capability: str, carried: Architectures) -> Runs:
    """`capability` is a compute capability such as "8.9", which runs sm_86.

    A cubin for sm_XY runs on devices of major X with a minor of at least Y; PTX on every newer device.
    """
    device = parse_capability(capability)
    if any(_takes_cubin(device, sm) for sm in carried.sass):
        return Runs.NATIVE
    return Runs.COMPILED if any(compute <= device for compute in carried.ptx) else Runs.NOT


def choose_cubin(capability: str, carried: Architectures) -> int | None:
    """The newest of the carried `sm_` numbers that a device takes, None when it takes none."""
    device = parse_capability(capability)
    return max((sm for sm in carried.sass if _takes_cubin(device, sm)), default=None)


def parse_capability(capability: str) -> int:
    """120 for "12.0"; 0 when it is no compute capability."""
    major, _, minor = capability.partition(".")
    return int(major) * 10 + int(minor) if major.isdecimal() and minor.isdecimal() else 0


def render_capability(sm: int) -> str:
    """ "12.0" for 120."""
    return f"{sm // 10}.{sm % 10}"


def _takes_cubin(device: int, sm: int) -> bool:
    if device in _OWN_CUBINS_ONLY or sm in _OWN_CUBINS_ONLY:
        return device == sm
    return sm // 10 == device // 10 and sm % 10 <= device % 10
