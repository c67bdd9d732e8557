"""The model to train, built from the embedded folder's own configuration, and its batched vision encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from smoke.pages import grid

PATCH = 14
MERGE = 2
ROTARY_BASE = 10000.0
PATCH_ROWS = grid.PAGE_HEIGHT // PATCH
PATCH_COLUMNS = grid.PAGE_WIDTH // PATCH
IMAGE_TOKENS = PATCH_ROWS * PATCH_COLUMNS // MERGE**2
CELLS_PER_TOKEN = grid.ROWS * grid.COLUMNS // IMAGE_TOKENS


class GlyphHeads(nn.Module):  # type: ignore[misc] # torch is not installed where mypy runs
    """Reads off each merged visual token the characters of its cells: a loss for training, not exported.

    In the first trials, without it, the text model never learnt to look at the picture.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, CELLS_PER_TOKEN * len(grid.CHARACTERS))

    def forward(self, visual_tokens: Tensor) -> Tensor:
        """(pages * IMAGE_TOKENS, hidden) to logits (pages, rows, columns, characters)."""
        return self.linear(visual_tokens).view(-1, grid.ROWS, grid.COLUMNS, len(grid.CHARACTERS))


class PageEncoder:
    """Runs a Qwen2-VL vision tower over a batch of pages of one size as dense attention.

    The tower's own forward pass attends image by image, which is slow for hundreds of small ones. This uses
    its modules and gives the same features; `check` compares the two.
    """

    def __init__(self, visual: Any, device: str) -> None:
        self._visual = visual
        self._cos, self._sin = (t.to(device) for t in build_rotary(visual.config))
        self._mean, self._std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in _CLIP_STATISTICS)

    def encode(self, images: Tensor) -> Tensor:
        """Images (pages, height, width), 0 black to 1 white, to features (pages * IMAGE_TOKENS, hidden)."""
        visual = self._visual
        weight = visual.patch_embed.proj.weight.flatten(1)
        hidden = functional.linear(self.build_patches(images).to(weight.dtype), weight)
        for block in visual.blocks:
            hidden = hidden + self._attend(block.attn, block.norm1(hidden))
            hidden = hidden + block.mlp(block.norm2(hidden))
        return visual.merger(hidden)

    def build_patches(self, images: Tensor) -> Tensor:
        """Images to normalised patches (pages, patches, 1176), in the order of Qwen2-VL's image processor."""
        pages = images.shape[0]
        normalised = (images[:, None] - self._mean) / self._std
        split = (pages, 3, PATCH_ROWS // MERGE, MERGE, PATCH, PATCH_COLUMNS // MERGE, MERGE, PATCH)
        patches = normalised.view(split).permute(0, 2, 5, 3, 6, 1, 4, 7)
        # A picture is a film of two equal frames: see temporal_patch_size.
        frames = patches[:, :, :, :, :, :, None].expand(*patches.shape[:6], 2, PATCH, PATCH)
        return frames.reshape(pages, PATCH_ROWS * PATCH_COLUMNS, -1)

    def check(self, images: Tensor) -> None:
        """Raises RuntimeError when the features are not those of the tower's own forward pass."""
        pages = images.shape[0]
        grid_thw = torch.tensor([[1, PATCH_ROWS, PATCH_COLUMNS]] * pages, device=images.device)
        patches = self.build_patches(images).flatten(0, 1)
        with torch.no_grad():
            expected = self._visual(patches, grid_thw=grid_thw).pooler_output
            difference = (self.encode(images).flatten(0, -2) - expected).abs().max().item()
        if difference > 1e-3:
            raise RuntimeError(f"the batched vision encoder is off by {difference:.2g}")

    def _attend(self, attention: Any, hidden: Tensor) -> Tensor:
        """Attention of every patch to all patches of its page, (pages, patches, hidden)."""
        pages, patches, _ = hidden.shape
        qkv = attention.qkv(hidden).view(pages, patches, 3, attention.num_heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        query, key = (self._rotate(t).to(value.dtype) for t in (query, key))
        out = functional.scaled_dot_product_attention(query, key, value)
        return attention.proj(out.transpose(1, 2).flatten(2))

    def _rotate(self, states: Tensor) -> Tensor:
        first, second = states.float().chunk(2, dim=-1)
        return states * self._cos + torch.cat((-second, first), dim=-1) * self._sin


# Mean and standard deviation per colour in the folder's preprocessor_config.json (CLIP's).
_CLIP_STATISTICS = (
    (0.48145466, 0.4578275, 0.40821073),
    (0.26862954, 0.26130258, 0.27577711),
)


def build_model(model_dir: Path) -> Any:
    """A `Qwen2VLForConditionalGeneration` as `model_dir/config.json` has it, with random float32 weights."""
    from transformers import AutoConfig, Qwen2VLForConditionalGeneration

    config = AutoConfig.from_pretrained(model_dir)
    return Qwen2VLForConditionalGeneration._from_config(
        config, attn_implementation="sdpa", dtype=torch.float32
    )


def build_rotary(config: Any) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the vision tower's rotary positions for one page, each (patches, head size)."""
    head_size = config.embed_dim // config.num_heads
    frequencies = ROTARY_BASE ** -(torch.arange(0, head_size // 2, 2) / (head_size // 2))
    rows = torch.arange(PATCH_ROWS)[:, None].expand(PATCH_ROWS, PATCH_COLUMNS)
    columns = torch.arange(PATCH_COLUMNS)[None].expand(PATCH_ROWS, PATCH_COLUMNS)
    merged = (PATCH_ROWS // MERGE, MERGE, PATCH_COLUMNS // MERGE, MERGE)
    position = torch.stack([t.reshape(merged).transpose(1, 2).flatten() for t in (rows, columns)], dim=-1)
    angles = (position[..., None] * frequencies).flatten(1).repeat(1, 2)
    return angles.cos(), angles.sin()
