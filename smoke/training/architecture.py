"""What every architecture's training needs: the features of a page, its prompt, and the loss that opens its eyes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from smoke.pages import grid


class TokenGrid(NamedTuple):
    """How the visual tokens of a page lie on it, row by row."""

    rows: int
    columns: int

    @property
    def tokens(self) -> int:
        """Visual tokens of one page."""
        return self.rows * self.columns


class PageFeatures(NamedTuple):
    """What the vision tower gives: `tokens` is (pages, visual tokens, hidden) in place of the image tokens.

    `deepstack` are features of the same shape to add after each of the text model's first layers.
    """

    tokens: Tensor
    deepstack: tuple[Tensor, ...] = ()


class Prompt(NamedTuple):
    """`ids` is (tokens,). `positions` is (3, tokens with the answer), None where they just count up."""

    ids: Tensor
    positions: Tensor | None


class Encoder(Protocol):
    """A model's vision tower, over batches of pages as `PageSource` draws them."""

    token_grid: TokenGrid

    def encode(self, images: Tensor) -> PageFeatures:
        """Images (pages, height, width), 0 black to 1 white, to features."""

    def check(self, images: Tensor) -> None:
        """Raises RuntimeError when `encode` gives something else than the model's own classes do."""


class Prompts(Protocol):
    """Random conversations in a family's own form."""

    def draw(self, seed: int, answer_tokens: int) -> Prompt:
        """A prompt up to the answer, which has `answer_tokens` tokens."""


class GlyphHeads(nn.Module):  # type: ignore[misc] # torch is not installed where mypy runs
    """Reads off the visual tokens the characters of the cells that they cover: a loss for training, not exported.

    In the first trials, without it, the text model never learnt to look at the picture. Where a line of the
    page has several rows of tokens, those that lie above each other are read together.
    """

    def __init__(self, hidden_size: int, token_grid: TokenGrid) -> None:
        super().__init__()
        self._columns = token_grid.columns
        self._stacked = token_grid.rows // grid.ROWS
        cells = grid.COLUMNS // token_grid.columns
        self.linear = nn.Linear(self._stacked * hidden_size, cells * len(grid.CHARACTERS))

    def forward(self, tokens: Tensor) -> Tensor:
        """(pages, visual tokens, hidden) to logits (pages, rows, columns, characters)."""
        split = tokens.view(len(tokens), grid.ROWS, self._stacked, self._columns, -1)
        together = split.transpose(2, 3).flatten(3)
        return self.linear(together).view(-1, grid.ROWS, grid.COLUMNS, len(grid.CHARACTERS))


class Normalizer:
    """Grey pages to what the folder's image processor makes of their colours."""

    def __init__(self, model_dir: Path, device: str) -> None:
        content = json.loads((model_dir / "preprocessor_config.json").read_text(encoding="utf-8"))
        mean, std = (torch.tensor(content[key], device=device) for key in ("image_mean", "image_std"))
        self._mean, self._std = mean.view(1, 3, 1, 1), std.view(1, 3, 1, 1)

    def normalize(self, images: Tensor) -> Tensor:
        """(pages, height, width) to (pages, 3, height, width)."""
        return (images[:, None] - self._mean) / self._std


def build_from_config(model_dir: Path, **options: Any) -> Any:
    """The class that `model_dir/config.json` names, with random float32 weights."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(model_dir)
    model_class = getattr(transformers, config.architectures[0])
    return model_class._from_config(config, dtype=torch.float32, **options)
