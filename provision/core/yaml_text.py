"""YAML that is only read: safe, no duplicate keys, errors with file, line or key path, and reason."""

from __future__ import annotations

import re
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from provision.errors import BadFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import yaml

T = TypeVar("T")

MAX_DEPTH = 100
_DEPTH_SUSPICIOUS = 5_000

_HINT = "correct that place in the file and run the command again"
_QUOTE_HINT = "put the value in quotes, so that YAML reads it as text"

# The parser's words that need another sentence; the others are clear enough as they come.
_REASONS = {
    "but found another document": "a second document begins here, and only one is allowed",
    "found a tab character that violates indentation": "a tab is used for indentation, YAML wants spaces",
    "found undefined alias": "this alias names an anchor that does not stand before it",
    "second occurrence": "this anchor is defined a second time",
    "found character that cannot start any token": "no value can begin with this character, put it in quotes",
}

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


def safe_loader() -> type[yaml.SafeLoader]:
    """PyYAML's safe loader, in C where the installed build has it: the same marks, many times faster."""
    import yaml

    loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return loader


def parse_yaml(text: str, *, where: str) -> object:
    """The data of the one YAML 1.1 document in `text`; None when it holds nothing but comments.

    `where` names the file in errors. A byte order mark at the start is allowed.
    Raises BadFileError for what is no YAML, unknown tags, duplicate keys and a second document.
    """
    import yaml

    try:
        _check_depth(text, where)
        loader = safe_loader()(text)
        root = loader.get_single_node()
        if root is None:
            return None
        _check_duplicates(root, where)
        return _construct(loader, root, where)
    except (yaml.reader.ReaderError, UnicodeEncodeError):
        raise _unprintable(text, where) from None
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, where) from None


def _check_depth(text: str, where: str) -> None:
    """PyYAML's C composer recurses on the C stack: 40 000 open brackets end the process with SIGSEGV."""
    import yaml

    if sum(map(text.count, "[{-?")) < _DEPTH_SUSPICIOUS:
        return
    depth = 0
    for event in yaml.parse(text, Loader=safe_loader()):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise BadFileError(f"{where}: the file is nested deeper than {MAX_DEPTH} levels", hint=_HINT)


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
        first: dict[tuple[str, str], int] = {}
        for key, _ in mapping.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            line = key.start_mark.line + 1
            if (key.tag, key.value) in first:
                earlier = first[key.tag, key.value]
                message = f"{where}, line {line}: the key `{key.value}` stands twice, first in line {earlier}"
                raise BadFileError(message, hint="keep one of the two and run the command again")
            first[key.tag, key.value] = line


def _construct(loader: yaml.SafeLoader, root: yaml.Node, where: str) -> object:
    import yaml

    try:
        return loader.construct_document(root)
    except _SCALAR_ERRORS as error:
        for node in _walk(root):
            if not isinstance(node, yaml.ScalarNode):
                continue
            try:
                safe_loader()("").construct_object(node)
            except _SCALAR_ERRORS:
                kind = node.tag.rpartition(":")[2]
                line = node.start_mark.line + 1
                message = f"{where}, line {line}: `{node.value}` looks like a {kind} but is none"
                raise BadFileError(message, hint=_QUOTE_HINT) from None
        raise BadFileError(f"{where}: {error}", hint=_HINT) from None


def _syntax_error(error: yaml.MarkedYAMLError, where: str) -> BadFileError:
    mark = error.problem_mark or error.context_mark
    place = f"{where}, line {mark.line + 1}" if mark else where
    problem = error.problem or "this is not valid YAML"
    reason = _REASONS.get(problem)
    if reason is None:
        reason = problem
        begin = error.context_mark
        if error.context and error.context.startswith("while") and begin and mark and begin.line != mark.line:
            # The line that is wrong is often the one where an open bracket or quote stands.
            reason += f", {error.context} that begins in line {begin.line + 1}"
    return BadFileError(f"{place}: {reason}", hint=_HINT)


def _unprintable(text: str, where: str) -> BadFileError:
    from yaml.reader import Reader

    match = Reader.NON_PRINTABLE.search(text)
    if match is None:
        return BadFileError(f"{where}: the file holds a character that YAML does not allow", hint=_HINT)
    line = len(re.findall("\r\n|[\r\n]", text[: match.start()])) + 1
    code = f"U+{ord(match[0]):04X}"
    return BadFileError(f"{where}, line {line}: the character {code} is not allowed in YAML", hint=_HINT)


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
        hint = _QUOTE_HINT if re.fullmatch("must be text, not a .*number", reason) else _HINT
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
