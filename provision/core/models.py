"""Which models are meant, and how they are grouped into stacks."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from msgspec import Struct
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from provision.core.partition import build_need
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

    The first meant for production, else the first: an embedded model is asked for fewer tokens than a real page
    takes. Raises UsageError when none of the known models has that architecture.
    """
    matching = [model for model in catalogue.models if model.model_type == model_type]
    if matching:
        return next((model for model in matching if model.production), matching[0])
    known = ", ".join(sorted({model.model_type for model in catalogue.models}))
    raise UsageError(f"{where}: model_type {model_type!r} is none that can be smoked", hint=f"known: {known}")


def build_requirements(
    models: Sequence[ModelSpec], profile: Profile, *, preferred: bool, bounds: Mapping[str, str] | None = None
) -> tuple[tuple[str, ...], ...]:
    """What a stack for `models` asks for beside torch, in pip's syntax: the first that resolves is taken.

    With `preferred` the profile's pins hold, or `bounds` in their place. Else the models say which transformers,
    and the profile's other pins hold where they can: they were verified with a newer transformers.
    """
    pins = (
        dict(bounds) if bounds is not None else {name: f"=={pin}" for name, pin in profile.packages.items()}
    )
    ranges = [build_need(model).ranges for model in models]
    named = {name for need in ranges for name in need}
    wanted = {
        name: ",".join(sorted({str(part) for need in ranges if name in need for part in need[name]}))
        for name in named
    }
    extras = _list_extras(models)
    if preferred:
        # A pin lies within the models' ranges already; bounds have to be met together with them.
        both = (
            pins if bounds is None else {name: _join(pin, wanted.get(name, "")) for name, pin in pins.items()}
        )
        return (
            _render({**{name: text for name, text in wanted.items() if name not in pins}, **both}, extras),
        )
    others = {name: pin for name, pin in pins.items() if name not in wanted}
    loose = dict.fromkeys(others, "")
    return (_render({**others, **wanted}, extras), _render({**loose, **wanted}, extras))


def _join(*specifiers: str) -> str:
    """All of several specifiers in one, each part once."""
    parts = {part.strip() for text in specifiers for part in text.split(",") if part.strip()}
    return ",".join(sorted(parts))


def _list_extras(models: Sequence[ModelSpec]) -> dict[str, str]:
    """What models write beside a name and a range: extras and markers, by the package's name."""
    found = {}
    for text in (text for model in models for text in model.packages):
        requirement = Requirement(text)
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        marker = f" ; {requirement.marker}" if requirement.marker else ""
        if extras or marker:
            found[str(canonicalize_name(requirement.name))] = f"{extras}\0{marker}"
    return found


def _render(wanted: Mapping[str, str], extras: Mapping[str, str]) -> tuple[str, ...]:
    lines = []
    for name, specifier in wanted.items():
        extra, _, marker = extras.get(name, "").partition("\0")
        lines.append(f"{name}{extra}{specifier}{marker}")
    return tuple(sorted(lines))


def name_stack(versions: Mapping[str, str], taken: Sequence[str]) -> str:
    """`main` for the first stack, the others by what sets them apart: their transformers."""
    if not taken:
        return PRIMARY_STACK
    minor = ".".join(versions.get("transformers", "none").split(".")[:2])
    name = f"transformers-{minor}"
    number = 2
    while name in taken:
        name, number = f"transformers-{minor}-{number}", number + 1
    return name
