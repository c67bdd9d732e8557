"""What PyYAML objects to, as one sentence with file and line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provision.errors import BadFileError

if TYPE_CHECKING:
    import yaml

CORRECT_HINT = "correct that place in the file and run the command again"
QUOTE_HINT = "put the value in quotes, so that YAML reads it as text"

# Problems that need other words, by their beginning: the C parser and the Python one end them differently.
# All others are clear enough as they come.
_REASONS = {
    "but found another document": "a second document begins here, and only one is allowed",
    "found a tab character that violates indentation": "a tab is used for indentation, YAML wants spaces",
    "found character '\\t' that cannot start any token": "a tab is used for indentation, YAML wants spaces",
    "found character": "no value can begin with this character, put it in quotes",
    "found undefined alias": "this alias names an anchor that does not stand before it",
    "second occurrence": "this anchor is defined a second time",
}


def build_syntax_error(error: yaml.MarkedYAMLError, where: str) -> BadFileError:
    """The error for text that is not valid YAML; `where` names the file."""
    mark = error.problem_mark or error.context_mark
    place = f"{where}, line {mark.line + 1}" if mark else where
    problem = error.problem or "this is not valid YAML"
    for beginning, reason in _REASONS.items():
        if problem.startswith(beginning):
            return BadFileError(f"{place}: {reason}", hint=CORRECT_HINT)
    begin = error.context_mark
    if error.context and error.context.startswith("while") and begin and mark and begin.line != mark.line:
        # The line at fault is often the one with a bracket or quote that nothing closes.
        problem += f", {error.context} that begins in line {begin.line + 1}"
    return BadFileError(f"{place}: {problem}", hint=CORRECT_HINT)


def build_character_error(text: str, where: str) -> BadFileError:
    """The error for text with a control character or half a surrogate pair, which no YAML may hold."""
    from yaml.reader import Reader

    match = Reader.NON_PRINTABLE.search(text)
    if match is None:
        return BadFileError(f"{where}: a character is not allowed in YAML", hint=CORRECT_HINT)
    line = len(re.findall("\r\n|[\r\n]", text[: match.start()])) + 1
    reason = f"the character U+{ord(match[0]):04X} is not allowed in YAML"
    return BadFileError(f"{where}, line {line}: {reason}", hint=CORRECT_HINT)


def build_value_error(node: yaml.ScalarNode, where: str) -> BadFileError:
    """The error for a value that looks like a date or number and is none, such as `2026-13-45`."""
    kind = node.tag.rpartition(":")[2]
    message = f"{where}, line {node.start_mark.line + 1}: `{node.value}` is no valid {kind}"
    return BadFileError(message, hint=QUOTE_HINT)


def build_duplicate_error(key: yaml.ScalarNode, first_line: int, where: str) -> BadFileError:
    """The error for a key that stands twice in one mapping; YAML readers keep only one of them."""
    message = f"{where}, line {key.start_mark.line + 1}: the key `{key.value}` stands twice"
    hint = f"it stands in line {first_line} already; keep one of the two and run the command again"
    return BadFileError(message, hint=hint)
