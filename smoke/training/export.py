"""Writes an embedded model's folder: the weights and the tokenizer beside the committed description."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from smoke.training import vocabulary
from smoke.training.registry import Architecture

WEIGHTS = "model.safetensors"


def save_description(architecture: Architecture, output_dir: Path) -> None:
    """Puts all but the weights into `output_dir`, which may be the embedded folder itself."""
    output_dir.mkdir(parents=True, exist_ok=True)
    for name in architecture.description:
        if output_dir.resolve() != architecture.folder.resolve():
            shutil.copyfile(architecture.folder / name, output_dir / name)
    content = vocabulary.build_tokenizer(architecture.special_tokens)
    tokenizer = json.dumps(content, indent=2, ensure_ascii=False)
    (output_dir / "tokenizer.json").write_text(tokenizer + "\n", encoding="utf-8")


def save_weights(model: Any, output_dir: Path) -> Path:
    """Writes the weights in bf16, named as in the checkpoints on the Hub; returns the file.

    `model` stays as it is, so that training can go on. The file is replaced whole or not at all.
    """
    with TemporaryDirectory(dir=output_dir) as scratch:
        copy.deepcopy(model).to(torch.bfloat16).save_pretrained(scratch)
        return (Path(scratch) / WEIGHTS).replace(output_dir / WEIGHTS)
