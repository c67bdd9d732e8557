"""The computations of `deep.py`: each on a device, against float64 on the CPU, with limits that are reasoned.

bf16 keeps 8 bits of a value, so rounding changes it by at most u = 2**-9 of itself. What is right differs from
float64 by about that; what is wrong, by far more.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from smoke.deep_reference import attend, compare

# For a whole result, by the norms. Rounding it gives less than u; a sum of 1024 products that lacks one gives
# 2**-5. Attention may round its scores and its probabilities too.
MATMUL_LIMIT = 2.0**-7
ATTENTION_LIMIT = 2.0**-6
# For the worst value, against itself and the root mean square of all: a single one that is wrong is seen.
_WORST_FACTOR = 4.0
# These say why a device cannot be used, where it cannot.
EXPLAINING = ("deep.device", "deep.native-code")
# What was found right on the CPU would say nothing of these, and nobody has tried them there.
NOT_COVERED = ("xpu", "mps")
_NO_KERNEL = ("No available kernel", "No viable backend")

# torch learned to share keys among query heads with 2.5.
_CASES = ("plain", "causal", "mask") + (
    ("gqa",) if "enable_gqa" in (functional.scaled_dot_product_attention.__doc__ or "") else ()
)

Result = dict[str, Any]


def choose_device() -> str:
    """The GPU that this torch computes on, else the CPU. ROCm calls itself cuda."""
    if torch.cuda.is_available():
        return "cuda"
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        return "xpu"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def is_usable(device: str) -> bool:
    """False once the process has lost its device, as it does by a device-side assert."""
    try:
        return bool(torch.ones(1, device=device).item() == 1.0)
    except (RuntimeError, AssertionError):
        return False


def check_device(device: str) -> Result:
    """Is the device there, do bytes come back as they went, and are NaN and infinity what they are?"""
    if device == "cuda" and not torch.cuda.is_available():
        return {"outcome": "wrong", "detail": _explain_no_cuda()}
    sent = torch.randint(-(2**31), 2**31 - 1, (1 << 20,), dtype=torch.int32, generator=_seed())
    if not torch.equal(sent.to(device).to("cpu"), sent):
        return {"outcome": "wrong", "detail": "4 MiB that were copied there and back came back changed"}
    zero = torch.zeros(64, device=device)
    nan = zero / zero
    matrix = nan.to(torch.bfloat16).reshape(8, 8)
    facts = {
        "0/0 is NaN": bool(torch.isnan(nan).all()),
        "1/0 is infinite": bool(torch.isinf((zero + 1) / zero).all()),
        "NaN passes through a maximum": bool(torch.isnan(torch.maximum(nan, zero)).all()),
        "NaN passes through a product of matrices": bool(
            torch.isnan(matrix @ torch.zeros_like(matrix)).all()
        ),
    }
    if not all(facts.values()):
        wrong = [sentence for sentence, holds in facts.items() if not holds]
        return {"outcome": "wrong", "detail": f"not so: {', '.join(wrong)}"}
    name = "the CPU" if device == "cpu" else torch.cuda.get_device_name()
    return {"outcome": "ok", "detail": name, "figures": {"name": name}}


def _explain_no_cuda() -> str:
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        first = str(error).strip().partition("\n")[0]
        return f"torch {torch.__version__} finds no GPU: {first}"
    return f"torch {torch.__version__} finds no GPU"


def check_matmul(device: str) -> Result:
    """A product of bf16 matrices, 512 x 1024 by 1024 x 384, and one whose sizes fit no tile."""
    figures: dict[str, float] = {}
    for rows, inner, columns in ((512, 1024, 384), (257, 1021, 130)):
        generator = _seed()
        left = torch.randn(rows, inner, generator=generator).to(torch.bfloat16)
        right = torch.randn(inner, columns, generator=generator).to(torch.bfloat16)
        computed = left.to(device) @ right.to(device)
        _note(figures, compare(computed, left.double() @ right.double()))
    return _judge(figures, MATMUL_LIMIT, "bf16 matmul")


def check_cudnn(device: str) -> Result:
    """bf16 convolutions as vision towers begin with: over patches of a picture, and of two frames."""
    if device != "cuda":
        return {"outcome": "skipped", "detail": "cuDNN is for GPUs by NVIDIA"}
    if not torch.backends.cudnn.is_available():
        return {"outcome": "unavailable", "detail": "torch finds no cuDNN"}
    figures: dict[str, float] = {}
    with torch.backends.cudnn.flags(enabled=True):
        for shape, kernel, convolve in (
            ((2, 3, 224, 224), (64, 3, 14, 14), functional.conv2d),
            ((2, 16, 56, 57), (32, 16, 3, 3), functional.conv2d),
            ((4, 3, 2, 28, 28), (64, 3, 2, 14, 14), functional.conv3d),
        ):
            generator = _seed()
            picture = torch.randn(shape, generator=generator).to(torch.bfloat16)
            weight = torch.randn(kernel, generator=generator).to(torch.bfloat16)
            stride = kernel[-1] if kernel[-1] > 3 else 1
            strides = (1, stride, stride)[-(len(shape) - 2) :]
            computed = convolve(picture.to(device), weight.to(device), stride=strides)
            _note(figures, compare(computed, convolve(picture.double(), weight.double(), stride=strides)))
    version = torch.backends.cudnn.version()
    return _judge(figures, MATMUL_LIMIT, f"cuDNN {version}")


def build_attention_check(name: str, title: str) -> Callable[[str], Result]:
    """A check that forces one backend of scaled_dot_product_attention in every case that it serves."""

    def check(device: str) -> Result:
        backend = getattr(SDPBackend, name, None)
        if backend is None:
            return {"outcome": "unavailable", "detail": f"{title} is not in torch {torch.__version__}"}
        figures: dict[str, float] = {}
        served: list[str] = []
        refused: dict[str, str] = {}
        for case in _CASES:
            inputs, options = _build_case(case)
            try:
                with sdpa_kernel([backend]), warnings.catch_warnings(record=True) as said:
                    warnings.simplefilter("always")
                    computed = functional.scaled_dot_product_attention(
                        *_move(inputs, device),
                        **dict(zip(options, _move(options.values(), device), strict=True)),
                    )
            except RuntimeError as error:
                if not str(error).startswith(_NO_KERNEL):
                    raise
                refused[case] = _find_reason([str(item.message) for item in said])
                continue
            served.append(case)
            _note(figures, compare(computed, attend(*inputs, **options)))
        if not served:
            return {"outcome": "unavailable", "detail": f"{title}: {next(iter(refused.values()))}"}
        result = _judge(figures, ATTENTION_LIMIT, f"{title}, {', '.join(served)}")
        result["figures"] |= {"served": served, "refused": sorted(refused)}
        return result

    return check


def _build_case(case: str) -> tuple[tuple[torch.Tensor, ...], dict[str, Any]]:
    """bf16 query, key and value of 8 heads, 197 positions (no tile's multiple) and 64 values a head, and options."""
    generator = _seed()
    heads = 2 if case == "gqa" else 8
    shapes = ((1, 8, 197, 64), (1, heads, 197, 64), (1, heads, 197, 64))
    inputs = tuple(torch.randn(shape, generator=generator).to(torch.bfloat16) for shape in shapes)
    if case == "causal":
        return inputs, {"is_causal": True}
    if case == "mask":
        # As for a batch of texts of several lengths: some keys belong to nobody, and every query sees one.
        mask = torch.rand(1, 1, 197, 197, generator=generator) < 0.7
        mask[..., 0] = True
        return inputs, {"attn_mask": mask}
    return inputs, {"enable_gqa": True} if case == "gqa" else {}


def _move(values: Iterable[Any], device: str) -> list[Any]:
    return [value.to(device) if isinstance(value, torch.Tensor) else value for value in values]


def _find_reason(warned: list[str]) -> str:
    """Why a backend was not taken, from what torch warned: `Mem efficient kernel not used because: …`."""
    # Each line that announces a reason is followed by one that gives it, and then by where in torch's source.
    reasons = [
        text.partition(" (Triggered internally")[0] for text in warned if "not used because" not in text
    ]
    return reasons[0][:300] if reasons else "no kernel for this device"


def check_native_code(device: str) -> Result:
    """What this torch was compiled for and what the device is; whether it suits is for who asked to say."""
    if device != "cuda":
        return {"outcome": "skipped", "detail": "there is one code for every CPU of a kind"}
    if torch.version.hip:
        return {"outcome": "skipped", "detail": "torch is built for ROCm, whose list is not compared"}
    architectures = torch.cuda.get_arch_list()
    major, minor = torch.cuda.get_device_capability()
    figures = {"architectures": architectures, "compute_capability": f"{major}.{minor}"}
    try:
        right = (torch.arange(64, device=device) * 2).sum().item() == 64 * 63
    except RuntimeError as error:
        first = str(error).strip().partition("\n")[0]
        return {"outcome": "wrong", "detail": first, "figures": figures}
    detail = f"compiled for {' '.join(architectures)}"
    return {"outcome": "ok" if right else "wrong", "detail": detail, "figures": figures}


def _note(figures: dict[str, float], measured: dict[str, float]) -> None:
    """Keep the largest of each."""
    for key, value in measured.items():
        figures[key] = max(value, figures.get(key, 0.0))


def _judge(figures: dict[str, float], limit: float, title: str) -> Result:
    error, worst = figures["relative_error"], figures["worst"]
    right = error <= limit and worst <= _WORST_FACTOR * limit
    if not math.isfinite(error):
        return {"outcome": "wrong", "detail": f"{title}: values that are not finite", "figures": {}}
    detail = f"{title}: relative error {error:.1e} against float64, at most {limit:.1e} is right"
    if error <= limit < worst / _WORST_FACTOR:
        detail = f"{title}: one value is off by {worst:.1e}, at most {_WORST_FACTOR * limit:.1e} is right"
    return {"outcome": "ok" if right else "wrong", "detail": detail, "figures": {**figures, "limit": limit}}


def _seed() -> torch.Generator:
    return torch.Generator().manual_seed(20_26)


CHECKS: dict[str, Callable[[str], Result]] = {
    "deep.device": check_device,
    "deep.native-code": check_native_code,
    "deep.matmul-bf16": check_matmul,
    "deep.cudnn": check_cudnn,
    "deep.sdpa-flash": build_attention_check("FLASH_ATTENTION", "flash attention"),
    "deep.sdpa-efficient": build_attention_check("EFFICIENT_ATTENTION", "memory-efficient attention"),
    "deep.sdpa-cudnn": build_attention_check("CUDNN_ATTENTION", "cuDNN attention"),
    "deep.sdpa-math": build_attention_check("MATH", "attention by plain operators"),
}
