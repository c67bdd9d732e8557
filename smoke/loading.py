"""Loads a model from a local folder the same way for every family that transformers' own classes serve."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import transformers

_REPORTED = ("missing_keys", "unexpected_keys", "mismatched_keys")


def load_pretrained(
    auto_class: Any,
    model_dir: str,
    *,
    device: str,
    dtype: str,
    attention: str | dict[str, str],
    trust_remote_code: bool,
) -> tuple[Any, dict[str, list[str]]]:
    """The model in `dtype` with `attention`, its weights read straight to `device`, from safetensors only.

    Also the names of weights that the files lack, that the architecture lacks, and whose shapes differ; a
    tied weight that the files hold once is in none of them. `attention` is one name for all parts, or a name
    for each part that it maps, as in `{"text_config": "sdpa"}`. Raises what transformers raises.
    """
    options: dict[str, Any] = {
        choose_dtype_option(transformers.__version__): getattr(torch, dtype),
        "attn_implementation": attention,
        "local_files_only": True,
        "use_safetensors": True,
        "trust_remote_code": trust_remote_code,
    }
    # The log keeps a process's last words, and a progress bar is none.
    transformers.utils.logging.disable_progress_bar()
    if transformers.utils.is_accelerate_available():
        options["device_map"] = {"": device}
    model, report = auto_class.from_pretrained(model_dir, output_loading_info=True, **options)
    if "device_map" not in options:
        model = model.to(device)
    return model.eval(), {key: _list_names(report.get(key, ())) for key in _REPORTED}


def choose_dtype_option(version: str) -> str:
    """`dtype` since transformers 4.56; older ones know `torch_dtype` only, newer ones warn about it."""
    major, minor = (int(part) for part in version.split(".")[:2])
    return "dtype" if (major, minor) >= (4, 56) else "torch_dtype"


def _list_names(keys: Iterable[Any]) -> list[str]:
    """A mismatched weight comes as (name, shape in the files, shape in the model)."""
    return sorted(
        key if isinstance(key, str) else f"{key[0]}: {list(key[1])} in the files, {list(key[2])} in the model"
        for key in keys
    )
