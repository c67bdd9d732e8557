"""Which models are meant, and how they are grouped into stacks."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from msgspec import Struct
from packaging.specifiers import SpecifierSet

from provision.errors import UsageError
from provision.model.catalogue import Catalogue, ModelSpec
from provision.model.profile import Profile

DEFAULT_MODEL = "tiny_qwen2_vl"
PRIMARY_STACK = "main"


class Selection(Struct, frozen=True, kw_only=True):
    """The models to configure. `unknown` are named by config.yaml only: left alone, with a warning each."""

    models: tuple[ModelSpec, ...]
    unknown: tuple[str, ...] = ()


class StackSpec(Struct, frozen=True, kw_only=True):
    """One stack to build: who uses it, and what goes into it beside torch."""

    name: str
    models: tuple[str, ...]
    requirements: tuple[str, ...]
    torchvision_needed: bool


def choose_models(requested: Sequence[str], configured: Sequence[str], catalogue: Catalogue) -> Selection:
    """The requested models, else those that config.yaml names, else the embedded one.

    Raises UsageError for a requested name that the catalogue does not know, with the nearest that it does.
    """
    if requested:
        return Selection(models=tuple(find_model(key, catalogue) for key in dict.fromkeys(requested)))
    known = [model for key in configured if (model := catalogue.get(key))]
    unknown = tuple(key for key in configured if catalogue.get(key) is None)
    default = [find_model(DEFAULT_MODEL, catalogue)]
    return Selection(models=tuple(known or default), unknown=unknown)


def find_model(key: str, catalogue: Catalogue) -> ModelSpec:
    """The model called `key`. Raises UsageError with the nearest known name."""
    model = catalogue.get(key)
    if model is not None:
        return model
    known = [candidate.key for candidate in catalogue.models]
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known models: {', '.join(known)}"
    raise UsageError(f"there is no model {key!r} in the catalogue", hint=hint)


def find_family(model_type: str | None, catalogue: Catalogue, *, where: str) -> ModelSpec:
    """A catalogue entry for the architecture that a config.json names: how to load and ask such a model.

    Raises UsageError when none of the known models has that architecture.
    """
    for model in catalogue.models:
        if model.model_type == model_type:
            return model
    known = ", ".join(sorted({model.model_type for model in catalogue.models}))
    raise UsageError(f"{where}: model_type {model_type!r} is none that can be smoked", hint=f"known: {known}")


def build_stack_specs(models: Sequence[ModelSpec], profile: Profile) -> tuple[StackSpec, ...]:
    """The stacks that serve `models` under `profile`.

    All models that the profile's transformers runs share one stack. Raises UsageError for a model that needs
    another version.
    """
    pinned = profile.packages["transformers"]
    for model in models:
        if not SpecifierSet(model.transformers).contains(pinned):
            raise UsageError(
                f"{model.key} needs transformers {model.transformers}, profile {profile.name} pins {pinned}",
                hint=f"leave {model.key} out: provision apply {profile.name} --models …",
            )
    pins = {f"{name}=={version}" for name, version in profile.packages.items()}
    extras = {package for model in models for package in model.packages}
    return (
        StackSpec(
            name=PRIMARY_STACK,
            models=tuple(model.key for model in models),
            requirements=tuple(sorted(pins | extras)),
            torchvision_needed=any(model.needs_torchvision for model in models),
        ),
    )
