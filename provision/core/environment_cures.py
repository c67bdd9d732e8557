"""The commands that mend an environment, written for the system that it is on."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from provision.model.environment import EnvironmentReport
from provision.model.facts import Host

# uv's own names, from `uv pip install --help` of uv 0.13.9.
_BACKENDS = frozenset(
    """cpu cu132 cu130 cu129 cu128 cu126 cu125 cu124 cu123 cu122 cu121 cu120 cu118
    rocm7.2 rocm7.1 rocm7.0 rocm6.4 rocm6.3 rocm6.2.4 rocm6.2 rocm6.1 xpu""".split()  # noqa: SIM905
)
# Of a stack that this tool built; the doctor completes it.
REBUILD = "provision apply auto"


def build_pip_cure(report: EnvironmentReport, host: Host, *calls: Sequence[str]) -> str:
    """Calls of `uv pip`, each with its arguments, on this environment. A stack of ours is built again instead."""
    if report.managed:
        return REBUILD
    python = report.interpreter.path if report.interpreter else report.prefix
    return " && ".join(
        " ".join(["uv", "pip", call[0], "--python", *(_quote(word, host) for word in (python, *call[1:]))])
        for call in calls
    )


def build_reinstall_cure(report: EnvironmentReport, host: Host, pins: Iterable[str]) -> str:
    """Install `pins`, such as `torch==2.11.0`, over what is there, and nothing else."""
    return build_pip_cure(report, host, ["install", "--reinstall", "--no-deps", *pins])


def build_recreate_cure(report: EnvironmentReport, host: Host) -> str:
    """Make the environment's interpreter anew over what is installed."""
    if report.managed:
        return REBUILD
    minor = (report.interpreter.minor if report.interpreter else None) or "3.12"
    return f"uv venv --allow-existing --python {minor} {_quote(report.prefix, host)}"


def build_removal_cure(report: EnvironmentReport, host: Host, relative: str) -> str:
    """Remove a folder of the environment."""
    if report.managed:
        return REBUILD
    command = "Remove-Item -Recurse" if host.system == "Windows" else "rm -r"
    return f"{command} {_quote(f'{report.prefix}/{relative}', host)}"


def choose_backend(label: str | None) -> str:
    """uv's `--torch-backend` for a torch labelled `cu130`; `auto`, which asks the driver, where it has none."""
    return label if label in _BACKENDS else "auto"


def list_some(items: Sequence[str], *, shown: int = 3) -> str:
    """`a, b, c and 4 more`."""
    rest = len(items) - shown
    return ", ".join(items[:shown]) + (f" and {rest} more" if rest > 0 else "")


def _quote(word: str, host: Host) -> str:
    if host.system != "Windows":
        return shlex.quote(word)
    plain = all(character.isalnum() or character in "\\/:._-+=" for character in word)
    return word if plain and word else f'"{word}"'
