"""Reads pages never used in training as the smoke's worker does: `python -m smoke.training.evaluate DIR`."""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import sys
import time
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers

from smoke import measure
from smoke.families import load_family
from smoke.pages import grid
from smoke.reading import ModelReader
from smoke.training.evaluation_pages import EvaluationPage, draw_evaluation_pages
from smoke.training.registry import ARCHITECTURES, Architecture

MAX_NEW_TOKENS = 160
WRONG_KEPT = 20


class Reading(NamedTuple):
    """What the model gave for a page."""

    page: EvaluationPage
    text: str

    @property
    def is_exact(self) -> bool:
        """Whether every character is right and none too many."""
        return self.text == self.page.text


def count_edits(expected: str, read: str) -> int:
    """Levenshtein distance: insertions, deletions and substitutions of characters."""
    previous = list(range(len(read) + 1))
    for row, wanted in enumerate(expected, start=1):
        current = [row]
        for column, got in enumerate(read, start=1):
            current.append(min(previous[column] + 1, current[-1] + 1, previous[column - 1] + (wanted != got)))
        previous = current
    return previous[-1]


def find_architecture(model_dir: Path) -> Architecture:
    """The one of which `model_dir` is a trained model, by its config.json. Raises LookupError."""
    wanted = _read_model_type(model_dir)
    for architecture in ARCHITECTURES.values():
        if _read_model_type(architecture.folder) == wanted:
            return architecture
    raise LookupError(f"{model_dir}: no embedded model is of the type {wanted!r}")


def _read_model_type(model_dir: Path) -> str:
    return str(json.loads((model_dir / "config.json").read_text(encoding="utf-8"))["model_type"])


def run_evaluation(
    model_dir: Path, pages: list[EvaluationPage], *, family: str, attention: str, device: str, prompt: str
) -> dict[str, Any]:
    """Loads the model in bf16, reads the pages one by one with the worker's own code, and returns the run."""
    module = load_family(family)
    processor = module.load_processor(str(model_dir))
    model, loading = module.load_model(str(model_dir), device=device, dtype="bfloat16", attention=attention)
    if any(loading.values()):
        raise RuntimeError(f"the weights do not fit the architecture: {loading}")
    reader = ModelReader(module, processor, model, prompt=prompt, max_new_tokens=MAX_NEW_TOKENS)
    reader.read("warm-up", grid.render_grid(pages[0].lines))
    started = time.monotonic()
    readings = [Reading(page, reader.read(page.kind, grid.render_grid(page.lines))["text"]) for page in pages]
    seconds = time.monotonic() - started
    empty = {"prompt": prompt, "empty_page": reader.read("empty", grid.render_grid([]))["text"]}
    return build_environment(device, model) | build_scores(readings, seconds) | empty


def build_environment(device: str, model: Any) -> dict[str, Any]:
    """What the pages were read with."""
    on_gpu = device.startswith("cuda")
    instructions, threads = torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()
    cpu = f"{platform.machine()} CPU ({instructions}, {threads} thread{'' if threads == 1 else 's'})"
    found = measure.describe_model(model)
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "device": torch.cuda.get_device_name() if on_gpu else cpu,
        "dtype": found["dtype"],
        "attention": found["attention"],
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": find_version("torchvision"),
        "transformers": transformers.__version__,
        "pillow": find_version("pillow"),
    }


def find_version(package: str) -> str | None:
    """The installed version of `package`, None when it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def build_scores(readings: list[Reading], seconds: float) -> dict[str, Any]:
    """Exact pages in all and by kind, the character error rate over all pages, and what went wrong."""
    wrong = [reading for reading in readings if not reading.is_exact]
    total = Counter(reading.page.kind for reading in readings)
    missed = Counter(reading.page.kind for reading in wrong)
    characters = sum(len(reading.page.text) for reading in readings)
    edits = sum(count_edits(reading.page.text, reading.text) for reading in wrong)
    return {
        "pages": len(readings),
        "exact": len(readings) - len(wrong),
        "characters": characters,
        "edits": edits,
        "cer": edits / characters,
        "pages_per_s": round(len(readings) / seconds, 2),
        "seeds": [readings[0].page.seed, readings[-1].page.seed],
        "kinds": {kind: {"pages": n, "exact": n - missed[kind]} for kind, n in sorted(total.items())},
        "wrong": [{"seed": r.page.seed, "expected": r.page.text, "read": r.text} for r in wrong[:WRONG_KEPT]],
    }


def render_run(run: dict[str, Any]) -> str:
    """One line for people."""
    return (
        f"{run['exact']} of {run['pages']} pages exact, CER {run['cer']:.5f}, {run['pages_per_s']} pages/s,"
        f" {run['dtype']}, {run['attention']}, {run['device']}, torch {run['torch']},"
        f" transformers {run['transformers']}"
    )


def main() -> int:
    """Evaluates with each attention asked for; exit code 1 when fewer pages than `--least` are exact."""
    parser = argparse.ArgumentParser(description="Evaluate an embedded model.")
    parser.add_argument("model_dir", type=Path)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--attention", nargs="+", default=["eager", "sdpa"])
    parser.add_argument("--pages", type=int, default=300)
    parser.add_argument("--prompt", help="what the model is told; the one of its card unless given")
    parser.add_argument("--least", type=float, default=0.98, help="share of pages that must be exact")
    parser.add_argument("--output", type=Path, help="a JSON file for the runs")
    options = parser.parse_args()
    architecture = find_architecture(options.model_dir)
    pages = draw_evaluation_pages(options.pages)
    weights = hashlib.sha256((options.model_dir / "model.safetensors").read_bytes()).hexdigest()
    runs = []
    for attention in options.attention:
        run = run_evaluation(
            options.model_dir,
            pages,
            family=architecture.family,
            attention=attention,
            device=options.device,
            prompt=architecture.prompt if options.prompt is None else options.prompt,
        )
        runs.append(run | {"weights_sha256": weights})
        print(render_run(run), flush=True)
        for wrong in run["wrong"]:
            print(f"  seed {wrong['seed']}: {wrong['expected']!r} was read as {wrong['read']!r}")
    if options.output:
        options.output.write_text(json.dumps(runs, indent=2) + "\n", encoding="utf-8")
    return 0 if all(run["exact"] >= options.least * run["pages"] for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
