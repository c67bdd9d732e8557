"""What shall stand in one `config.yaml`: the patch's wishes, applied to what somebody wrote there before.

An entry that no patch names any more goes when `provision` created it, unless somebody's own keys or comments
stand in it. Any other stays as it is, its status included, and is listed under `provision.excluded`, until a
patch names that model again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec
from msgspec import Struct

from provision.core.yaml_text import convert, parse_yaml
from provision.core.yaml_tree import Node, has_comment, parse_tree
from provision.errors import BadFileError
from provision.model.config import (
    OWNED_KEYS,
    ConfigPatch,
    Drift,
    EntryOrigin,
    ManagedModel,
    ModelEntry,
    ProvisionSection,
)

BYTE_ORDER_MARK = "\ufeff"
NOT_SELECTED = "no longer among the models that provision was asked for"

# Newer releases of transformers call `torch_dtype` so; where an entry has it, the two must not contradict.
_DTYPE = "dtype"
_ATTENTION = "attn_implementation"


class Document(Struct, frozen=True):
    """A config.yaml without its byte order mark, what it parses to, and what of it concerns us."""

    where: str
    text: str
    data: dict[str, object]
    models: dict[str, object]
    section: ProvisionSection | None


class Target(Struct, frozen=True):
    """What shall stand there: the owned keys of each entry, and the section. The entries `gone` go."""

    entries: dict[str, dict[str, str | int | bool | None]]
    gone: tuple[str, ...]
    section: dict[str, object]


def parse_document(text: str, *, where: str) -> Document:
    """Raises BadFileError with the line or the key path. `where` names the file."""
    text = text.removeprefix(BYTE_ORDER_MARK)
    # As the application reads it: a file that only libyaml understands would be none that it can load.
    data = parse_yaml(text, where=where, pure=True)
    if data is None:
        root = parse_tree(text, where=where)
        data = {} if root is None or root.is_empty else data
    if not isinstance(data, dict):
        raise _not_a_mapping(parse_tree(text, where=where), "the top level", where)
    models = data.get("models")
    if not isinstance(models, dict | None):
        root = parse_tree(text, where=where)
        pair = root.find("models") if root else None
        raise _not_a_mapping(pair[1] if pair else root, "`models`", where)
    section = _convert_section(data.get("provision"), where)
    return Document(where=where, text=text, data=data, models=models or {}, section=section)


def _not_a_mapping(node: Node | None, name: str, where: str) -> BadFileError:
    place = f"{where}, line {node.line}" if node else where
    hint = "write it as lines of `key: value` and run the command again"
    return BadFileError(f"{place}: {name} must be a mapping", hint=hint)


def _convert_section(data: object, where: str) -> ProvisionSection | None:
    if data is None:
        return None
    try:
        return convert({"provision": data}, dict[str, ProvisionSection], where=where)["provision"]
    except BadFileError as error:
        hint = "remove the section `provision:` from the file and run the command again: it is written anew"
        raise BadFileError(error.message, hint=hint) from None


def choose_target(document: Document, patch: ConfigPatch) -> Target:
    """The target for this document. Of the document after a merge it is the same as of the one before."""
    known = document.section.models if document.section else {}
    created = {key for key, model in known.items() if model.entry is EntryOrigin.CREATED}
    wanted = {entry.key for entry in patch.entries}
    unwanted = [key for key in document.models if key not in wanted]
    gone = [key for key in unwanted if key in patch.taken_out or (key in created and _is_ours(document, key))]
    left = [key for key in unwanted if key not in gone]

    def find_origin(key: str) -> EntryOrigin:
        if key not in wanted and key not in left:
            return EntryOrigin.ABSENT
        is_ours = key in created or key not in document.models
        return EntryOrigin.CREATED if is_ours else EntryOrigin.ADOPTED

    models: dict[str, ManagedModel] = {}
    for key, model in patch.section.models.items():
        models[key] = msgspec.structs.replace(model, entry=find_origin(key))
    excluded = dict(patch.section.excluded)
    for key, reason in _find_reasons(document, left):
        if key not in models:
            excluded.setdefault(key, reason)
    section = msgspec.structs.replace(patch.section, models=models, excluded=excluded)
    return Target(
        entries={entry.key: _build_entry(entry, document.models.get(entry.key)) for entry in patch.entries},
        gone=tuple(gone),
        section=msgspec.to_builtins(section),
    )


def _find_reasons(document: Document, left: Collection[str]) -> Iterator[tuple[str, str]]:
    """Why each managed entry that stays is not run: the reason that the file gives already, or a new one."""
    if document.section is None:
        return
    for key in left:
        model = document.section.models.get(key)
        if key in document.section.excluded:
            yield key, document.section.excluded[key]
        elif model is not None and model.entry is not EntryOrigin.ABSENT:
            yield key, NOT_SELECTED


def _is_ours(document: Document, key: str) -> bool:
    """Nobody else wrote into the entry: all its keys are owned, and there is no comment in it."""
    entry = document.models[key]
    if not isinstance(entry, dict) or not entry.keys() <= {*OWNED_KEYS, _DTYPE}:
        return False
    root = parse_tree(document.text, where=document.where)
    models = root.find("models") if root else None
    pair = models[1].find(key) if models else None
    return pair is not None and not has_comment(document.text, pair)


def _build_entry(entry: ModelEntry, found: object) -> dict[str, str | int | bool | None]:
    values = {name: value for name in OWNED_KEYS if (value := getattr(entry, name)) is not None}
    if isinstance(found, dict) and _ATTENTION in found:
        # A name that stands there was not verified, and may be one that the model's class refuses.
        values[_ATTENTION] = entry.attn_implementation
    if isinstance(found, dict) and _DTYPE in found:
        values[_DTYPE] = entry.torch_dtype
    return {name: str(value) if isinstance(value, str) else value for name, value in values.items()}


def find_drift(document: Document, target: Target) -> Iterator[Drift]:
    """Each place where the document is not what the target wants."""
    for key, values in target.entries.items():
        found = document.models.get(key)
        owned = {name: found.get(name) for name in values} if isinstance(found, dict) else found
        yield from _compare(values, owned, f"models.{key}")
    for key in target.gone:
        yield Drift(key_path=f"models.{key}", expected=None, found=document.models[key])
    yield from _compare(target.section, document.data.get("provision"), "provision")


def _compare(expected: object, found: object, path: str) -> Iterator[Drift]:
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in {**expected, **found}:
            yield from _compare(expected.get(key), found.get(key), f"{path}.{key}")
    elif repr(expected) != repr(found):  # 1, 1.0 and True are equal to Python, not to the application
        yield Drift(key_path=path, expected=expected, found=found)
