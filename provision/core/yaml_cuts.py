"""Replacing, inserting and removing single keys of a YAML text, collected as cuts and made all at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NoReturn

from msgspec import Struct

from provision.core.yaml_tree import (
    SPACES,
    Kind,
    Node,
    find_comment_end,
    find_line_end,
    find_line_start,
    find_newline,
    find_next_line,
)
from provision.errors import BadFileError

Pair = tuple[Node, Node]

_HINT = "change that place by hand and run the command again; nothing was written"


class Spliced(Struct, frozen=True):
    """The new text. `tied_line` is the line of an alias of something that was written into, or None."""

    text: str
    tied_line: int | None


class Cuts:
    """The changes to one text. Offsets are of the text as it was; nothing changes before `make`."""

    def __init__(self, text: str, root: Node | None, *, where: str) -> None:
        self.text = text
        self.newline = find_newline(text)
        self._where = where
        self._nodes = [] if root is None else list(root.walk())
        self._cuts: list[tuple[int, int, str]] = []

    def refuse(self, node: Node, reason: str) -> NoReturn:
        """Raise BadFileError with the line of `node`."""
        raise BadFileError(f"{self._where}, line {node.line}: {reason}", hint=_HINT)

    def get_text(self, node: Node) -> str:
        """What stands in the text for `node`."""
        return self.text[node.start : node.end]

    def make(self) -> Spliced:
        """The text with all cuts made. Raises BadFileError when one would take an anchor that is in use."""
        tied = self._check_anchors()
        pieces, done = [], 0
        for start, end, new in sorted(self._cuts, key=lambda cut: cut[:2]):
            # Two removals at the end of a text may share the line break between them.
            pieces += [self.text[done : max(start, done)], new]
            done = max(end, done)
        return Spliced("".join(pieces) + self.text[done:], tied)

    def _check_anchors(self) -> int | None:
        anchors = {node.anchor: node for node in self._nodes if node.anchor is not None}
        tied = None
        for alias in self._nodes:
            if alias.kind is not Kind.ALIAS:
                continue
            anchored = anchors[alias.text]
            for start, end, _ in self._cuts:
                if start <= anchored.start < end and not start <= alias.start < end:
                    reason = f"the anchor &{alias.text} is used in line {alias.line} and cannot be replaced"
                    self.refuse(anchored, reason)
                if anchored.start <= start <= anchored.end:
                    tied = tied or alias.line
        return tied

    def append(self, at: int, blocks: Sequence[str]) -> None:
        """Write top-level blocks into a document that holds no keys, after its comments."""
        before = self.text[:at]
        lead = self.newline if before and find_line_start(self.text, at) != at else ""
        lead += self.newline if before.strip(SPACES) else ""
        self._cuts.append((at, at, lead + (self.newline * 2).join(blocks) + self.newline))

    def replace(self, mapping: Node, pair: Pair, new: str) -> None:
        """Give a key of `mapping` the value `new`, one line; none at all for "". Comments before the value stay."""
        key, node = pair
        end = node.start + len(self.text[node.start : node.end].rstrip(SPACES))
        if new and not node.is_empty and not node.is_block_collection:
            self._cuts.append((node.start, end, new))
            return
        colon = re.compile("[ \t]*:").match(self.text, key.end)
        if colon is None and not (mapping.flow and node.is_empty):
            self.refuse(key, f"the colon of `{key.text}` must stand in the line of the key, without `?`")
        behind = colon.end() if colon else key.end
        between = self.text[behind : node.start].rstrip(SPACES)
        self._cuts.append((behind, max(behind, end), ("" if colon else ":") + (new and f" {new}") + between))

    def replace_block(self, pair: Pair, lines: Sequence[str], indent: str) -> None:
        """Put `lines` in the place of a key with its value, comments inside and behind it included."""
        key, node = pair
        last = max(key.end, key.start + len(self.text[key.start : node.end].rstrip(SPACES)))
        new = self.newline.join(lines).removeprefix(indent)
        self._cuts.append((key.start, find_line_end(self.text, last), new))

    def fill_block(self, mapping: Node, pair: Pair, lines: Sequence[str]) -> None:
        """Put `lines` under a key that has no value, null or `{}`; a comment behind it stays there."""
        key, node = pair
        self.replace(mapping, pair, "")
        at = find_line_end(self.text, max(key.end, node.end))
        self._cuts.append((at, at, "".join(self.newline + line for line in lines)))

    def insert_block(
        self, mapping: Node, kept: Sequence[Pair], lines: Sequence[str], *, spaced: bool
    ) -> None:
        """Put `lines` behind the keys of a block mapping that are kept, and behind the comments there.

        `spaced` sets them off by a blank line.
        """
        if not kept:
            start = find_line_start(self.text, mapping.pairs[0][0].start)
            self._cuts.append((start, start, "".join(line + self.newline for line in lines)))
            return
        at = find_comment_end(self.text, _find_end(kept[-1]), len(self.find_indent(mapping)))
        last = kept[-1][1]
        while last.is_block_collection:
            last = last.pairs[-1][1] if last.pairs else last.items[-1]
        is_open = last.style in ("|", ">") and at == last.end
        if is_open and self.text[at : at + 1] not in ("\r", "\n"):
            self.refuse(last, "a line break is missing at the end of the file, within a block of text")
        gap = self.newline if spaced and not is_open else ""  # a blank line would become part of that text
        self._cuts.append((at, at, gap + "".join(self.newline + line for line in lines)))

    def insert_flow(self, mapping: Node, kept: Sequence[Pair], new: str) -> None:
        """Put `new`, one or more pairs, behind the keys of a flow mapping that are kept."""
        if kept:
            at = _find_end(kept[-1])
            # Without the space a plain `key:` would swallow the comma.
            self._cuts.append((at, at, f" , {new}" if kept[-1][1].is_empty else f", {new}"))
        else:
            at = self.text.index("{", mapping.start) + 1
            self._cuts.append((at, at, new))

    def remove_block(self, mapping: Node, removed: Sequence[Pair], *, leaves_nothing: bool) -> None:
        """Take the lines of keys out of a block mapping; `{}` stands there when no key is left."""
        for pair in removed:
            start = find_line_start(self.text, pair[0].start)
            last = find_line_end(self.text, _find_end(pair))
            end = find_next_line(self.text, last)
            if leaves_nothing and pair is removed[0]:
                self._cuts.append((start, last, self.find_indent(mapping) + "{}"))
            elif last == end:
                # The last line of a file without final line break: the break before it goes.
                self._cuts.append((start - (2 if self.text.endswith("\r\n", 0, start) else 1), end, ""))
            else:
                self._cuts.append((start, end, ""))

    def remove_flow(self, mapping: Node, removed: Sequence[Pair], kept: Sequence[Pair]) -> None:
        """Take pairs with their commas out of a flow mapping."""
        pairs = mapping.pairs
        last_kept = pairs.index(kept[-1]) if kept else -1
        for pair, following in pairwise(pairs[: last_kept + 1]):
            if pair in removed:
                self._cuts.append((pair[0].start, following[0].start, ""))
        if last_kept < len(pairs) - 1:
            start = _find_end(kept[-1]) if kept else pairs[0][0].start
            end = _find_end(pairs[-1])
            comma = None if kept else re.compile(r"\s*,").match(self.text, end)
            self._cuts.append((start, comma.end() if comma else end, ""))

    def find_indent(self, mapping: Node) -> str:
        """The spaces before the keys of a block mapping."""
        key = mapping.pairs[0][0]
        indent = self.text[find_line_start(self.text, key.start) : key.start]
        if indent.strip(" ") or "?" in self.text[mapping.start : key.start]:
            self.refuse(key, f"the key `{key.text}` must stand at the beginning of its line, without `?`")
        return indent

    def find_step(self, mapping: Node) -> int:
        """How much deeper the mappings under a block mapping are: as its own, as the file's first, or 2."""
        for node in (mapping, *self._nodes):
            if node.kind is not Kind.MAPPING or node.flow:
                continue
            for _, value in node.pairs:
                if value.kind is Kind.MAPPING and not value.flow:
                    return self._find_column(value) - self._find_column(node)
        return 2

    def _find_column(self, mapping: Node) -> int:
        start = mapping.pairs[0][0].start
        return start - find_line_start(self.text, start)


def _find_end(pair: Pair) -> int:
    return max(pair[0].end, pair[1].end)
