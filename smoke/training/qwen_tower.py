"""Qwen2-VL and Qwen3-VL: the model, its vision tower over a batch of pages as dense attention, its prompts."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from smoke.pages import grid
from smoke.training import prompts, vocabulary
from smoke.training.architecture import Normalizer, PageFeatures, Prompt, TokenGrid, build_from_config

PATCH = 14
MERGE = 2
ROTARY_BASE = 10000.0
PATCH_ROWS = grid.PAGE_HEIGHT // PATCH
PATCH_COLUMNS = grid.PAGE_WIDTH // PATCH
TOKEN_GRID = TokenGrid(PATCH_ROWS // MERGE, PATCH_COLUMNS // MERGE)


class PageEncoder:
    """Runs a vision tower over a batch of pages of one size.

    The tower's own forward pass attends image by image, which is slow for hundreds of small ones. This uses
    its modules and gives the same features; `check` compares the two.
    """

    token_grid = TOKEN_GRID

    def __init__(self, model: Any, model_dir: Path, device: str) -> None:
        self._visual = visual = model.model.visual
        self._normalizer = Normalizer(model_dir, device)
        width = visual.blocks[0].norm1.normalized_shape[0]
        rotary = build_rotary(width // visual.config.num_heads)
        self._cos, self._sin = (table.to(device) for table in rotary)
        self._deepstack = list(getattr(visual, "deepstack_visual_indexes", ()))
        if hasattr(visual, "pos_embed"):
            at, weights = build_interpolation(visual.num_grid_per_side)
            self._positions_at, self._position_weights = at.to(device), weights.to(device)

    def encode(self, images: Tensor) -> PageFeatures:
        """Images (pages, height, width), 0 black to 1 white, to features."""
        visual = self._visual
        hidden = self._embed(images)
        deepstack = []
        for index, block in enumerate(visual.blocks):
            hidden = hidden + self._attend(block.attn, block.norm1(hidden))
            hidden = hidden + block.mlp(block.norm2(hidden))
            if index in self._deepstack:
                merger = visual.deepstack_merger_list[self._deepstack.index(index)]
                deepstack.append(self._merge(merger, hidden))
        return PageFeatures(self._merge(visual.merger, hidden), tuple(deepstack))

    def build_patches(self, images: Tensor) -> Tensor:
        """Images to normalised patches (pages, patches, 1176), in the order of Qwen2-VL's image processor."""
        pages = images.shape[0]
        split = (pages, 3, PATCH_ROWS // MERGE, MERGE, PATCH, PATCH_COLUMNS // MERGE, MERGE, PATCH)
        patches = self._normalizer.normalize(images).view(split).permute(0, 2, 5, 3, 6, 1, 4, 7)
        # A picture is a film of two equal frames: see temporal_patch_size.
        frames = patches[:, :, :, :, :, :, None].expand(*patches.shape[:6], 2, PATCH, PATCH)
        return frames.reshape(pages, PATCH_ROWS * PATCH_COLUMNS, -1)

    def check(self, images: Tensor) -> None:
        """Raises RuntimeError when the features are not those of the tower's own forward pass."""
        grid_thw = torch.tensor([[1, PATCH_ROWS, PATCH_COLUMNS]] * len(images), device=images.device)
        patches = self.build_patches(images).flatten(0, 1)
        with torch.no_grad():
            output = self._visual(patches, grid_thw=grid_thw)
            found = self.encode(images)
        expected = [output.pooler_output, *getattr(output, "deepstack_features", ())]
        pairs = zip((found.tokens, *found.deepstack), expected, strict=True)
        difference = max((ours.flatten(0, 1) - theirs).abs().max().item() for ours, theirs in pairs)
        if difference > 1e-3:
            raise RuntimeError(f"the batched vision encoder is off by {difference:.2g}")

    def _embed(self, images: Tensor) -> Tensor:
        """Patches through the first layer, (pages, patches, width), with Qwen3-VL's learnt positions."""
        projection = self._visual.patch_embed.proj
        weight = projection.weight.flatten(1)
        hidden = functional.linear(self.build_patches(images).to(weight.dtype), weight, projection.bias)
        if not hasattr(self._visual, "pos_embed"):
            return hidden
        positions = self._visual.pos_embed(self._positions_at) * self._position_weights[..., None]
        return hidden + positions.sum(1).to(hidden.dtype)

    def _merge(self, merger: Any, hidden: Tensor) -> Tensor:
        """The merger takes patches of any number of pages in one row."""
        return merger(hidden.flatten(0, 1)).view(len(hidden), TOKEN_GRID.tokens, -1)

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


class QwenPrompts:
    """Token ids and positions of random prompts, through the embedded folder's own template and tokenizer."""

    def __init__(self, model: Any, model_dir: Path) -> None:
        from transformers import AutoTokenizer

        self._model = model
        self._tokenizer = AutoTokenizer.from_pretrained(model_dir)
        self._template = (model_dir / "chat_template.jinja").read_text(encoding="utf-8")

    def draw(self, seed: int, answer_tokens: int) -> Prompt:
        """The prompt's ids (tokens,) and positions (3, tokens + answer_tokens) with an answer after it."""
        text = self._tokenizer.apply_chat_template(
            prompts.draw_messages(Random(seed)),
            chat_template=self._template,
            add_generation_prompt=True,
            tokenize=False,
        )
        text = text.replace(vocabulary.IMAGE_PAD, vocabulary.IMAGE_PAD * TOKEN_GRID.tokens)
        prompt = self._tokenizer(text, return_tensors="pt").input_ids[0]
        ids = functional.pad(prompt, (0, answer_tokens))[None]
        positions, _ = self._model.model.get_rope_index(
            ids,
            mm_token_type_ids=(ids == self._model.config.image_token_id).int(),
            image_grid_thw=torch.tensor([[1, PATCH_ROWS, PATCH_COLUMNS]]),
        )
        return Prompt(prompt, positions[:, 0])


def build_model(model_dir: Path) -> Any:
    """The model of `model_dir/config.json` with random float32 weights."""
    return build_from_config(model_dir, attn_implementation="sdpa")


def build_encoder(model: Any, model_dir: Path, device: str) -> PageEncoder:
    """The batched vision tower."""
    return PageEncoder(model, model_dir, device)


def build_prompts(model: Any, model_dir: Path) -> QwenPrompts:
    """The source of prompts."""
    return QwenPrompts(model, model_dir)


def list_patch_places() -> Tensor:
    """Row and column of every patch, (patches, 2), in the order of the image processor: merged blocks first."""
    rows = torch.arange(PATCH_ROWS)[:, None].expand(PATCH_ROWS, PATCH_COLUMNS)
    columns = torch.arange(PATCH_COLUMNS)[None].expand(PATCH_ROWS, PATCH_COLUMNS)
    merged = (PATCH_ROWS // MERGE, MERGE, PATCH_COLUMNS // MERGE, MERGE)
    return torch.stack([t.reshape(merged).transpose(1, 2).flatten() for t in (rows, columns)], dim=-1)


def build_rotary(head_size: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the vision tower's rotary positions for one page, each (patches, head size)."""
    frequencies = ROTARY_BASE ** -(torch.arange(0, head_size // 2, 2) / (head_size // 2))
    angles = (list_patch_places()[..., None] * frequencies).flatten(1).repeat(1, 2)
    return angles.cos(), angles.sin()


def build_interpolation(side: int) -> tuple[Tensor, Tensor]:
    """Which of the `side` x `side` learnt positions each patch takes, and in what share, both (patches, 4).

    Bilinear with aligned corners: the first and the last patch of a line take the first and the last position.
    """
    extent = torch.tensor([PATCH_ROWS - 1, PATCH_COLUMNS - 1])
    place = list_patch_places() * (side - 1) / extent
    low = place.floor().long()
    high = (low + 1).clamp(max=side - 1)
    share = place - low
    at, weights = [], []
    for row, row_weight in ((low[:, 0], 1 - share[:, 0]), (high[:, 0], share[:, 0])):
        for column, column_weight in ((low[:, 1], 1 - share[:, 1]), (high[:, 1], share[:, 1])):
            at.append(row * side + column)
            weights.append(row_weight * column_weight)
    return torch.stack(at, dim=1), torch.stack(weights, dim=1)
