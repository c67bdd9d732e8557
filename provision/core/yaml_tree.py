"""Where each key and value of a YAML text stands: the positions that its parser reports, and no data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import Any

from msgspec import Struct, field

from provision.core.yaml_text import MAX_DEPTH, safe_loader
from provision.errors import BadFileError

SPACES = " \t\r\n\x85\u2028\u2029"
# YAML 1.1, and with it PyYAML, breaks lines at more than CR and LF.
_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")


class Kind(Enum):
    """What a node is. An alias is told from what it stands for: writing to it would write to both."""

    SCALAR = auto()
    MAPPING = auto()
    SEQUENCE = auto()
    ALIAS = auto()


class Node(Struct, kw_only=True, eq=False):
    """One node. `start` and `end` are offsets in characters, `line` counts from 1.

    `start` includes an anchor and a tag. `end` of a block collection is the end of its last value, so that
    comments and blank lines after it are outside; `end` of a block scalar is before its last line break.
    `style` of a scalar is its quote, `|`, `>` or "" for plain; `text` its content, or the name of an alias.
    """

    kind: Kind
    start: int
    end: int
    line: int
    anchor: str | None = None
    style: str = ""
    flow: bool = False
    text: str = ""
    pairs: list[tuple[Node, Node]] = field(default_factory=list)
    items: list[Node] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Nothing is written: the value of `key:` with nothing after it."""
        return self.start == self.end

    @property
    def is_block_collection(self) -> bool:
        """A mapping or sequence that is written by indentation, not in brackets."""
        return self.kind in (Kind.MAPPING, Kind.SEQUENCE) and not self.flow

    def find(self, key: str) -> tuple[Node, Node] | None:
        """The key and the value called `key`, for a mapping; merge keys are not followed."""
        for name, value in self.pairs:
            if name.kind is Kind.SCALAR and name.text == key:
                return name, value
        return None

    def walk(self) -> Iterator[Node]:
        """This node and all below it, in the order of the text."""
        yield self
        for key, value in self.pairs:
            yield from key.walk()
            yield from value.walk()
        for item in self.items:
            yield from item.walk()


def parse_tree(text: str, *, where: str) -> Node | None:
    """The root of the document in `text`, valid for `parse_yaml(pure=True)` and without byte order mark.

    Raises BadFileError for a depth of more than MAX_DEPTH.
    """
    import yaml

    events = yaml.parse(text, Loader=safe_loader(pure=True))
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            return _build(next(events), events, text, where, depth=0)
    return None


def _build(event: Any, events: Iterator[Any], text: str, where: str, depth: int) -> Node:
    import yaml

    start, line = _find_offset(event.start_mark), event.start_mark.line + 1
    node = Node(kind=Kind.SCALAR, start=start, end=_find_offset(event.end_mark), line=line)
    if depth > MAX_DEPTH:
        reason = f"the file is nested deeper than {MAX_DEPTH} levels"
        raise BadFileError(f"{where}, line {node.line}: {reason}", hint="write it with fewer levels")
    match event:
        case yaml.ScalarEvent():
            node.anchor, node.style, node.text = event.anchor, event.style or "", event.value
            if node.style in ("|", ">"):
                node.end = _before_last_break(text, node.start, node.end)
        case yaml.AliasEvent():
            node.kind, node.text = Kind.ALIAS, event.anchor or ""
        case yaml.MappingStartEvent():
            node.kind, node.anchor, node.flow = Kind.MAPPING, event.anchor, bool(event.flow_style)
            while not isinstance(event := next(events), yaml.MappingEndEvent):
                key = _build(event, events, text, where, depth + 1)
                node.pairs.append((key, _build(next(events), events, text, where, depth + 1)))
            last = _find_offset(event.end_mark)
            node.end = last if node.flow else max(part.end for part in node.pairs[-1])
        case yaml.SequenceStartEvent():
            node.kind, node.anchor, node.flow = Kind.SEQUENCE, event.anchor, bool(event.flow_style)
            while not isinstance(event := next(events), yaml.SequenceEndEvent):
                node.items.append(_build(event, events, text, where, depth + 1))
            node.end = _find_offset(event.end_mark) if node.flow else node.items[-1].end
    return node


def _find_offset(mark: Any) -> int:
    # The type stubs make marks optional; those of a parsed text are all there.
    return int(mark.index)


def has_comment(text: str, pair: tuple[Node, Node]) -> bool:
    """Whether a comment stands between the beginning of a key and the end of the last line of its value."""
    key, value = pair
    at = key.start
    gaps = []
    for leaf in (key, *value.walk()):
        if leaf.kind in (Kind.SCALAR, Kind.ALIAS):
            gaps.append(text[at : leaf.start])
            at = leaf.end
    return any("#" in gap for gap in (*gaps, text[at : find_line_end(text, value.end)]))


def _before_last_break(text: str, start: int, end: int) -> int:
    match = re.search(f"(?:{_BREAK.pattern})\\Z", text[start:end])
    return start + match.start() if match else end


def find_line_start(text: str, offset: int) -> int:
    """The offset of the first character of the line that `offset` is in."""
    return max(text.rfind(character, 0, offset) for character in "\r\n\x85\u2028\u2029") + 1


def find_line_end(text: str, offset: int) -> int:
    """The offset of the line break that ends the line, or of the end of the text."""
    match = _BREAK.search(text, offset)
    return match.start() if match else len(text)


def find_next_line(text: str, offset: int) -> int:
    """The offset behind the line break that ends the line, or of the end of the text."""
    match = _BREAK.search(text, offset)
    return match.end() if match else len(text)


def find_newline(text: str) -> str:
    """The line break of editors that the text uses first; a line feed when it has none."""
    match = re.search("\r\n|[\r\n]", text)
    return match[0] if match else "\n"


def find_comment_end(text: str, offset: int, column: int) -> int:
    """The end of the line of `offset`, or of the last comment line behind it that is indented by `column`."""
    end = find_line_end(text, offset)
    line_break = _BREAK.pattern
    comment = re.compile(f"(?:(?:{line_break})[ \t]*)*(?:{line_break})([ \t]*)#[^\r\n\x85\u2028\u2029]*")
    while (match := comment.match(text, end)) and len(match[1]) >= column:
        end = match.end()
    return end
