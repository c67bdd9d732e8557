"""The application's `config.yaml` as text: merges what `provision` owns into it, and tells how it differs.

Owned are the keys of `models.<key>` that an entry of the patch sets, and the whole section `provision:`.
Everything else stays byte for byte.
"""

from __future__ import annotations

from provision.core.config_target import (
    BYTE_ORDER_MARK,
    Document,
    Target,
    choose_target,
    find_drift,
    parse_document,
)
from provision.core.yaml_splice import Edit, Into, Put, Remove, splice
from provision.core.yaml_tree import SPACES, find_newline
from provision.errors import BadFileError, ProvisionError
from provision.model.config import OWNED_KEYS, ConfigPatch, Drift, OwnedConfig

HEADER = """\
# The models that the application loads. Written by `provision`, which owns the section `provision:` and the
# keys that it writes under each model that it manages. Everything else is yours and stays as it is.
"""
SECTION_COMMENT = "Written by provision as a whole: changes made here are lost."


def merge_config(text: str, patch: ConfigPatch, *, where: str = "config.yaml") -> str:
    """`text` with what `patch` owns; a new file for an empty one. Merging again changes nothing.

    Line breaks and a byte order mark stay, so `text` must come without newline translation. Raises
    BadFileError, with the line, for a file that is not valid or cannot be changed in place.
    """
    mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
    before = parse_document(text, where=where)
    target = choose_target(before, patch)
    base = before.text
    if base.strip(SPACES) in ("", "{}"):
        base = HEADER.replace("\n", find_newline(base))
    spliced = splice(base, before.data, _build_edits(target), where=where)
    try:
        after = parse_document(spliced.text, where=where)
    except BadFileError as error:
        raise _fault(where, error.message) from error
    _check_merge(before, target, after, patch, spliced.tied_line)
    return mark + spliced.text


def diff_config(text: str, patch: ConfigPatch, *, where: str = "config.yaml") -> tuple[Drift, ...]:
    """How the owned part of `text` differs from `patch`; nothing after a merge. Raises BadFileError."""
    document = parse_document(text, where=where)
    return tuple(find_drift(document, choose_target(document, patch)))


def read_owned(text: str, *, where: str = "config.yaml") -> OwnedConfig:
    """What stands there for the keys that `provision` owns. Raises BadFileError."""
    document = parse_document(text, where=where)
    models: dict[str, dict[str, object]] = {}
    for key in document.section.models if document.section else {}:
        entry = document.models.get(key)
        if isinstance(entry, dict):
            models[key] = {name: value for name, value in entry.items() if name in OWNED_KEYS}
    return OwnedConfig(section=document.section, models=models)


def configured_models(text: str, *, where: str = "config.yaml") -> tuple[str, ...]:
    """The keys under `models:` in the order in which the application gets them. Raises BadFileError."""
    return tuple(str(key) for key in parse_document(text, where=where).models)


def wanted_models(text: str, *, where: str = "config.yaml") -> tuple[str, ...]:
    """The models that the file asks for, in its order. Raises BadFileError.

    They are the keys under `models:`, then those of other stacks, then those that failed and were taken out:
    the next apply tries these again instead of forgetting them.
    """
    document = parse_document(text, where=where)
    section = document.section
    listed = [*section.models, *section.excluded] if section else []
    return tuple(dict.fromkeys([*(str(key) for key in document.models), *listed]))


def check_config(text: str, *, where: str = "config.yaml") -> None:
    """Raises BadFileError, with the line or the key path, for a file that is not valid."""
    parse_document(text, where=where)


def _build_edits(target: Target) -> dict[str, Edit]:
    entries: dict[str, Edit] = {}
    for key, values in target.entries.items():
        entries[key] = Into(
            {name: Remove() if value is None else Put(value) for name, value in values.items()}
        )
    for key in target.gone:
        entries[key] = Remove()
    section = Put(target.section, SECTION_COMMENT)
    return {"models": Into(entries), "provision": section} if entries else {"provision": section}


def _check_merge(
    before: Document, target: Target, after: Document, patch: ConfigPatch, tied_line: int | None
) -> None:
    """The owned values are there and no other value has changed.

    Raises BadFileError when an alias carries a change elsewhere, ProvisionError for a fault of the merge.
    """
    changed = _find_changed(_drop_owned(before, target), _drop_owned(after, target))
    if changed and tied_line is not None:
        message = f"{before.where}, line {tied_line}: through this alias `{changed}` would change as well"
        hint = "write out what the alias stands for and run the command again; nothing was written"
        raise BadFileError(message, hint=hint)
    if changed:
        raise _fault(before.where, f"`{changed}` would change")
    wrong = next(find_drift(after, choose_target(after, patch)), None)
    if wrong:
        raise _fault(before.where, f"`{wrong.key_path}` would be wrong")


def _fault(where: str, reason: str) -> ProvisionError:
    hint = "nothing was written; this is a fault of provision, report it with the file"
    return ProvisionError(f"{where} cannot be merged: {reason}", hint=hint)


def _drop_owned(document: Document, target: Target) -> dict[str, object]:
    """What the application reads besides the owned part, as far as a mapping holds anything else."""
    rest = {key: value for key, value in document.data.items() if key not in ("models", "provision")}
    for key, entry in document.models.items():
        owned = target.entries.get(key)
        if owned is not None and isinstance(entry, dict):
            foreign = {name: value for name, value in entry.items() if name not in owned}
            if foreign:
                rest[f"models.{key}"] = foreign
        elif owned is None and key not in target.gone:
            rest[f"models.{key}"] = entry
    return rest


def _find_changed(before: dict[str, object], after: dict[str, object]) -> str | None:
    """The first key whose value is not the same; compared as text, because a NaN equals nothing."""
    if repr(before) == repr(after):
        return None
    differing = (key for key in {**before, **after} if repr(before.get(key)) != repr(after.get(key)))
    return next(differing, "the order of the keys")
