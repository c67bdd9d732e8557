"""Patches of config.yaml as an apply builds them, small enough to read in a test."""

from __future__ import annotations

from typing import Any

import yaml

from provision.model.config import (
    OWNED_KEYS,
    ConfigPatch,
    ManagedModel,
    ModelEntry,
    ModelStatus,
    ProvisionSection,
    SmokeEvidence,
)
from provision.model.smoke import Verdict


def build_entry(key: str, **changes: Any) -> ModelEntry:
    """An entry with every key that is not optional."""
    values: dict[str, Any] = {
        "key": key,
        "name": f"Model {key}",
        "model_path": f"Org/{key}",
        "precision": "bf16",
        "torch_dtype": "bfloat16",
        "attn_implementation": "sdpa",
        "use_flash_attention": False,
        "device_map": "cuda:0",
        "trust_remote_code": False,
        "max_new_tokens": 1024,
        "status": ModelStatus.PRODUCTION,
    }
    return ModelEntry(**{**values, **changes})


def build_managed(**changes: Any) -> ManagedModel:
    """What the section says of a model that passed."""
    values: dict[str, Any] = {
        "stack": "main",
        "interpreter": ".provision/stacks/main-1a2b3c/bin/python",
        "revision": "0f1e2d3c",
        "verdict": Verdict.PASS,
        "evidence": SmokeEvidence(verified="2026-11-21", cer=0.0),
    }
    return ManagedModel(**{**values, **changes})


def build_patch(*keys: str, generation: int = 3, **changes: Any) -> ConfigPatch:
    """A patch that configures `keys`, with `excluded` and `taken_out` as given."""
    section = ProvisionSection(
        generation=generation,
        profile="blackwell",
        models={key: build_managed() for key in keys},
        excluded=changes.pop("excluded", {}),
    )
    return ConfigPatch(entries=tuple(build_entry(key) for key in keys), section=section, **changes)


def list_values(key: str) -> dict[str, Any]:
    """The owned keys that a patch of `key` sets, as YAML reads them."""
    entry = build_entry(key)
    values = {name: value for name in OWNED_KEYS if (value := getattr(entry, name)) is not None}
    return {**values, "status": "production"}


def keep_foreign(text: str, *keys: str) -> dict[str, Any]:
    """What an application reads from `text` besides the keys that a patch of `keys` sets."""
    data = yaml.safe_load(text) or {}
    data.pop("provision", None)
    models = data.pop("models", None) or {}
    for key, entry in models.items():
        owned = {*list_values(key), "dtype"}
        rest = {name: value for name, value in (entry or {}).items() if key not in keys or name not in owned}
        if key not in keys or rest:
            data[f"models.{key}"] = rest
    return data
