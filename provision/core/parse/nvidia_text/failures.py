"""What `nvidia-smi` and shells print when there is no answer."""

from __future__ import annotations

import re

from provision.core.parse.nvidia_smi_failures import UNKNOWN_FIELD, find_failure
from provision.core.parse.nvidia_text.answers import build_all
from provision.core.parse.source_report import SourceReport
from provision.model.facts import Condition, ConditionId

_LINE_LIMIT = 1000
_PROGRAM = re.compile(r"nvidia-smi(?:\.exe)?", re.IGNORECASE)
# `bash: nvidia-smi: ` with whatever that language says then, unless the file is there.
_SHELL = re.compile(
    r"(?:^|[\s$#>])-?(?:[\w./-]{0,60}/)?(?:bash|sh|zsh|dash|ksh|ash|fish|sudo|env|nohup|timeout|time|xargs|[\w.-]{1,40}\.sh)"
    r"(?:: \S{1,12} ?\d{1,6}|: \d{1,6})?: \W?nvidia-smi\W?: \S"
)
_THERE = re.compile(r"ermission denied|annot execute|nput/output error|xec format", re.IGNORECASE)
# The words for "not found" behind or before the program's name, as shells and loaders have them.
_NOT_FOUND = (
    "command not found: nvidia-smi",
    "Unknown command: nvidia-smi",
    "Unknown command 'nvidia-smi'",
    "nvidia-smi: not found",
    "nvidia-smi: command not found",
    "nvidia-smi: No such file or directory",
    "No such file or directory: 'nvidia-smi'",
    'exec: "nvidia-smi"',
    "no nvidia-smi in (",
    "Command 'nvidia-smi' not found",
    "nvidia-smi not found",
    "nvidia-smi: applet not found",
)
# cmd.exe, by the words for "internal" and "external" of a command.
_CMD = re.compile(
    r"internal or external command|commande interne|comando interno"
    r"|entweder falsch geschrieben|внутренней или внешней|内部或外部命令|內部或外部命令|内部コマンドまたは外部"
    r"|내부 또는 외부|polecenie wewn|intern of externe opdracht|belső vagy külső|ya da d.{1,2} komut|internt kommando"
    r"|vnitřním ani vnějším|interní ani externí"
)
_POWERSHELL = re.compile(
    r"cmdlet|CommandNotFoundException|コマンドレット|командлет|applet de comando|applet de commande",
    re.IGNORECASE,
)
# In WSL the program speaks twice: microsoft/WSL#9134 and #9640.
_WSL = re.compile(
    r"Failed to properly shut down NVML: Driver Not Loaded|GPU access blocked by the operating system"
)
_NO_TCC = "there is not at least one TCC device"


def is_failure(text: str) -> bool:
    """Whether one of the sentences is there."""
    return bool(find_failure(text) or UNKNOWN_FIELD.search(text) or _NO_TCC in text or _find_missing(text))


def parse_failure(text: str) -> SourceReport:
    """The condition that the first known sentence is, beside `error`. Not found is no sign of any maker."""
    missing = _find_missing(text)
    known = find_failure(text)
    field = UNKNOWN_FIELD.search(text)
    ids: list[ConditionId] = [ConditionId.ERROR]
    found: list[Condition] = [known] if known else []
    if field and field[1] == "compute_cap":
        ids.append(ConditionId.COMPUTE_CAP_FIELD_INVALID)
    if missing:
        ids.append(ConditionId.NVIDIA_SMI_NOT_FOUND)
    wsl = _WSL.search(text) is not None
    if wsl:
        ids.append(ConditionId.WSL)
    windows = missing == "Windows" or _NO_TCC in text
    return SourceReport(
        conditions=(*found, *build_all(ids)),
        nvidia=bool(known or field) or _NO_TCC in text,
        system="Windows" if windows else "Linux" if wsl else None,
    )


def _find_missing(text: str) -> str | None:
    """ "Windows" where its shells miss the program, "other" where another one does, None where none does."""
    for raw in text.split("\n"):
        line = raw[:_LINE_LIMIT]
        if not _PROGRAM.search(line):
            continue
        if _CMD.search(line) or _POWERSHELL.search(line):
            return "Windows"
        if any(words in line for words in _NOT_FOUND) or (_SHELL.search(line) and not _THERE.search(line)):
            return "other"
    return None
