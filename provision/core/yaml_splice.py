"""Changes YAML text by splicing at the parser's positions, so that what is not named stays byte for byte.

The positions are PyYAML's, which is loaded anyway for our own data. ruamel.yaml costs a second import, twice as
long, and its round trip dumps the document anew: indentation, flow lists and CRLF do not come back the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from provision.core.yaml_cuts import Cuts, Pair, Spliced
from provision.core.yaml_render import render_block, render_flow, render_flow_pairs, render_scalar
from provision.core.yaml_tree import Kind, Node, parse_tree


class Put(Struct, frozen=True):
    """The key gets this value. A mapping replaces what stands there whole and begins with the comment."""

    value: str | int | float | bool | Mapping[str, object]
    comment: str = ""


class Into(Struct, frozen=True):
    """The key holds a mapping, made where it is missing: the keys named are changed, the others kept."""

    edits: Mapping[str, Edit]


class Remove(Struct, frozen=True):
    """The key is taken away with its value."""


Edit = Put | Into | Remove


def splice(text: str, data: Mapping[str, object], edits: Mapping[str, Edit], *, where: str) -> Spliced:
    """`text`, without byte order mark, with `edits` made; `data` is what it parses to.

    A value that is right already keeps its bytes. Raises BadFileError, with the line, where a change cannot
    be made without touching what is not named.
    """
    root = parse_tree(text, where=where)
    splicer = _Splicer(Cuts(text, root, where=where))
    if root is None or (root.kind is Kind.SCALAR and root.is_empty):
        splicer.fill_document(len(text) if root is None else root.start, edits)
    elif root.kind is Kind.MAPPING:
        splicer.edit(root, data, edits, ())
    else:
        splicer.cuts.refuse(root, "the top level must be a mapping")
    return splicer.cuts.make()


def _build_value(edit: Edit) -> object:
    """What `edit` leaves where nothing stood before."""
    if isinstance(edit, Into):
        return {key: _build_value(part) for key, part in edit.edits.items() if not isinstance(part, Remove)}
    return edit.value if isinstance(edit, Put) else None


def _is_settled(data: object, edit: Edit) -> bool:
    """`data` is already what `edit` makes of it. True is not 1 here, because YAML writes them differently."""
    if isinstance(edit, Put):
        return type(data) is type(edit.value) and data == edit.value
    if isinstance(edit, Remove) or not isinstance(data, dict):
        return False
    parts = edit.edits.items()
    return all(
        _is_settled(data[key], part) if key in data else isinstance(part, Remove) for key, part in parts
    )


def _render_lines(edits: Mapping[str, Edit], indent: str, step: int) -> list[str]:
    lines: list[str] = []
    for key, edit in edits.items():
        block = render_block({key: _build_value(edit)}, indent=indent, step=step)
        if isinstance(edit, Put) and edit.comment:
            block.insert(1, f"{indent}{' ' * step}# {edit.comment}")
        lines += block
    return lines


class _Splicer:
    """Goes down the tree along the edits and decides which cut makes each of them."""

    def __init__(self, cuts: Cuts) -> None:
        self.cuts = cuts

    def fill_document(self, at: int, edits: Mapping[str, Edit]) -> None:
        """Write everything into a document that holds nothing."""
        blocks = [self.cuts.newline.join(_render_lines({key: edit}, "", 2)) for key, edit in edits.items()]
        self.cuts.append(at, blocks)

    def edit(
        self, mapping: Node, data: Mapping[str, object], edits: Mapping[str, Edit], path: tuple[str, ...]
    ) -> None:
        """Change the keys of a mapping that stands in the text, with braces or at least one key."""
        missing: dict[str, Edit] = {}
        removed: list[Pair] = []
        for key, edit in edits.items():
            pair = mapping.find(key) if key in data else None
            if pair is not None and isinstance(edit, Remove):
                removed.append(pair)
            elif pair is not None and isinstance(edit, Put):
                self._put(mapping, pair, data[key], edit)
            elif pair is not None and isinstance(edit, Into):
                self._enter(mapping, pair, data[key], edit, (*path, key))
            elif key in data and not isinstance(edit, Put):
                name = ".".join((*path, key))
                self.cuts.refuse(mapping, f"`{name}` comes from another place through a merge key (<<)")
            elif not isinstance(edit, Remove):
                missing[key] = edit
        kept = [pair for pair in mapping.pairs if pair not in removed]
        if mapping.flow:
            self.cuts.remove_flow(mapping, removed, kept)
        else:
            self.cuts.remove_block(mapping, removed, leaves_nothing=not kept and not missing)
        self._insert(mapping, missing, kept, is_root=not path)

    def _insert(self, mapping: Node, missing: Mapping[str, Edit], kept: list[Pair], *, is_root: bool) -> None:
        if mapping.flow and missing:
            pairs = render_flow_pairs({key: _build_value(edit) for key, edit in missing.items()})
            self.cuts.insert_flow(mapping, kept, ", ".join(pairs))
            return
        for key, edit in missing.items():
            step = self.cuts.find_step(mapping)
            lines = _render_lines({key: edit}, self.cuts.find_indent(mapping), step)
            self.cuts.insert_block(mapping, kept, lines, spaced=is_root)

    def _put(self, mapping: Node, pair: Pair, old: object, edit: Put) -> None:
        key, node = pair
        if not isinstance(edit.value, Mapping):
            if not _is_settled(old, edit):
                is_json = mapping.flow and key.style == '"'
                quote = '"' if is_json else node.style if node.style in ("'", '"') else ""
                self.cuts.replace(mapping, pair, render_scalar(edit.value, quote=quote))
        elif mapping.flow:
            self.cuts.replace(mapping, pair, render_flow(edit.value))
        else:
            indent = self.cuts.find_indent(mapping)
            lines = _render_lines({key.text: edit}, indent, self.cuts.find_step(mapping))
            self.cuts.replace_block(pair, lines, indent)

    def _enter(self, mapping: Node, pair: Pair, old: object, edit: Into, path: tuple[str, ...]) -> None:
        node = pair[1]
        name = ".".join(path)
        if node.kind is Kind.ALIAS:
            if not _is_settled(old, edit):
                reason = f"`{name}` is the alias *{node.text}; writing into it would change both places"
                self.cuts.refuse(node, reason)
        elif old is None or (not mapping.flow and re.fullmatch(r"\{[ \t]*\}", self.cuts.get_text(node))):
            if value := _build_value(edit):
                self._fill(mapping, pair, edit, value)
        elif isinstance(old, dict) and node.kind is Kind.MAPPING:
            self.edit(node, old, edit.edits, path)
        else:
            self.cuts.refuse(node, f"`{name}` must be a mapping")

    def _fill(self, mapping: Node, pair: Pair, edit: Into, value: object) -> None:
        """Write a mapping where `key:`, `key: null` or `key: {}` stands."""
        if mapping.flow:
            self.cuts.replace(mapping, pair, render_flow(value))
            return
        lines = _render_lines(
            {pair[0].text: edit}, self.cuts.find_indent(mapping), self.cuts.find_step(mapping)
        )
        self.cuts.fill_block(mapping, pair, lines[1:])
