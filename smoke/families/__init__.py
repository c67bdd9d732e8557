"""What each model family needs to be loaded and asked: one module per family."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Protocol, cast

_MODULES = {"got_ocr": "smoke.families.got_ocr", "qwen_vl": "smoke.families.qwen_vl"}


class Family(Protocol):
    """What a family's module offers. A processor and a model are whatever the family makes them."""

    def load_processor(self, model_dir: str, *, trust_remote_code: bool = False) -> Any:
        """What turns a picture and a prompt into the model's inputs, and ids into text."""

    def load_model(
        self, model_dir: str, *, device: str, dtype: str, attention: str, trust_remote_code: bool = False
    ) -> tuple[Any, dict[str, list[str]]]:
        """The model on `device`, ready to generate, and the names of weights that did not match."""

    def build_inputs(self, processor: Any, image: Any, prompt: str) -> dict[str, Any]:
        """The keyword arguments of generate, on the CPU, `input_ids` of shape (1, tokens) among them."""

    def decode(self, processor: Any, new_ids: Sequence[int]) -> str:
        """The text of the new tokens, without special ones."""


class UnknownFamilyError(LookupError):
    """No family has this name."""


def load_family(name: str) -> Family:
    """The module of family `name`. Raises UnknownFamilyError."""
    if name not in _MODULES:
        raise UnknownFamilyError(f"there is no model family {name!r}; known: {', '.join(sorted(_MODULES))}")
    return cast(Family, importlib.import_module(_MODULES[name]))
