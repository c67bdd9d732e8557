"""The embedded models in a stack's interpreter: they read, they say `!` when broken, training computes what they do."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smoke.training.registry import TINY_GOT_OCR2, TINY_QWEN3_VL
from tests.smoke.conftest import LINES, ROOT, make_job
from tests.support.weights import NAN, copy_broken

BOTH = (TINY_QWEN3_VL, TINY_GOT_OCR2)
NAMES = {
    "tiny_qwen3_vl": "model.language_model.layers.1.mlp.down_proj.weight",
    "tiny_got_ocr2": "language_model.model.layers.1.mlp.down_proj.weight",
}
ATTENTIONS = {
    ("tiny_qwen3_vl", "eager"): "eager",
    ("tiny_qwen3_vl", "sdpa"): "sdpa",
    ("tiny_got_ocr2", "eager"): "eager",
    ("tiny_got_ocr2", "sdpa"): "eager+sdpa",
}

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def results(
    ask_worker: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """One run of the worker: each model with each attention, then with one weight that is no number."""
    base = tmp_path_factory.mktemp("broken")
    jobs = []
    for model in BOTH:
        own = {"family": model.family, "prompt": model.prompt}
        jobs += [
            make_job(
                f"{model.name} {attention}", model.folder, attention=attention, max_new_tokens=160, **own
            )
            for attention in ("eager", "sdpa")
        ]
        broken = copy_broken(model.folder, base / model.name, NAMES[model.name], NAN, count=1)
        jobs.append(make_job(f"{model.name} broken", broken, **own))
    return {result["model"]: result for result in ask_worker(jobs)["results"]}


@pytest.mark.parametrize(("model", "attention"), ATTENTIONS)
def test_it_reads_the_page_letter_for_letter(
    results: dict[str, dict[str, Any]], model: str, attention: str
) -> None:
    result = results[f"{model} {attention}"]
    assert result["outcome"] == "ran", result.get("fault")
    assert [page["text"] for page in result["pages"]] == ["\n".join(LINES)]
    assert (result["dtype"], result["attention"]) == ("bfloat16", ATTENTIONS[model, attention])
    assert not any(result["loading"].values())


@pytest.mark.parametrize("model", NAMES)
def test_a_weight_that_is_no_number_makes_it_say_exclamation_marks(
    results: dict[str, dict[str, Any]], model: str
) -> None:
    result = results[f"{model} broken"]
    assert [page["text"] for page in result["pages"]] == ["!" * 24]
    assert result["numeric_fault"]["module"] == "model.language_model.layers.1.mlp.down_proj"


@pytest.fixture(scope="module")
def training(stack_python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What training_check.py found."""
    scratch = tmp_path_factory.mktemp("training")
    argv = [stack_python, "-m", "tests.smoke.training_check", scratch]
    env = {"PATH": os.environ["PATH"], "HOME": str(scratch), "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(argv, cwd=ROOT, env=env, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_training_learns_from_the_logits_that_the_models_give(training: dict[str, Any]) -> None:
    differences = {name: found["difference"] for name, found in training["models"].items()}
    assert differences.keys() == {"tiny_qwen2_vl", "tiny_qwen3_vl", "tiny_got_ocr2"}
    assert max(differences["tiny_qwen2_vl"], differences["tiny_qwen3_vl"]) < 1e-4
    # Its processor rounds the stretched page to whole grey levels.
    assert differences["tiny_got_ocr2"] < 0.02


@pytest.mark.parametrize("model", ["tiny_qwen2_vl", "tiny_qwen3_vl", "tiny_got_ocr2"])
def test_a_step_of_training_leaves_a_whole_folder(training: dict[str, Any], model: str) -> None:
    found = training["models"][model]
    committed = {path.name for path in (ROOT / "smoke" / "embedded" / model).iterdir()}
    assert (found["steps"], found["finite"]) == (1, True)
    assert set(found["files"]) == committed - {"README.md", "evaluation.json"}


def test_got_ocr_is_asked_as_its_processor_asks(training: dict[str, Any]) -> None:
    assert training["conversations"] == [True] * 8
