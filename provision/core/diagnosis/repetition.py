"""Text that comes again and again, as a model writes it that does not find its end."""

from __future__ import annotations

import re
from collections.abc import Sequence

# A passage of up to so many lines, so often in a row, and so many characters of it at least.
_LONGEST_PERIOD = 3
_LEAST_TIMES = 6
_LEAST_LENGTH = 12
# The last ones: they end the log, and a sign tries each.
_KEPT_RUNS = 24
# Programs repeat themselves too, in records, warnings, retries, stack frames and bars: not in a model's words.
_MACHINE_MADE = re.compile(
    r"\d:\d\d|\d%|\bit/s|[#=*_~█━-]{4}|[|{}=]|->|\bat 0x|^\W*$|^File |^at |^\[|^<?\d|://|\w\.\w+\(|\w_\w|\.py\b",
    re.IGNORECASE,
)
_MACHINE_WORDS = re.compile(
    r"\b(?:error|warn(?:ing)?|info|debug|trace|notice|fatal|critical|exception|fail(?:ed|ure|s)?|retry(?:ing)?"
    r"|reconnect\w*|timeout|timed out|could not|cannot|unable|refused|denied|waiting|download\w*|loading|connect\w*"
    r"|setting|skip\w*|using|ignor\w+|deprecated|start(?:ed|ing)|stopp\w+|killed|passed|ok|done|test"
    r"|no such file|not found|[A-Z]\w{2,40}(?:Error|Exception)|\w+\.(?:so|dll|py|c|cc|cpp|cu|h))\b",
    re.IGNORECASE,
)

# Within one line: so long a passage at most, so often up to the line's end, and so many characters of it.
_LONGEST_PASSAGE = 80
_LEAST_TIMES_IN_LINE = 8
_LEAST_RUN = 60
_CLOSING = "\"'}]), .\\n"
_VALUES = re.compile(r"\b(?:nan|none|null|true|false|inf|0x\w+)\b|\\x|[#=*~|]", re.IGNORECASE)


def find_repeats(lines: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """First and last index of each run of lines in which a passage of plain words repeats itself."""
    found = [(index, index) for index, line in enumerate(lines) if _repeats_to_its_end(line)]
    for period in range(1, _LONGEST_PERIOD + 1):
        start = 0
        for index in range(period, len(lines) + 1):
            if index < len(lines) and lines[index] == lines[index - period]:
                continue
            if index - start >= period * _LEAST_TIMES and _is_plain(lines[start : start + period]):
                found.append((start, index - 1))
            start = index - period + 1
    # A run of one line is one of two lines too: the longest of those that begin together or lie in each other.
    kept: list[tuple[int, int]] = []
    for run in sorted(set(found), key=lambda run: (run[0], -run[1])):
        if not kept or run[1] > kept[-1][1]:
            kept.append(run)
    return tuple(kept[-_KEPT_RUNS:])


def _is_plain(passage: Sequence[str]) -> bool:
    text = " ".join(passage)
    return (
        len(text) >= _LEAST_LENGTH
        and len(text.split()) >= 3
        and any(" " in line for line in passage)
        and not any(_MACHINE_MADE.search(line[:400]) or _MACHINE_WORDS.search(line[:400]) for line in passage)
    )


def _repeats_to_its_end(line: str) -> bool:
    if len(line) < _LEAST_RUN:
        return False
    end = line[-_LONGEST_PASSAGE * _LEAST_TIMES_IN_LINE - 20 :].rstrip(_CLOSING)
    for length in range(2, _LONGEST_PASSAGE + 1):
        # The last character first: that settles most lengths.
        if end[-1:] != end[-1 - length : -length]:
            continue
        times = max(_LEAST_TIMES_IN_LINE, -(-_LEAST_RUN // length))
        passage = end[-length:]
        if end.endswith(passage * times):
            words = " " in passage and any(map(str.isalpha, passage))
            return words and not (_VALUES.search(passage * 3) or _MACHINE_WORDS.search(passage * 3))
    return False
