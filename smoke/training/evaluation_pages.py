"""Pages to evaluate on: random characters as in training, and two kinds of text that training never shows."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from smoke.pages import grid

# Training draws step n from seed n, far below; and it draws with torch's generator, not with Python's.
FIRST_SEED = 1_000_000

WORDS = (
    *(
        "the",
        "quick",
        "brown",
        "fox",
        "jumps",
        "over",
        "a",
        "lazy",
        "dog",
        "while",
        "seven",
        "wizards",
        "box",
    ),
    *("quietly", "near", "Zurich", "and", "pack", "my", "red", "jug", "with", "five", "dozen", "liquor"),
    *("bottles", "before", "December", "ends", "in", "Oslo", "or", "Kyiv"),
)
# Without the pairs that people confuse, as in the smoke's own nonce.
NONCE_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz"


class EvaluationPage(NamedTuple):
    """What one page says. `kind` is `characters`, `words` or `invoice`."""

    kind: str
    seed: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The page as it should be read."""
        return "\n".join(self.lines)


def draw_evaluation_pages(count: int) -> list[EvaluationPage]:
    """`count` pages from seeds `FIRST_SEED` on: of three, one is an invoice, and of six, one is of words."""
    pages = []
    for index in range(count):
        random = Random(FIRST_SEED + index)
        kind = ("characters", "invoice", "characters", "words", "invoice", "characters")[index % 6]
        lines = {"characters": draw_characters, "words": draw_words, "invoice": draw_invoice}[kind](random)
        pages.append(EvaluationPage(kind, FIRST_SEED + index, tuple(lines)))
    return pages


def draw_characters(random: Random) -> list[str]:
    """One to four lines of 1 to 32 random characters that neither begin nor end with a space."""
    inked = grid.CHARACTERS.replace(" ", "")
    lines = []
    for _ in range(random.randint(1, grid.ROWS)):
        line = random.choices(inked + " " * 12, k=random.randint(1, grid.COLUMNS))
        line[0], line[-1] = random.choice(inked), random.choice(inked)
        lines.append("".join(line))
    return lines


def draw_words(random: Random) -> list[str]:
    """Four lines of English words, each as full as the next word lets it be."""
    lines = []
    for _ in range(grid.ROWS):
        line = random.choice(WORDS)
        while len(longer := f"{line} {random.choice(WORDS)}") <= grid.COLUMNS:
            line = longer
        lines.append(line)
    return lines


def draw_invoice(random: Random) -> list[str]:
    """Four lines as on the smoke's own page: figures, columns set apart by two spaces, and a reference."""
    number, day, month = random.randint(1000, 9999), random.randint(1, 28), random.randint(1, 12)
    quantity, cents = random.randint(2, 9), random.randint(100, 9999)
    nonce = "-".join("".join(random.choices(NONCE_ALPHABET, k=4)) for _ in range(3))
    return [
        f"INVOICE {number}  DATE {day:02}.{month:02}.2026",
        f"ITEM Lamp  QTY {quantity}  PRICE {cents / 100:.2f}",
        f"TOTAL {quantity * cents / 100:,.2f} EUR",
        f"REF {nonce}",
    ]
