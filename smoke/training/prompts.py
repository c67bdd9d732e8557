"""Random instructions for training, so that a model reads the page whatever it is told. No torch needed."""

from __future__ import annotations

from random import Random
from typing import Any

from smoke.pages import grid

Message = dict[str, Any]

INSTRUCTIONS = (
    "Read the text.",
    "OCR",
    "What does the page say?",
    "Transcribe the page.",
    "Extract all text from this image.",
    "Read all text in the image. Answer with the text only.",
    "Please read this document and return its text, line by line, exactly as it is printed.",
)
SHORT_WORDS = 16
LONG_WORDS = 100

_LATIN = "abcdefghijklmnopqrstuvwxyz"
# Latin-1, Cyrillic, kana and Chinese: between them every kind of byte that UTF-8 text is made of.
_FOREIGN = "".join(
    chr(code) for start in (0xC0, 0x410, 0x3041, 0x4E00, 0x8A00) for code in range(start, start + 64)
)


def draw_messages(random: Random) -> list[Message]:
    """One user turn with a picture and an instruction, now and then after a system turn of its own."""
    parts = [{"type": "image"}, {"type": "text", "text": draw_instruction(random)}]
    if random.random() < 0.15:
        parts.reverse()
    messages: list[Message] = [{"role": "user", "content": parts}]
    if random.random() < 0.15:
        messages.insert(0, {"role": "system", "content": _draw_words(random, _LATIN, SHORT_WORDS)})
    return messages


def draw_instruction(random: Random) -> str:
    """A real instruction, words of random letters, few or many, or random characters, or nothing at all."""
    match random.choices(("real", "short", "long", "foreign", "characters"), (30, 30, 20, 10, 10))[0]:
        case "real":
            return random.choice(INSTRUCTIONS)
        case "short":
            return _draw_words(random, _LATIN, SHORT_WORDS)
        case "long":
            return _draw_words(random, _LATIN, LONG_WORDS)
        case "foreign":
            return _draw_words(random, _FOREIGN, SHORT_WORDS)
    return "".join(random.choices(grid.CHARACTERS + "\n", k=random.randint(0, 60)))


def _draw_words(random: Random, letters: str, most: int) -> str:
    """One to `most` words in one to a few sentences, some on lines of their own."""
    words = ("".join(random.choices(letters, k=random.randint(1, 9))) for _ in range(random.randint(1, most)))
    gaps = (" ", " ", " ", " ", " ", " ", ", ", ". ", ":\n", "\n")
    return "".join(word + random.choice(gaps) for word in words).strip().capitalize()
