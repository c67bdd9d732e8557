"""Run by a stack's interpreter: loads models as an application does that reads config.yaml.

`python -m tests.smoke.load_as_configured < ENTRIES` takes the entries of `models:` as JSON and prints the dtype and
the attention of each, or the exception, as JSON. The application's own code is not at hand: this is what the keys say.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
import transformers
from transformers import AutoModelForImageTextToText

from smoke.loading import choose_dtype_option
from smoke.measure import describe_model


def load(entry: dict[str, Any]) -> dict[str, Any]:
    """Every key of `from_pretrained` that the entry has, and none that it has not."""
    options = {
        key: entry[key] for key in ("attn_implementation", "device_map", "trust_remote_code") if key in entry
    }
    options[choose_dtype_option(transformers.__version__)] = getattr(torch, entry["torch_dtype"])
    try:
        model = AutoModelForImageTextToText.from_pretrained(
            entry["model_path"], local_files_only=True, **options
        )
    except ValueError as error:
        return {"error": str(error)}
    return {key: value for key, value in describe_model(model).items() if key != "parameters"}


print(json.dumps({key: load(entry) for key, entry in json.load(sys.stdin).items()}))
