"""What the deep checks hold results against: attention by its definition, and how far off a result is."""

from __future__ import annotations

import math

import torch


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    is_causal: bool = False,
    attn_mask: torch.Tensor | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """Attention by its definition, in float64."""
    query, key, value = query.double(), key.double(), value.double()
    if enable_gqa:
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    return torch.softmax(scores, dim=-1) @ value


def compare(computed: torch.Tensor, reference: torch.Tensor) -> dict[str, float]:
    """How far a result is from float64; both figures are infinite when a value is not finite.

    `relative_error` is the norm of the difference over the reference's; `worst` the largest difference of one
    value, over the sum of its own size and the root mean square of all.
    """
    found = computed.detach().to("cpu").double()
    if found.shape != reference.shape or not bool(torch.isfinite(found).all()):
        return {"relative_error": math.inf, "worst": math.inf}
    difference = (found - reference).abs()
    scale = reference.square().mean().sqrt()
    return {
        "relative_error": (difference.norm() / reference.norm()).item(),
        "worst": (difference / (reference.abs() + scale)).max().item(),
    }
