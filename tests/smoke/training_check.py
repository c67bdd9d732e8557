"""Run by a stack's interpreter: `python -m tests.smoke.training_check SCRATCH` prints what training computes, as JSON.

For each embedded model: how far the logits that training learns from are off those of the model's own forward pass,
with what the family's code makes of the same page, and the files that a step of training leaves.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from smoke.families import load_family
from smoke.training import export, train
from smoke.training.registry import ARCHITECTURES, Architecture

SCRATCH = Path(sys.argv[1])
SEED = 5


def build_trainer(architecture: Architecture, folder: Path) -> Any:
    """In float32, with weights so large that every part of the model matters."""
    torch.manual_seed(0)
    export.save_description(architecture, folder)
    trainer = train.Trainer(architecture, folder, "cpu", 2)
    for parameter in trainer.model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.06)
    trainer.model.eval()
    return trainer


def compare_logits(architecture: Architecture, folder: Path, trainer: Any) -> float:
    """The largest difference over an answer, of logits that are around 4."""
    batch = trainer._pages.draw(2, SEED)
    levels = (batch.images * 255).round()
    family = load_family(architecture.family)
    page = Image.fromarray(levels[0].byte().numpy()).convert("RGB")
    inputs = family.build_inputs(family.load_processor(str(folder)), page, "any")
    known = batch.answers[0, :-1].clamp(min=0)
    prompt = trainer._prompts.draw(SEED, len(known)).ids
    ids = torch.cat([prompt, known])[None]
    inputs |= {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if "mm_token_type_ids" in inputs:
        inputs["mm_token_type_ids"] = (ids == trainer.model.config.image_token_id).int()
    inputs.pop("eos_token_id", None)
    with torch.no_grad():
        learnt, _ = trainer._forward(batch._replace(images=levels / 255), SEED)
        own = trainer.model(**inputs).logits[:, len(prompt) - 1 :]
    return (learnt[:1] - own).abs().max().item()


def check(architecture: Architecture) -> dict[str, Any]:
    """The difference, and what one step wrote."""
    folder = SCRATCH / architecture.name
    trainer = build_trainer(architecture, folder)
    difference = compare_logits(architecture, folder, trainer)
    keeper = train.Keeper(trainer, folder)
    steps, _, progress = train.run_training(trainer, keeper, 1, 60.0)
    return {
        "difference": difference,
        "steps": steps,
        "finite": all(map(torch.isfinite, map(torch.tensor, progress[:2]))),
        "files": sorted(path.name for path in folder.iterdir()),
    }


def compare_conversations() -> list[bool]:
    """Whether GOT-OCR 2.0's family writes the ids that the processor writes, for each kind of query."""
    architecture = ARCHITECTURES["tiny_got_ocr2"]
    family = load_family(architecture.family)
    processor = family.load_processor(str(architecture.folder))
    page = Image.new("RGB", (448, 112), "white")
    queries: dict[str, dict[str, Any]] = {
        "": {},
        " OCR with format: ": {"format": True},
        "[green]  OCR: ": {"color": "green"},
        "[0, 0, 1000, 1000] OCR: ": {"box": [0, 0, 448, 112]},
    }
    same = []
    for query, options in queries.items():
        own = processor.processor(
            page, return_tensors="pt", num_image_tokens=processor.image_tokens, **options
        )
        ours = family.build_inputs(processor, page, query)
        same.append(torch.equal(own["input_ids"], ours["input_ids"]))
        same.append(torch.equal(own["pixel_values"], ours["pixel_values"]))
    return same


print(  # the caller takes the last line: training reports its progress above
    json.dumps(
        {
            "models": {name: check(entry) for name, entry in ARCHITECTURES.items()},
            "conversations": compare_conversations(),
        }
    )
)
