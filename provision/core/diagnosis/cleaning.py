"""Log text without what terminals, containers and collectors put around it."""

from __future__ import annotations

import re

# Colours, cursor movements, window titles: https://en.wikipedia.org/wiki/ANSI_escape_code
_ANSI = re.compile(r"\x1b(?:\[[0-?]{0,32}[ -/]{0,8}[@-~]|\][^\x07\x1b]{0,256}(?:\x07|\x1b\\)?|[@-Z\\-_])")
_PUNCTUATION = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " ", "\ufeff": None, "\0": None}
)
_JSON_LINE = re.compile(r'^\W{0,8}\{\s{0,8}"|"(?:log|message|msg|text|textPayload|line)"\s?:\s?"')
_ESCAPES = {"\\n": "\n", "\\r": "\r", "\\t": "\t", '\\"': '"', "\\\\": "\\", "\\/": "/"}
_ESCAPE = re.compile(r'\\(?:[nrt"\\/]|u[0-9a-fA-F]{4})')


def clean_line(line: str) -> str:
    """One line as a person would read it: no escapes of terminals, plain quotes, JSON strings unfolded."""
    if "\x1b" in line:
        line = _ANSI.sub("", line)
    if not line.isascii() or "\0" in line:
        line = line.translate(_PUNCTUATION)
    if "\\" in line and _JSON_LINE.search(line[:400]):
        line = _ESCAPE.sub(_unescape, line)
    return line


def decode_log(data: bytes) -> str:
    """Text of a log: UTF-16 where a mark or the zeros of its bytes say so, as PowerShell writes it, else UTF-8.

    What cannot be decoded is replaced. A console's code page cannot be told from a text, and the messages
    that matter are ASCII in all of them.
    """
    head = data[:4096]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    odd, even = head[1::2].count(0), head[::2].count(0)
    if len(head) >= 8 and max(odd, even) > len(head) // 4:
        return data.decode("utf-16-le" if odd > even else "utf-16-be", errors="replace")
    return data.decode("utf-8", errors="replace")


def _unescape(match: re.Match[str]) -> str:
    found = match[0]
    return chr(int(found[2:], 16)) if found[1] == "u" else _ESCAPES[found]
