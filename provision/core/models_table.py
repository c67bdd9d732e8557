"""The catalogue as Markdown tables: the generated part of docs/models.md."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from provision.model.catalogue import ModelSpec

BEGIN = "<!-- generated from profiles/models.yaml: begin -->"
END = "<!-- generated from profiles/models.yaml: end -->"
_MODEL_HEAD = ("model", "from", "revision", "licence", "transformers", "besides", "own code", "smoke asks it")
_SIZE_HEAD = ("model", "parameters", "weights", "memory in bf16", "a token adds")
_ASK_HEAD = ("model", "prompt", "tokens", "pixels", "its makers set", "notes")
_EVIDENCE_HEAD = ("model", "claim", "status", "source", "date")


def render_models_table(models: Sequence[ModelSpec], families: Collection[str]) -> str:
    """Every figure of the catalogue with status, source and date, between the two marks, in the order given.

    `families` are those that the smoke's worker has a module for.
    """
    parts = [
        BEGIN,
        "## What each needs",
        _render_rows(_MODEL_HEAD, (_list_needs(model, families) for model in models)),
        "## Sizes",
        _render_rows(_SIZE_HEAD, map(_list_sizes, models)),
        "## How each is asked",
        _render_rows(_ASK_HEAD, map(_list_settings, models)),
        "## Evidence",
        _render_rows(_EVIDENCE_HEAD, _list_evidence(models)),
        END,
    ]
    return "\n\n".join(parts) + "\n"


def _list_needs(model: ModelSpec, families: Collection[str]) -> tuple[str, ...]:
    besides = [*model.packages, *(["torchvision"] if model.needs_torchvision else [])]
    if model.embedded is not None:
        source, revision = "this repository", "its files' hash"
    else:
        source, revision = str(model.repo_id), (model.revision or "unknown")[:12]
    return (
        f"`{model.key}`",
        source,
        revision,
        model.licence,
        f"`{model.transformers}`",
        " ".join(besides) or "nothing",
        "yes" if model.trust_remote_code else "no",
        "yes" if model.family in families else "not yet",
    )


def _list_sizes(model: ModelSpec) -> tuple[str, ...]:
    token = model.kv_bytes_per_token
    return (
        f"`{model.key}`",
        "unknown" if model.parameters is None else f"{model.parameters:,}",
        _show_bytes(model.weights_bytes),
        "unknown" if model.vram_bytes is None else _show_bytes(model.vram_bytes),
        "unknown" if token is None else f"{token:,} bytes",
    )


def _show_bytes(count: int) -> str:
    """Decimal for what is downloaded and binary as GPUs are sold, side by side: they differ by 7 %."""
    if count < 10**9:
        return f"{count / 10**6:.0f} MB ({count / 2**20:.0f} MiB)"
    return f"{count / 10**9:.2f} GB ({count / 2**30:.2f} GiB)"


def _list_settings(model: ModelSpec) -> tuple[str, ...]:
    asked = model.generation
    pixels = (
        "as its processor says" if model.max_pixels is None else f"{model.min_pixels} to {model.max_pixels}"
    )
    prompt = asked.prompt.replace("\n", "⏎")
    return (
        f"`{model.key}`",
        f"`{prompt}`" if prompt else "none",
        str(asked.max_new_tokens),
        pixels,
        _escape(asked.card),
        _escape(model.notes),
    )


def _escape(text: str) -> str:
    """A model's own marks, such as `<image>`, are no HTML."""
    return text.replace("<", "&lt;")


def _list_evidence(models: Iterable[ModelSpec]) -> Iterable[tuple[str, ...]]:
    for model in models:
        for item in model.evidence:
            yield (f"`{model.key}`", item.claim, str(item.status), item.source, item.date)


def _render_rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
