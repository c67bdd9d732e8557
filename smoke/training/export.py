"""Writes the embedded model's folder: the weights and the tokenizer beside the committed description."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from smoke.training import vocabulary

# Written by hand and kept in the repository: what is trained is what these files describe.
DESCRIPTION = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "preprocessor_config.json",
    "chat_template.jinja",
)
WEIGHTS = "model.safetensors"


def save_description(description_dir: Path, output_dir: Path) -> None:
    """Puts all but the weights into `output_dir`, which may be `description_dir` itself."""
    output_dir.mkdir(parents=True, exist_ok=True)
    for name in DESCRIPTION:
        if output_dir.resolve() != description_dir.resolve():
            shutil.copyfile(description_dir / name, output_dir / name)
    tokenizer = json.dumps(vocabulary.build_tokenizer(), indent=2, ensure_ascii=False)
    (output_dir / "tokenizer.json").write_text(tokenizer + "\n", encoding="utf-8")


def save_weights(model: Any, output_dir: Path) -> Path:
    """Writes the weights in bf16, named as in Qwen2-VL's checkpoints on the Hub; returns the file."""
    with TemporaryDirectory(dir=output_dir) as scratch:
        model.to(torch.bfloat16).save_pretrained(scratch)
        return Path(shutil.move(Path(scratch) / WEIGHTS, output_dir / WEIGHTS))
