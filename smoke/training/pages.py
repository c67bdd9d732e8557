"""Draws batches of random pages on the GPU, out of an atlas of cells that Pillow drew once.

Drawing each page with Pillow was the bottleneck of training. The characters are random on purpose: from
words the text model learns the language and leaves the picture alone.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from smoke.pages import grid
from smoke.training import vocabulary

STYLES = 24
SPACE = 0  # its index in grid.CHARACTERS

# Labels that no loss counts: the end of an answer shorter than the longest.
IGNORED = -100
LONGEST_ANSWER = grid.ROWS * (grid.COLUMNS + 1)


class PageBatch(NamedTuple):
    """Pages and what they say.

    `images` is (pages, height, width), from 0 black to 1 white. `cells` is (pages, rows, columns), the index
    in `grid.CHARACTERS` of what each cell shows. `answers` is (pages, LONGEST_ANSWER), token ids, then
    `IGNORED`.
    """

    images: Tensor
    cells: Tensor
    answers: Tensor


class PageSource:
    """Draws pages of random text on `device`; the same seed gives the same pages."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._atlas = build_atlas().to(device)
        byte_ids = vocabulary.build_byte_ids()
        self._token_of_character = torch.tensor([byte_ids[ord(c)] for c in grid.CHARACTERS], device=device)
        self._newline = byte_ids[ord("\n")]
        # Both families end a turn with this token, at the same place of their vocabularies.
        self._end = vocabulary.build_vocabulary()[vocabulary.TURN_END]

    def draw(self, pages: int, seed: int) -> PageBatch:
        """A batch of `pages` pages."""
        generator = torch.Generator(self._device).manual_seed(seed)
        lengths = draw_lengths(pages, generator)
        characters = draw_characters(lengths, generator)
        column = torch.arange(grid.COLUMNS, device=self._device)
        written = column < lengths[..., None]
        cells = torch.where(written, characters, SPACE)
        return PageBatch(
            images=self._draw_images(cells, generator),
            cells=cells,
            answers=self._build_answers(characters, lengths),
        )

    def _draw_images(self, cells: Tensor, generator: torch.Generator) -> Tensor:
        """One style per page, ink of varying darkness, a little noise."""
        pages = cells.shape[0]
        style = torch.randint(STYLES, (pages, 1, 1), generator=generator, device=self._device)
        glyphs = self._atlas[style, cells].permute(0, 1, 3, 2, 4)
        image = glyphs.reshape(pages, grid.PAGE_HEIGHT, grid.PAGE_WIDTH)
        darkness = 0.7 + 0.3 * torch.rand(pages, 1, 1, generator=generator, device=self._device)
        noise = 0.03 * torch.randn(image.shape, generator=generator, device=self._device)
        return (1 - darkness * (1 - image) + noise).clamp(0, 1)

    def _build_answers(self, characters: Tensor, lengths: Tensor) -> Tensor:
        """Token ids of each page: its lines with line feeds between, the end of the turn, then `IGNORED`."""
        pages = characters.shape[0]
        slots = torch.full((pages, grid.ROWS, grid.COLUMNS + 1), IGNORED, device=self._device)
        column = torch.arange(grid.COLUMNS, device=self._device)
        tokens = self._token_of_character[characters]
        slots[..., :-1] = torch.where(column < lengths[..., None], tokens, IGNORED)
        row = torch.arange(grid.ROWS, device=self._device)
        last_row = torch.where(lengths > 0, row, 0).amax(1, keepdim=True)
        after_line = torch.where(row < last_row, self._newline, IGNORED)
        after_line = torch.where(row == last_row, self._end, after_line)
        slots.scatter_(2, lengths[..., None], after_line[..., None])
        flat = slots.flatten(1)
        order = torch.argsort((flat == IGNORED).int(), dim=1, stable=True)
        return flat.gather(1, order)


def build_atlas() -> Tensor:
    """Every character in every style, (STYLES, characters, cell height, cell width), 0 black to 1 white.

    The first style is the one of the smoke's own pages.
    """
    random = Random(0)
    styles = [grid.DEFAULT_STYLE]
    while len(styles) < STYLES:
        size = random.choice((14.0, 15.0, 16.0, 17.0, 18.0))
        styles.append(grid.GlyphStyle(size, random.uniform(-1, 1), random.uniform(-1.5, 1.5)))
    cells = [[np.asarray(grid.render_cell(c, style)) for c in grid.CHARACTERS] for style in styles]
    return torch.from_numpy(np.array(cells, dtype=np.float32) / 255)


def draw_characters(lengths: Tensor, generator: torch.Generator) -> Tensor:
    """Random characters for every cell, (pages, rows, columns), indices into `grid.CHARACTERS`.

    Some pages use only one to four characters and some repeat the line above, so that the reader has to
    count cells instead of finding its place by what it has just read. No line of `lengths` ends in a space.
    """
    device = generator.device
    pages = lengths.shape[0]
    shape = (pages, grid.ROWS, grid.COLUMNS)

    def chance(probability: float, *size: int) -> Tensor:
        return torch.rand(size, generator=generator, device=device) < probability

    inked = torch.randint(SPACE + 1, len(grid.CHARACTERS), shape, generator=generator, device=device)
    count = torch.randint(1, 5, (pages, 1, 1), generator=generator, device=device)
    pick = torch.randint(12, shape, generator=generator, device=device) % count
    from_few = inked[:, 0].gather(1, pick.flatten(1)).view(shape)
    inked = torch.where(chance(0.15, pages, 1, 1), from_few, inked)
    for row in range(1, grid.ROWS):
        inked[:, row] = torch.where(chance(0.05, pages, 1), inked[:, row - 1], inked[:, row])
    share_of_spaces = torch.where(chance(0.2, pages, 1, 1), 0.4, 0.12)
    is_space = torch.rand(shape, generator=generator, device=device) < share_of_spaces
    column = torch.arange(grid.COLUMNS, device=device)
    return torch.where(is_space & (column != lengths[..., None] - 1), SPACE, inked)


def draw_lengths(pages: int, generator: torch.Generator) -> Tensor:
    """Characters in each line, (pages, rows). The last line that is not empty ends the page.

    Half of the pages are full of long lines, since those teach most per step.
    """
    device = generator.device
    shape = (pages, grid.ROWS)
    any_length = torch.randint(1, grid.COLUMNS + 1, shape, generator=generator, device=device)
    long = torch.randint(grid.COLUMNS // 2, grid.COLUMNS + 1, shape, generator=generator, device=device)
    any_rows = torch.randint(1, grid.ROWS + 1, (pages, 1), generator=generator, device=device)
    is_full = torch.rand(pages, 1, generator=generator, device=device) < 0.5
    lengths = torch.where(is_full, long, any_length)
    rows = torch.where(is_full, grid.ROWS, any_rows)
    empty = torch.rand(shape, generator=generator, device=device) < 0.02
    empty[:, 0] = False
    row = torch.arange(grid.ROWS, device=device)
    return torch.where((row < rows) & ~empty, lengths, 0)
