"""The embedded models that this folder trains, and what sets each apart. No torch needed."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smoke.training import vocabulary

_ANY_PROMPT = "random: real instructions, random words up to some 700 characters, other scripts, none at all"
# Unless the command says otherwise.
MOST_STEPS = 12_000

EMBEDDED_DIR = Path(__file__).parents[1] / "embedded"


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One embedded model. `name` is its folder, `family` the worker's module, `tower` the one that trains it.

    `prompt` is what it is asked with, `prompts` says what it was trained with, `batch` is pages per step.
    """

    name: str
    family: str
    tower: str
    special_tokens: tuple[str, ...]
    prompt: str
    prompts: str
    batch: int
    has_chat_template: bool

    @property
    def folder(self) -> Path:
        """Where the model is embedded, and where its description is kept."""
        return EMBEDDED_DIR / self.name

    @property
    def description(self) -> tuple[str, ...]:
        """Files written by hand and kept in the repository: what is trained is what these describe."""
        files = ("config.json", "generation_config.json", "tokenizer_config.json", "preprocessor_config.json")
        return (*files, "chat_template.jinja") if self.has_chat_template else files

    def load_tower(self) -> Any:
        """The module with `build_model`, `build_encoder` and `build_prompts`; it imports torch."""
        return importlib.import_module(self.tower)


TINY_QWEN2_VL = Architecture(
    name="tiny_qwen2_vl",
    family="qwen_vl",
    tower="smoke.training.qwen_tower",
    special_tokens=vocabulary.QWEN_TOKENS,
    prompt="Read the text.",
    prompts=_ANY_PROMPT,
    batch=384,
    has_chat_template=True,
)
TINY_QWEN3_VL = Architecture(
    name="tiny_qwen3_vl",
    family="qwen_vl",
    tower="smoke.training.qwen_tower",
    special_tokens=vocabulary.QWEN_TOKENS,
    prompt="Read the text.",
    prompts=_ANY_PROMPT,
    batch=384,
    has_chat_template=True,
)
TINY_GOT_OCR2 = Architecture(
    name="tiny_got_ocr2",
    family="got_ocr",
    tower="smoke.training.got_tower",
    special_tokens=vocabulary.GOT_TOKENS,
    prompt="",
    prompts="half of them the processor's own query, some with a format, a colour or a box, the others "
    + _ANY_PROMPT,
    batch=256,
    has_chat_template=False,
)

ARCHITECTURES = {entry.name: entry for entry in (TINY_QWEN2_VL, TINY_QWEN3_VL, TINY_GOT_OCR2)}
