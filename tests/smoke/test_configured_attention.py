"""What config.yaml says of a model loads that model, with the attention that it was verified with."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision.actions.configure import build_entry
from provision.actions.weights import ModelFiles
from provision.core.config_doc import merge_config
from provision.model.catalogue import Catalogue
from provision.model.config import ConfigPatch, ProvisionSection
from tests.smoke.conftest import ROOT
from tests.support.config_patches import build_managed
from tests.support.profiles import load_data
from tests.support.smoke_results import build_result

BY_KEY = {model.key: model for model in load_data("models", Catalogue).models}
READ_WITH = {
    "tiny_qwen2_vl": "sdpa",
    "tiny_qwen3_vl": "sdpa",
    "tiny_got_ocr2": "eager+sdpa",
}
NO_OCR = "proves the chain; no production OCR"
NO_NAME = "load it without attn_implementation: its parts then take eager+sdpa, which no one name says"


def write_config(attentions: dict[str, str | None]) -> dict[str, dict[str, Any]]:
    """The section `models:` that stands in a new config.yaml, as YAML reads it."""
    entries = tuple(
        build_entry(
            BY_KEY[key],
            ModelFiles(folder=ROOT / "smoke" / "embedded" / key, revision="0" * 64),
            build_result(key, attention=attention),
        )
        for key, attention in attentions.items()
    )
    section = ProvisionSection(generation=1, profile="cpu", models=dict.fromkeys(attentions, build_managed()))
    text = merge_config("", ConfigPatch(entries=entries, section=section))
    models: dict[str, dict[str, Any]] = yaml.safe_load(text)["models"]
    return models


@pytest.mark.parametrize(
    ("key", "attention", "written", "flash", "notes"),
    [
        ("tiny_qwen3_vl", "sdpa", "sdpa", False, NO_OCR),
        ("tiny_got_ocr2", "eager", "eager", False, NO_OCR),
        ("tiny_got_ocr2", "eager+sdpa", "absent", False, f"{NO_OCR}; {NO_NAME}"),
        ("got_ocr_hf", "eager+sdpa", "absent", False, NO_NAME),
        ("qwen_vl_2b", "flash_attention_2", "flash_attention_2", True, "absent"),
        ("qwen_vl_2b", None, "absent", False, "absent"),
    ],
)
def test_one_attention_is_written_and_several_are_explained(
    key: str, attention: str | None, written: str, flash: bool, notes: str
) -> None:
    entry = write_config({key: attention})[key]
    assert {name: entry.get(name, "absent") for name in ("attn_implementation", "notes")} == {
        "attn_implementation": written,
        "notes": notes,
    }
    assert entry["use_flash_attention"] is flash


@pytest.mark.stack
def test_the_entries_load_the_models_as_they_were_verified(stack_python: Path, tmp_path: Path) -> None:
    """And the name of the text part alone is refused, which is why none is written."""
    entries = write_config(dict(READ_WITH))
    named = entries["tiny_got_ocr2"] | {"attn_implementation": "sdpa"}
    done = subprocess.run(
        [stack_python, "-m", "tests.smoke.load_as_configured"],
        input=json.dumps(entries | {"named": named}),
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert "does not support an attention implementation" in found.pop("named")["error"]
    assert found == {
        key: {"dtype": "bfloat16", "attention": attention} for key, attention in READ_WITH.items()
    }
