"""Writes a model card and `evaluation.json` from what training and evaluation recorded.

`python -m smoke.training.card --training training.json evaluation_a.json evaluation_b.json`
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from string import Template
from typing import Any

from smoke.training.registry import ARCHITECTURES, MOST_STEPS, TINY_QWEN2_VL, Architecture

CARDS_DIR = Path(__file__).with_name("cards")
# What follows each model's own half of the card.
MEASURED_PATH = CARDS_DIR / "measured.md"

_EMPTY_ANSWERS = {"": "with nothing", " ": "with a space"}


def build_record(training: dict[str, Any], runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The content of `evaluation.json`. Raises ValueError unless all runs read with the same weights."""
    weights = {run["weights_sha256"] for run in runs}
    if len(weights) != 1:
        raise ValueError(f"the runs are of {len(weights)} different weights")
    evaluations = [{key: value for key, value in run.items() if key != "weights_sha256"} for run in runs]
    return {"schema": 1, "weights_sha256": weights.pop(), "training": training, "evaluations": evaluations}


def find_architecture(record: dict[str, Any]) -> Architecture:
    """The model that `record` is of. The record of the first one, from when it was alone, has no name."""
    return ARCHITECTURES[record["training"].get("model", TINY_QWEN2_VL.name)]


def render_card(record: dict[str, Any]) -> str:
    """The model card, Markdown, with every figure out of `record` and the model's config.json."""
    architecture = find_architecture(record)
    config = json.loads((architecture.folder / "config.json").read_text(encoding="utf-8"))
    own = (CARDS_DIR / f"{architecture.name}.md").read_text(encoding="utf-8")
    template = Template(own + MEASURED_PATH.read_text(encoding="utf-8"))
    figures = flatten(config) | build_training_figures(record["training"])
    figures |= build_evaluation_figures(record["evaluations"], architecture.prompt)
    return template.substitute(figures, prompts=architecture.prompts)


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Every value under the names of the keys that lead to it, joined by "_"; lists with commas."""
    figures: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            figures |= flatten(value, f"{prefix}{key}_")
        else:
            figures[prefix + key] = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return figures


def build_training_figures(training: dict[str, Any]) -> dict[str, str]:
    """What the card says of the training."""
    return {
        "parameters": f"{training['parameters']:,}",
        "parameters_m": f"{training['parameters'] / 1e6:.1f}",
        "weights_bytes": f"{training['weights_bytes']:,}",
        "command": render_command(training),
        "training_device": training["device"],
        "training_torch": training["torch"],
        "training_transformers": training["transformers"],
        "training_python": training["python"],
        "training_date": training["date"],
        "steps": f"{training['steps']:,}",
        "batch": str(training["batch"]),
        "seconds": f"{training['seconds']:.0f}",
        "not_reached": "reached" if training["seconds"] >= training["limit_s"] else "not reached",
        "training_first_seed": str(training["seeds"][0]),
        "training_last_seed": str(training["seeds"][1]),
    }


def build_evaluation_figures(runs: list[dict[str, Any]], prompt: str) -> dict[str, str]:
    """What the card says of the evaluations. Those with another prompt than `prompt` stand by themselves."""
    own = [run for run in runs if run["prompt"] == prompt]
    return {
        "dtypes": " and ".join(sorted({run["dtype"] for run in runs})),
        "first_seed": str(min(run["seeds"][0] for run in runs)),
        "last_seed": str(max(run["seeds"][1] for run in runs)),
        "evaluations": "\n".join(render_row(run) for run in own),
        "other_prompts": render_other_prompts([run for run in runs if run not in own]),
        "empty_page": render_empty_page(own),
    }


def render_command(training: dict[str, Any]) -> str:
    """The command that trained it. The batch is the model's own, and the steps are the default, unless named."""
    words = ["python -m smoke.training.train"]
    if "model" in training:
        words.append(training["model"])
        if training["batch"] != ARCHITECTURES[training["model"]].batch:
            words.append(f"--batch {training['batch']}")
        if training["most_steps"] != MOST_STEPS:
            words.append(f"--steps {training['most_steps']}")
    return " ".join([*words, f"--limit-s {training['limit_s']:.0f}"])


def render_row(run: dict[str, Any]) -> str:
    """One evaluation as a row of the card's table."""
    cells = (
        run["device"],
        run["torch"],
        run["transformers"],
        run["torchvision"] or "none",
        run["pillow"],
        run["attention"],
        f"{run['exact']} of {run['pages']}",
        f"{run['cer']:.5f}",
        run["date"],
    )
    return f"| {' | '.join(map(str, cells))} |"


def render_other_prompts(runs: list[dict[str, Any]]) -> str:
    """A table of the runs that were asked in other words, "" when there are none."""
    if not runs:
        return ""
    rows = ["", "Asked in other words:", "", "| prompt | attention | device | pages exact | CER |"]
    rows.append("|---|---|---|---|---|")
    for run in runs:
        exact = f"{run['exact']} of {run['pages']}"
        cells = (f"`{run['prompt']}`", run["attention"], run["device"], exact, f"{run['cer']:.5f}")
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([*rows, ""])


def render_empty_page(runs: list[dict[str, Any]]) -> str:
    """What it said to a page with nothing on it. The first runs did not keep that: it was a space."""
    answers = sorted({run.get("empty_page", " ") for run in runs})
    said = " or ".join(_EMPTY_ANSWERS.get(answer, f"with `{json.dumps(answer)}`") for answer in answers)
    return f"On an empty page it answers {said}."


def main() -> None:
    """Replaces the `evaluation.json` and `README.md` of the model that was trained."""
    parser = argparse.ArgumentParser(description="Write an embedded model's card.")
    parser.add_argument("--training", type=Path, required=True, help="what train.py wrote with --record")
    parser.add_argument("runs", type=Path, nargs="+", help="what evaluate.py wrote with --output")
    options = parser.parse_args()
    training = json.loads(options.training.read_text(encoding="utf-8"))
    runs = [run for path in options.runs for run in json.loads(path.read_text(encoding="utf-8"))]
    record = build_record(training, runs)
    folder = find_architecture(record).folder
    (folder / "evaluation.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(render_card(record), encoding="utf-8")


if __name__ == "__main__":
    main()
