"""What the pages of a smoke say: six keywords and a nonce that is drawn at run time."""

from __future__ import annotations

from random import Random

from msgspec import Struct

GRID_COLUMNS = 32
GRID_ROWS = 4

# No 0/O, 1/I/l: a reader who confuses those is not what a nonce should find out.
_NONCE_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz"


class PageText(Struct, frozen=True, kw_only=True):
    """The ground truth of one page. Every line fits `GRID_COLUMNS` characters, at most `GRID_ROWS` lines."""

    name: str
    lines: tuple[str, ...]
    keywords: tuple[str, ...]
    nonce: str

    @property
    def text(self) -> str:
        """The page as a reader should give it back."""
        return "\n".join(self.lines)


def build_nonce(random: Random) -> str:
    """Three groups of four characters: 12 draws of 56, about 70 bits, so no page is met twice."""
    groups = ("".join(random.choices(_NONCE_ALPHABET, k=4)) for _ in range(3))
    return "-".join(groups)


def build_grid_page(random: Random, *, name: str = "grid") -> PageText:
    """A small invoice for the character grid: the figures and the nonce are drawn anew each time."""
    nonce = build_nonce(random)
    number = random.randint(1000, 9999)
    day, month, year = random.randint(1, 28), random.randint(1, 12), random.randint(2024, 2029)
    quantity, cents = random.randint(2, 9), random.randint(100, 9999)
    total = quantity * cents
    lines = (
        f"INVOICE {number}  DATE {day:02}.{month:02}.{year}",
        f"ITEM Lamp  QTY {quantity}  PRICE {cents / 100:.2f}",
        f"TOTAL {total / 100:,.2f} EUR",
        f"REF {nonce}",
    )
    return PageText(
        name=name,
        lines=lines,
        keywords=("INVOICE", "DATE", "ITEM", "QTY", "PRICE", "TOTAL"),
        nonce=nonce,
    )
