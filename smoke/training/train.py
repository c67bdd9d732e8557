"""Trains the embedded model: `python -m smoke.training.train`. README.md beside this file says how."""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional

from smoke.training import export, pages, prompts
from smoke.training.architecture import IMAGE_TOKENS, GlyphHeads, PageEncoder, build_model

EMBEDDED_DIR = Path(__file__).parents[1] / "embedded" / "tiny_qwen2_vl"

PEAK_LEARNING_RATE = 1e-3
LOWEST_LEARNING_RATE = 2e-5
WARM_UP_STEPS = 300
REPORT_EVERY_S = 10.0


class Progress(NamedTuple):
    """How one step went: losses in nats, the share of tokens and of whole answers that were right."""

    loss: float
    glyph_loss: float
    token_accuracy: float
    page_accuracy: float


class Trainer:
    """The model, its optimizer and its sources of pages and prompts on one device."""

    def __init__(self, model_dir: Path, device: str, batch: int) -> None:
        self._device = device
        self._batch = batch
        self.model = build_model(model_dir)
        PageEncoder(self.model.model.visual, "cpu").check(pages.PageSource("cpu").draw(2, seed=0).images)
        self.model.to(device)
        self._heads = GlyphHeads(self.model.config.text_config.hidden_size).to(device)
        self._encoder = PageEncoder(self.model.model.visual, device)
        self._pages = pages.PageSource(device)
        self._prompts = prompts.PromptSource(self.model, model_dir)
        self._parameters = [*self.model.parameters(), *self._heads.parameters()]
        self._optimizer = torch.optim.AdamW(
            self._parameters, weight_decay=0.01, betas=(0.9, 0.98), fused=device == "cuda"
        )

    def step(self, seed: int, learning_rate: float) -> tuple[Tensor, ...]:
        """One step on a batch drawn from `seed`: both losses, the answer's logits and the answers."""
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        batch = self._pages.draw(self._batch, seed)
        with torch.autocast(self._device, dtype=torch.bfloat16):
            logits, glyph_logits = self._forward(batch, seed)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), batch.answers.flatten())
        glyph_loss = functional.cross_entropy(glyph_logits.float().flatten(0, 2), batch.cells.flatten())
        self._optimizer.zero_grad(set_to_none=True)
        (loss + glyph_loss).backward()
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        return loss.detach(), glyph_loss.detach(), logits.detach(), batch.answers

    def _forward(self, batch: pages.PageBatch, seed: int) -> tuple[Tensor, Tensor]:
        """Logits of the answers, each token after the true ones before it, and of the glyphs."""
        known = batch.answers[:, :-1].clamp(min=0)
        prompt, positions = self._prompts.draw(seed, known.shape[1])
        text = self.model.model.language_model
        ids = torch.cat([prompt.to(self._device).expand(self._batch, -1), known], dim=1)
        features = self._encoder.encode(batch.images)
        image_at = int((prompt == self.model.config.image_token_id).nonzero()[0])
        embedded = text.embed_tokens(ids)
        visual = features.view(self._batch, IMAGE_TOKENS, -1).to(embedded.dtype)
        embedded = torch.cat([embedded[:, :image_at], visual, embedded[:, image_at + IMAGE_TOKENS :]], dim=1)
        hidden = text(
            inputs_embeds=embedded,
            position_ids=positions[:, None].to(self._device).expand(-1, self._batch, -1),
            use_cache=False,
        ).last_hidden_state
        return self.model.lm_head(hidden[:, len(prompt) - 1 :]), self._heads(features)


def choose_learning_rate(step: int, progress: float) -> float:
    """Linear warm-up, then a cosine over the whole run. `progress` goes from 0 to 1."""
    warm_up = min(1.0, (step + 1) / WARM_UP_STEPS)
    cosine = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    return LOWEST_LEARNING_RATE + (PEAK_LEARNING_RATE - LOWEST_LEARNING_RATE) * warm_up * cosine


def build_progress(loss: Tensor, glyph_loss: Tensor, logits: Tensor, answers: Tensor) -> Progress:
    """Reads the numbers of one step off the device, which waits for it."""
    counted = answers != pages.IGNORED
    right = (logits.argmax(-1) == answers) | ~counted
    return Progress(
        loss=loss.item(),
        glyph_loss=glyph_loss.item(),
        token_accuracy=1 - (~right).sum().item() / counted.sum().item(),
        page_accuracy=right.all(1).float().mean().item(),
    )


def run_training(trainer: Trainer, steps: int, limit_s: float) -> tuple[int, float, Progress]:
    """Trains for `steps` steps or `limit_s` seconds, whichever is less; step n draws its batch from seed n.

    Returns the steps made, the seconds taken and the last batch's progress.
    """
    started = reported = time.monotonic()
    step = 0
    while True:
        elapsed = time.monotonic() - started
        rate = choose_learning_rate(step, max(step / steps, elapsed / limit_s))
        result = trainer.step(step, rate)
        step += 1
        done = step >= steps or elapsed >= limit_s
        if done or time.monotonic() - reported >= REPORT_EVERY_S:
            reported = time.monotonic()
            progress = build_progress(*result)
            print(f"step {step} {elapsed:.0f} s lr {rate:.1e} {_render_progress(progress)}", flush=True)
        if done:
            return step, time.monotonic() - started, progress


def _render_progress(progress: Progress) -> str:
    return (
        f"loss {progress.loss:.4f} glyph loss {progress.glyph_loss:.4f}"
        f" tokens {progress.token_accuracy:.4f} pages {progress.page_accuracy:.3f}"
    )


def build_environment(device: str) -> dict[str, Any]:
    """When and with what the model was trained."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "device": torch.cuda.get_device_name() if device == "cuda" else f"{platform.machine()} CPU",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def main() -> None:
    """Trains, writes the model's folder and, with `--record`, how it was trained."""
    parser = argparse.ArgumentParser(description="Train the embedded model.")
    parser.add_argument("--output", type=Path, default=EMBEDDED_DIR, help="the model's folder")
    parser.add_argument("--record", type=Path, help="a JSON file that says how it was trained")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--limit-s", type=float, default=3600.0, help="most seconds to train")
    parser.add_argument("--batch", type=int, default=384, help="pages per step")
    options = parser.parse_args()
    torch.manual_seed(0)
    export.save_description(EMBEDDED_DIR, options.output)
    trainer = Trainer(options.output, options.device, options.batch)
    steps, seconds, progress = run_training(trainer, options.steps, options.limit_s)
    weights_path = export.save_weights(trainer.model, options.output)
    record = build_environment(options.device) | {
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "weights_bytes": weights_path.stat().st_size,
        "batch": options.batch,
        "steps": steps,
        "limit_s": options.limit_s,
        "seconds": round(seconds, 1),
        "seeds": [0, steps - 1],
        "last_batch": progress._asdict(),
    }
    print(json.dumps(record))
    if options.record:
        options.record.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
