"""Trains an embedded model: `python -m smoke.training.train tiny_qwen3_vl`. README.md beside this file says how."""

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

from smoke.training import export, pages
from smoke.training.architecture import GlyphHeads
from smoke.training.registry import ARCHITECTURES, MOST_STEPS, TINY_QWEN2_VL, Architecture

PEAK_LEARNING_RATE = 1e-3
LOWEST_LEARNING_RATE = 2e-5
WARM_UP_STEPS = 300
REPORT_EVERY_S = 10.0
# The weights are on the disk at this pace, so that a run that is cut off leaves a model.
CHECK_EVERY_S = 60.0
# Neither training nor evaluation reaches these seeds.
CHECK_SEED = 900_000


class Progress(NamedTuple):
    """How one batch went: losses in nats, the share of tokens and of whole answers that were right."""

    loss: float
    glyph_loss: float
    token_accuracy: float
    page_accuracy: float


class Result(NamedTuple):
    """Both losses of a batch, the logits of its answers and the answers."""

    loss: Tensor
    glyph_loss: Tensor
    logits: Tensor
    answers: Tensor


class Trainer:
    """The model, its optimizer and its sources of pages and prompts on one device."""

    def __init__(self, architecture: Architecture, model_dir: Path, device: str, batch: int) -> None:
        self._device = device
        self._batch = batch
        tower = architecture.load_tower()
        self.model = tower.build_model(model_dir)
        tower.build_encoder(self.model, model_dir, "cpu").check(
            pages.PageSource("cpu").draw(2, seed=0).images
        )
        self.model.to(device)
        self._encoder = tower.build_encoder(self.model, model_dir, device)
        hidden_size = self.model.config.text_config.hidden_size
        self._heads = GlyphHeads(hidden_size, self._encoder.token_grid).to(device)
        self._pages = pages.PageSource(device)
        self._prompts = tower.build_prompts(self.model, model_dir)
        self._parameters = [*self.model.parameters(), *self._heads.parameters()]
        self._optimizer = torch.optim.AdamW(
            self._parameters, weight_decay=0.01, betas=(0.9, 0.98), fused=device == "cuda"
        )

    def step(self, seed: int, learning_rate: float) -> Result:
        """One step on a batch drawn from `seed`."""
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        result = self._run(seed)
        self._optimizer.zero_grad(set_to_none=True)
        (result.loss + result.glyph_loss).backward()
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        return Result(*(tensor.detach() for tensor in result))

    def check(self) -> Progress:
        """How the model does on a batch that it never learns from."""
        with torch.no_grad():
            return build_progress(self._run(CHECK_SEED))

    def _run(self, seed: int) -> Result:
        batch = self._pages.draw(self._batch, seed)
        with torch.autocast(self._device, dtype=torch.bfloat16):
            logits, glyph_logits = self._forward(batch, seed)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), batch.answers.flatten())
        glyph_loss = functional.cross_entropy(glyph_logits.float().flatten(0, 2), batch.cells.flatten())
        return Result(loss, glyph_loss, logits, batch.answers)

    def _forward(self, batch: pages.PageBatch, seed: int) -> tuple[Tensor, Tensor]:
        """Logits of the answers, each token after the true ones before it, and of the glyphs."""
        known = batch.answers[:, :-1].clamp(min=0)
        prompt = self._prompts.draw(seed, known.shape[1])
        text = self.model.model.language_model
        ids = torch.cat([prompt.ids.to(self._device).expand(self._batch, -1), known], dim=1)
        features = self._encoder.encode(batch.images)
        start = int((prompt.ids == self.model.config.image_token_id).nonzero()[0])
        end = start + self._encoder.token_grid.tokens
        embedded = text.embed_tokens(ids)
        visual = features.tokens.to(embedded.dtype)
        embedded = torch.cat([embedded[:, :start], visual, embedded[:, end:]], dim=1)
        options: dict[str, Any] = {}
        if prompt.positions is not None:
            positions = prompt.positions[:, None].to(self._device)
            options["position_ids"] = positions.expand(-1, self._batch, -1)
        if features.deepstack:
            is_visual = torch.zeros(ids.shape, dtype=torch.bool, device=self._device)
            is_visual[:, start:end] = True
            options["visual_pos_masks"] = is_visual
            options["deepstack_visual_embeds"] = [layer.flatten(0, 1) for layer in features.deepstack]
        hidden = text(inputs_embeds=embedded, use_cache=False, **options).last_hidden_state
        return self.model.lm_head(hidden[:, len(prompt.ids) - 1 :]), self._heads(features.tokens)


class Keeper:
    """Checks the model now and then and keeps its best weights on the disk."""

    def __init__(self, trainer: Trainer, output_dir: Path) -> None:
        self._trainer = trainer
        self._output_dir = output_dir
        self._checked_at = time.monotonic()
        self.best: Progress | None = None

    def keep(self, *, at_once: bool = False) -> None:
        """Does nothing before its time unless `at_once`. Of equals the later is kept."""
        if not at_once and time.monotonic() - self._checked_at < CHECK_EVERY_S:
            return
        progress = self._trainer.check()
        if self.best is None or _rank(progress) >= _rank(self.best):
            self.best = progress
            export.save_weights(self._trainer.model, self._output_dir)
        print(f"unseen pages: {_render_progress(progress)}", flush=True)
        self._checked_at = time.monotonic()


def choose_learning_rate(step: int, progress: float) -> float:
    """Linear warm-up, then a cosine over the whole run. `progress` goes from 0 to 1."""
    warm_up = min(1.0, (step + 1) / WARM_UP_STEPS)
    cosine = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    return LOWEST_LEARNING_RATE + (PEAK_LEARNING_RATE - LOWEST_LEARNING_RATE) * warm_up * cosine


def build_progress(result: Result) -> Progress:
    """Reads the numbers of one batch off the device, which waits for it."""
    counted = result.answers != pages.IGNORED
    right = (result.logits.argmax(-1) == result.answers) | ~counted
    return Progress(
        loss=result.loss.item(),
        glyph_loss=result.glyph_loss.item(),
        token_accuracy=1 - (~right).sum().item() / counted.sum().item(),
        page_accuracy=right.all(1).float().mean().item(),
    )


def run_training(trainer: Trainer, keeper: Keeper, steps: int, limit_s: float) -> tuple[int, float, Progress]:
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
            progress = build_progress(result)
            print(f"step {step} {elapsed:.0f} s lr {rate:.1e} {_render_progress(progress)}", flush=True)
        keeper.keep(at_once=done)
        if done:
            return step, time.monotonic() - started, progress


def _rank(progress: Progress) -> tuple[float, float]:
    return progress.page_accuracy, progress.token_accuracy


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


def parse_options() -> argparse.Namespace:
    """The command line, with the model's own folder and batch unless it says otherwise."""
    parser = argparse.ArgumentParser(description="Train an embedded model.")
    parser.add_argument("model", nargs="?", choices=ARCHITECTURES, default=TINY_QWEN2_VL.name)
    parser.add_argument("--output", type=Path, help="the model's folder; the embedded one unless given")
    parser.add_argument("--record", type=Path, help="a JSON file that says how it was trained")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=MOST_STEPS)
    parser.add_argument("--limit-s", type=float, default=3600.0, help="most seconds to train")
    parser.add_argument("--batch", type=int, help="pages per step; each model has its own")
    options = parser.parse_args()
    options.architecture = ARCHITECTURES[options.model]
    options.output = options.output or options.architecture.folder
    options.batch = options.batch or options.architecture.batch
    return options


def main() -> None:
    """Trains, writes the model's folder and, with `--record`, how it was trained."""
    options = parse_options()
    torch.manual_seed(0)
    export.save_description(options.architecture, options.output)
    trainer = Trainer(options.architecture, options.output, options.device, options.batch)
    keeper = Keeper(trainer, options.output)
    steps, seconds, progress = run_training(trainer, keeper, options.steps, options.limit_s)
    weights_path = options.output / export.WEIGHTS
    record = build_environment(options.device) | {
        "model": options.model,
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "weights_bytes": weights_path.stat().st_size,
        "batch": options.batch,
        "steps": steps,
        "most_steps": options.steps,
        "limit_s": options.limit_s,
        "seconds": round(seconds, 1),
        "seeds": [0, steps - 1],
        "last_batch": progress._asdict(),
        "unseen_batch": keeper.best._asdict() if keeper.best else None,
    }
    print(json.dumps(record))
    if options.record:
        options.record.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
