"""The models that can be configured: what each needs, where it comes from, what was verified."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from provision.model.profile import Evidence


class Generation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the model is asked. Decoding is always greedy; the token limit is for one page.

    `prompt` is "" for a model that brings its own. `card` is what the model's makers set, in words.
    """

    prompt: str
    max_new_tokens: int
    card: str = ""


class ModelSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of `profiles/models.yaml`.

    `embedded` names a folder under `smoke/embedded/`; otherwise `repo_id` and `revision` (40 hex digits) name
    a Hub repository; `revision` is None where no commit is known, never for one that brings its own code.
    `family` names the worker's module; `model_type` is what config.json says. `transformers` is the range of
    versions that run it, `packages` what it imports besides, in pip's syntax.

    `weights_bytes` is what is downloaded; `vram_bytes` what the weights take in bf16 on the device, to which each
    token adds `kv_bytes_per_token` and the picture its activations. None where nobody has counted.
    """

    key: str
    name: str
    family: str
    model_type: str
    transformers: str
    generation: Generation
    licence: str
    weights_bytes: int
    context_length: int
    production: bool
    embedded: str | None = None
    repo_id: str | None = None
    revision: str | None = None
    packages: tuple[str, ...] = ()
    needs_torchvision: bool = False
    trust_remote_code: bool = False
    min_pixels: int | None = None
    max_pixels: int | None = None
    page: Literal["grid"] = "grid"
    parameters: int | None = None
    vram_bytes: int | None = None
    kv_bytes_per_token: int | None = None
    notes: str = ""
    evidence: tuple[Evidence, ...] = ()


class Catalogue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file `profiles/models.yaml`."""

    schema: Literal[1]
    models: tuple[ModelSpec, ...]

    def get(self, key: str) -> ModelSpec | None:
        """The model called `key`, or None."""
        return next((model for model in self.models if model.key == key), None)
