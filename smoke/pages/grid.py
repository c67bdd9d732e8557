"""Draws text on a character grid, one glyph per cell: the only pages that the embedded model reads."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from PIL import Image

ROWS = 4
COLUMNS = 32
CELL_WIDTH = 14
CELL_HEIGHT = 28
PAGE_WIDTH = COLUMNS * CELL_WIDTH
PAGE_HEIGHT = ROWS * CELL_HEIGHT

# Printable ASCII. A space is an empty cell.
CHARACTERS = "".join(map(chr, range(0x20, 0x7F)))

# A capital of the default size stands about 11 px high, so this centres it in the cell.
_BASELINE = 20


class GlyphStyle(NamedTuple):
    """How a glyph sits in its cell: font size in px, and its shift to the right and downwards in px."""

    font_size: float = 16.0
    shift_x: float = 0.0
    shift_y: float = 0.0


DEFAULT_STYLE = GlyphStyle()


def check_lines(lines: Sequence[str]) -> None:
    """Raises ValueError, saying which line, unless `lines` fit on one page of the grid."""
    if len(lines) > ROWS:
        raise ValueError(f"a grid page has {ROWS} lines at most, not {len(lines)}")
    for number, line in enumerate(lines, start=1):
        if len(line) > COLUMNS:
            raise ValueError(f"line {number} has {len(line)} characters, a grid line has {COLUMNS} at most")
        unknown = sorted(set(line) - set(CHARACTERS))
        if unknown:
            raise ValueError(f"line {number} has characters that the grid has not: {''.join(unknown)!r}")


def render_cell(character: str, style: GlyphStyle = DEFAULT_STYLE) -> Image.Image:
    """One cell, mode `L`: `character` in black on white, centred, cut off where it is wider than the cell."""
    from PIL import Image, ImageDraw

    cell = Image.new("L", (CELL_WIDTH, CELL_HEIGHT), 255)
    anchor_at = (CELL_WIDTH / 2 + style.shift_x, _BASELINE + style.shift_y)
    ImageDraw.Draw(cell).text(anchor_at, character, fill=0, font=_load_font(style.font_size), anchor="ms")
    return cell


def render_grid(lines: Sequence[str], style: GlyphStyle = DEFAULT_STYLE) -> Image.Image:
    """The page, mode `RGB`, `PAGE_WIDTH` x `PAGE_HEIGHT` px, the first line on top.

    Raises ValueError when `lines` do not fit; see `check_lines`.
    """
    check_lines(lines)
    from PIL import Image

    page = Image.new("L", (PAGE_WIDTH, PAGE_HEIGHT), 255)
    for row, line in enumerate(lines):
        for column, character in enumerate(line):
            page.paste(render_cell(character, style), (column * CELL_WIDTH, row * CELL_HEIGHT))
    return page.convert("RGB")


@lru_cache
def _load_font(size: float) -> Any:
    """Pillow's bundled font, so that a page looks the same on every machine. Needs Pillow 10.1 or newer."""
    from PIL import ImageFont

    return ImageFont.load_default(size)
