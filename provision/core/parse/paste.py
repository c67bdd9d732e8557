"""Text as people send it: what a terminal, a log collector or a forum added is taken off again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from msgspec import Struct

from provision.core.parse.json_text import parse_json
from provision.model.facts import ConditionId

# Characters. No output of a program that is known here is longer; what lies behind is not looked at.
_TEXT_LIMIT = 2 * 1024 * 1024
_LINE_LIMIT = 4000
_LINE_COUNT = 50_000
# Of the lines that are not blank, this share must bear a prefix for it to be taken off.
_SHARE = 0.8
_ANSI = re.compile(r"\x1b(?:\[[0-9;?]{0,20}[ -/]?[@-~]|\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)?|[@-Z\\^_=>])")
_INVISIBLE = dict.fromkeys(map(ord, "\ufeff\u200b\u200c\u200d\u2060\x00\x08\x07"))
_FENCE = re.compile(r"\s{0,8}(?:>\s?)?(?:```|~~~)[\w.+-]{0,20}\s*|\s{0,8}</?(?:pre|code|details|summary)>\s*")
_COMMENT = re.compile(r"\s{0,40}(#|//|;|--|REM\b|%|\*)(?!\1) ?")
_QUOTE = re.compile(r"\s{0,3}> ?")
# `app-1  | `, `web: `, `[pod/name] `: what docker compose, pdsh and kubectl set before each line.
_ORIGIN = re.compile(r"(?:[A-Za-z][\w./-]{0,80} {0,40}\| ?|[a-z][\w.-]{0,60}: |\[[\w./ -]{1,100}\] )")
_STAMP = re.compile(
    r"\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?\]?"
    r"(?: (?:stdout|stderr) [FP])?(?: |$)"
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [\w.-]{1,64} [\w./-]{1,64}(?:\[\d{1,8}\])?: ?"
)
_NUMBER = re.compile(r"\s{0,6}(\d{1,5})[:.|)]?(?:[ \t]|$)")
# Keys under which log collectors keep the line that they wrapped.
_LINE_KEYS = ("log", "message", "msg", "MESSAGE", "text", "line", "output", "stdout", "content")


class CleanText(Struct, frozen=True, kw_only=True):
    """The text alone, with newlines as line ends, and what was to be said of its form."""

    text: str
    conditions: tuple[ConditionId, ...] = ()


def clean_paste(text: str) -> CleanText:
    """Colours, invisible characters, fences, quote signs, comment signs, stamps and indentation are taken off."""
    plain = _ANSI.sub("", text[:_TEXT_LIMIT].translate(_INVISIBLE)).replace("\xa0", " ")
    split = plain.replace("\r\n", "\n").replace("\r", "\n").split("\n", _LINE_COUNT)
    lines = [line[:_LINE_LIMIT] for line in split[:_LINE_COUNT] if not _FENCE.fullmatch(line[:_LINE_LIMIT])]
    too_long = len(text) > _TEXT_LIMIT or len(split) > _LINE_COUNT
    found: list[ConditionId] = [ConditionId.TRUNCATED] if too_long else []
    for _ in range(3):
        stripped, condition = _strip_prefix(lines)
        if stripped is None:
            break
        lines = stripped
        if condition is not None and condition not in found:
            found.append(condition)
    lines, indented = _dedent(lines)
    if indented:
        found.append(ConditionId.INDENTED_PASTE)
    return CleanText(text="\n".join(lines), conditions=tuple(found))


def unwrap_json(text: str) -> str | None:
    """The texts in a JSON document, in JSON lines of a log collector or in one escaped line; None for others."""
    stripped = text.strip()
    if stripped[:1] in {"{", "[", '"'}:
        whole = parse_json(stripped, object)
        if whole is not None:
            return "\n".join(_list_strings(whole)) or None
        lines = [_unwrap_line(line) for line in stripped.split("\n")]
        if any(line is not None for line in lines):
            return "\n".join(line.rstrip("\r\n") for line in lines if line is not None)
    if "\\n" in stripped:
        return stripped.replace("\\r", "").replace("\\n", "\n").replace("\\t", "\t").replace('\\"', '"')
    return None


def _strip_prefix(lines: Sequence[str]) -> tuple[list[str] | None, ConditionId | None]:
    """The lines without the prefix that nearly all of them bear, None when they bear none."""
    filled = [line for line in lines if line.strip()]
    if not filled:
        return None, None
    if _is_numbered(filled):
        return [_NUMBER.sub("", line, count=1) for line in lines], None
    for pattern, same, condition in (
        (_COMMENT, True, ConditionId.COMMENT_PREFIXED_PASTE),
        (_QUOTE, False, None),
        (_STAMP, False, None),
        (_ORIGIN, True, None),
    ):
        matches = [
            match[1] if pattern.groups else match[0] for line in filled if (match := pattern.match(line))
        ]
        if pattern is _ORIGIN and len(filled) < 3:
            continue
        usual = Counter(matches).most_common(1)[0] if matches else ("", 0)
        if (usual[1] if same else len(matches)) >= _SHARE * len(filled) > 0:
            return [_cut(pattern, line, usual[0] if same else None) for line in lines], condition
    return None, None


def _is_numbered(lines: Sequence[str]) -> bool:
    """Whether each line bears the number after the one before it, as `cat -n` and code viewers give them."""
    numbers = [int(match[1]) for line in lines if (match := _NUMBER.match(line))]
    steps = sum(after == before + 1 for before, after in pairwise(numbers))
    return len(lines) > 3 and steps >= _SHARE * (len(lines) - 1)


def _cut(pattern: re.Pattern[str], line: str, wanted: str | None) -> str:
    match = pattern.match(line)
    if match is None or (wanted is not None and wanted not in match[0]):
        return line
    return line[match.end() :]


def _dedent(lines: Sequence[str]) -> tuple[list[str], bool]:
    """Without the indentation that all lines share. A table's first line may have lost its own to the copying."""
    filled = [line for line in lines if line.strip()]
    rest = filled[1:] if filled and filled[0].startswith(("+-", "| ")) else filled
    depth = min((len(line) - len(line.lstrip(" ")) for line in rest), default=0)
    if len(filled) < 3 or depth < 2:
        return list(lines), False
    return [line[depth:] if line[:depth].isspace() else line.lstrip(" ") for line in lines], True


def _list_strings(value: object) -> Iterator[str]:
    """Every text in a document, in its order, without recursion."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            pending.extend(reversed(item.values()))
        elif isinstance(item, list):
            pending.extend(reversed(item))


def _unwrap_line(line: str) -> str | None:
    if not line.startswith("{"):
        return None
    document = parse_json(line, dict[str, object])
    values = (document.get(key) for key in _LINE_KEYS) if document else ()
    return next((value for value in values if isinstance(value, str)), None)
