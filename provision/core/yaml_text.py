"""YAML that is only read: safe, no duplicate keys, errors with file, line or key path, and reason."""

from __future__ import annotations

import re
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from provision.core.yaml_errors import (
    CORRECT_HINT,
    QUOTE_HINT,
    build_character_error,
    build_duplicate_error,
    build_syntax_error,
    build_value_error,
)
from provision.errors import BadFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import yaml

T = TypeVar("T")

MAX_DEPTH = 100
_DEPTH_SUSPICIOUS = 5_000

# What int(), float(), date() and PyYAML's own tables raise on `2026-13-45` or `!!bool maybe`: it passes
# them through without a position.
_SCALAR_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)

_TYPE_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
    "date": "a date",
    "datetime": "a time",
}


def safe_loader(*, pure: bool = False) -> type[yaml.SafeLoader]:
    """PyYAML's safe loader: in C where the installed build has it, or the `pure` Python one."""
    import yaml

    loader: type[yaml.SafeLoader] = yaml.SafeLoader if pure else getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return loader


def parse_yaml(text: str, *, where: str, pure: bool = False) -> object:
    """The data of the one YAML 1.1 document in `text`; None when it holds nothing but comments.

    `where` names the file in errors. A byte order mark at the start is allowed. `pure` reads exactly as
    `yaml.safe_load` does: the C parser takes some tabs and refuses some `{a:}` where the Python one does not.
    Raises BadFileError for what is no YAML, unknown tags, duplicate keys and a second document.
    """
    import yaml

    try:
        _check_depth(text, where)
        loader = safe_loader(pure=pure)(text)
        root = loader.get_single_node()
        if root is None:
            return None
        _check_duplicates(root, where)
        return _construct(loader, root, where)
    except (yaml.reader.ReaderError, UnicodeEncodeError):
        raise build_character_error(text, where) from None
    except yaml.MarkedYAMLError as error:
        raise build_syntax_error(error, where) from None
    except RecursionError:
        raise _too_deep(where) from None


def _check_depth(text: str, where: str) -> None:
    """PyYAML's C composer recurses on the C stack: 40 000 open brackets end the process with SIGSEGV."""
    import yaml

    if sum(map(text.count, "[{-?")) < _DEPTH_SUSPICIOUS:
        return
    depth = 0
    for event in yaml.parse(text, Loader=safe_loader()):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _too_deep(where)


def _too_deep(where: str) -> BadFileError:
    return BadFileError(f"{where}: the file is nested deeper than {MAX_DEPTH} levels", hint=CORRECT_HINT)


def _walk(root: yaml.Node) -> Iterator[yaml.Node]:
    """Every node once, in the order of the text; an alias leads to a node that was met before."""
    import yaml

    seen: set[int] = set()
    todo = [root]
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, yaml.MappingNode):
            todo.extend(part for pair in reversed(node.value) for part in reversed(pair))
        elif isinstance(node, yaml.SequenceNode):
            todo.extend(reversed(node.value))


def _check_duplicates(root: yaml.Node, where: str) -> None:
    """Before merge keys are resolved, because an entry may override what `<<` brings in."""
    import yaml

    for mapping in _walk(root):
        if not isinstance(mapping, yaml.MappingNode):
            continue
        lines: dict[tuple[str, str], int] = {}
        for key, _ in mapping.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            if (key.tag, key.value) in lines:
                raise build_duplicate_error(key, lines[key.tag, key.value], where)
            lines[key.tag, key.value] = key.start_mark.line + 1


def _construct(loader: yaml.SafeLoader, root: yaml.Node, where: str) -> object:
    import yaml

    try:
        return loader.construct_document(root)
    except _SCALAR_ERRORS as error:
        for node in _walk(root):
            if isinstance(node, yaml.ScalarNode):
                try:
                    safe_loader()("").construct_object(node)
                except _SCALAR_ERRORS:
                    raise build_value_error(node, where) from None
        raise BadFileError(f"{where}: {error}", hint=CORRECT_HINT) from None


def convert(data: object, type: type[T], *, where: str) -> T:
    """`data` as an instance of `type`, a msgspec Struct or any type that msgspec knows.

    Classes that are made from one text, such as packaging's Version, are made from it. `where` names the
    file. Raises BadFileError `{where}: {key path}: {reason}`, with a path such as `models[2].dtype`.
    """
    try:
        return msgspec.convert(data, type, dec_hook=_from_text)
    except msgspec.ValidationError as error:
        path = _render_path(_find_steps(data, type, str(error)))
        reason = _plain_words(str(error).partition(" - at ")[0])
        hint = QUOTE_HINT if re.fullmatch("must be text, not a .*number", reason) else CORRECT_HINT
        raise BadFileError(": ".join(part for part in (where, path, reason) if part), hint=hint) from None


def _from_text(type: type[Any], value: object) -> object:
    if isinstance(value, str):
        return type(value)
    names = {bool: "bool", int: "int", float: "float", list: "array", dict: "object", NoneType: "null"}
    raise ValueError(f"Expected `str`, got `{names.get(value.__class__, value.__class__.__name__)}`")


def _find_steps(data: Any, type: type[Any], message: str) -> list[str | int]:
    """The keys and indices to the bad value, from msgspec's message with a path such as `$.d[...].b`.

    msgspec does not say which key of a free mapping it was at. It is the one that gives the same message
    when all its siblings are taken away.
    """
    steps: list[str | int] = []
    for field, index in re.findall(r"\.([^.`\[]+)|\[([.\d]+)\]", message.partition(" - at ")[2]):
        if index != "...":
            steps.append(field or int(index))
            continue
        mapping = data
        for step in steps:
            mapping = mapping[step]
        for key in mapping:
            pruned = _replace_at(data, steps, {key: mapping[key]})
            try:
                msgspec.convert(pruned, type, dec_hook=_from_text)
            except msgspec.ValidationError as error:
                if str(error) == message:
                    data = pruned
                    steps.append(key)
                    break
    return steps


def _replace_at(data: Any, steps: list[str | int], value: object) -> object:
    if not steps:
        return value
    copy = data.copy()
    copy[steps[0]] = _replace_at(data[steps[0]], steps[1:], value)
    return copy


def _render_path(steps: list[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def _plain_words(reason: str) -> str:
    """msgspec's reason in words for somebody who writes YAML."""
    if match := re.fullmatch("Object missing required field `(.*)`", reason):
        return f"the key `{match[1]}` is missing"
    if match := re.fullmatch("Object contains unknown field `(.*)`", reason):
        return f"the key `{match[1]}` is not known"
    if match := re.fullmatch("Invalid enum value (.*)", reason):
        return f"the value {match[1]} is not one of those allowed"
    if not reason.startswith("Expected "):
        return reason

    def words(match: re.Match[str]) -> str:
        return " or ".join(_TYPE_WORDS.get(name, name) for name in match[1].split(" | "))

    return re.sub("`(.*?)`", words, reason).replace("Expected ", "must be ").replace(", got ", ", not ")
