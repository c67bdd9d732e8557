"""Writes the model card and `evaluation.json` from what training and evaluation recorded.

`python -m smoke.training.card --training training.json evaluation_a.json evaluation_b.json`
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from string import Template
from typing import Any

EMBEDDED_DIR = Path(__file__).parents[1] / "embedded" / "tiny_qwen2_vl"
TEMPLATE_PATH = Path(__file__).with_name("card.md")


def build_record(training: dict[str, Any], runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The content of `evaluation.json`. Raises ValueError unless all runs read with the same weights."""
    weights = {run["weights_sha256"] for run in runs}
    if len(weights) != 1:
        raise ValueError(f"the runs are of {len(weights)} different weights")
    evaluations = [{key: value for key, value in run.items() if key != "weights_sha256"} for run in runs]
    return {"schema": 1, "weights_sha256": weights.pop(), "training": training, "evaluations": evaluations}


def render_card(record: dict[str, Any]) -> str:
    """The model card, Markdown, with every number out of `record`."""
    training, runs = record["training"], record["evaluations"]
    return Template(TEMPLATE_PATH.read_text(encoding="utf-8")).substitute(
        parameters=f"{training['parameters']:,}",
        parameters_m=f"{training['parameters'] / 1e6:.1f}",
        weights_bytes=f"{training['weights_bytes']:,}",
        training_device=training["device"],
        training_torch=training["torch"],
        training_transformers=training["transformers"],
        training_python=training["python"],
        training_date=training["date"],
        steps=f"{training['steps']:,}",
        batch=training["batch"],
        limit_s=f"{training['limit_s']:.0f}",
        seconds=f"{training['seconds']:.0f}",
        training_first_seed=training["seeds"][0],
        training_last_seed=training["seeds"][1],
        dtypes=" and ".join(sorted({run["dtype"] for run in runs})),
        first_seed=min(run["seeds"][0] for run in runs),
        last_seed=max(run["seeds"][1] for run in runs),
        evaluations="\n".join(render_row(run) for run in runs),
    )


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


def main() -> None:
    """Replaces the embedded folder's `evaluation.json` and `README.md`."""
    parser = argparse.ArgumentParser(description="Write the embedded model's card.")
    parser.add_argument("--training", type=Path, required=True, help="what train.py wrote with --record")
    parser.add_argument("runs", type=Path, nargs="+", help="what evaluate.py wrote with --output")
    options = parser.parse_args()
    training = json.loads(options.training.read_text(encoding="utf-8"))
    runs = [run for path in options.runs for run in json.loads(path.read_text(encoding="utf-8"))]
    record = build_record(training, runs)
    (EMBEDDED_DIR / "evaluation.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    (EMBEDDED_DIR / "README.md").write_text(render_card(record), encoding="utf-8")


if __name__ == "__main__":
    main()
