"""Every command that a message of ours tells the user to run exists, with the options that it names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from provision.cli.main import COMMANDS, cli

ROOT = Path(__file__).parents[2]
# A command as somebody would type it: at the start of a text, or after what leads to one.
_COMMAND = re.compile(
    r"(?:^|[:;,(`&\n] ?|\bor |\bthen |\b(?:run|with) |sh: )provision ([a-z][a-z-]*)([^\n`;#]*)"
)
_OPTION = re.compile(r"(?<![\w-])(--?[a-z][a-z-]*)")
# Where the name of this tool begins a sentence.
_PROSE = {"itself", "is", "has", "was", "inside", "runs", "made", "wrote"}
_NO_OPTIONS = {"--help", "-h"}


def list_texts(source: str) -> Iterator[tuple[int, str]]:
    """Every text in the code but docstrings, with its line; what is put into one reads X."""
    tree = ast.parse(source)
    documents = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    parts = {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)
    } - {id(node) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield (
                node.lineno,
                "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values),
            )
        elif isinstance(node, ast.Constant) and id(node) not in documents | parts:
            yield node.lineno, node.value if isinstance(node.value, str) else ""


def list_options(command: click.Command) -> set[str]:
    return {
        name
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in (*parameter.opts, *parameter.secondary_opts)
    } | _NO_OPTIONS


def find_fault(name: str, rest: str) -> str | None:
    """Why nobody can type this, or None."""
    command = cli.get_command(click.Context(cli), name)
    if command is None:
        return None if name in _PROSE else f"there is no `provision {name}`"
    # What follows a sentence's end or another command is not of this one.
    own = re.split(r"  |\. |, | && | or | and | \(", rest)[0]
    missing = sorted(set(_OPTION.findall(own)) - list_options(command))
    return f"`provision {name}` has no {', '.join(missing)}" if missing else None


def list_faults(source: str) -> list[str]:
    return [
        f"line {line}: {fault}"
        for line, text in list_texts(source)
        for name, rest in _COMMAND.findall(text)
        if (fault := find_fault(name, rest)) is not None
    ]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "provision").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_what_the_code_tells_to_run_exists(path: Path) -> None:
    assert list_faults(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", sorted((ROOT / "profiles").rglob("*.yaml")), ids=lambda path: path.name)
def test_what_the_data_tells_to_run_exists(path: Path) -> None:
    # As one text: YAML's quotes and dashes are as good as the start of a line.
    lines = re.sub(r"(?m)^[\s\-\"'>|]*|: [\"']?(?=provision )", "\n", path.read_text(encoding="utf-8"))
    faults = [find_fault(name, rest) for name, rest in _COMMAND.findall(lines)]
    assert [fault for fault in faults if fault] == []


@pytest.mark.parametrize(
    ("code", "faults"),
    [
        ('hint = "provision prefetch"', ["line 1: there is no `provision prefetch`"]),
        (
            'say("no files: provision prefetch, then provision lock")',
            ["line 1: there is no `provision prefetch`"],
        ),
        ('hint = f"provision apply {x} --fast -m {y}"', ["line 1: `provision apply` has no --fast"]),
        ('hint = "provision plan   # --not-an-option is prose"', []),
        ('"""provision nothing"""', []),
        ('hint = "provision lock --check"', []),
        ('say("provision itself is not packed")', []),
    ],
)
def test_the_search_finds_what_it_should(code: str, faults: list[str]) -> None:
    assert list_faults(code) == faults


def test_every_command_is_looked_at() -> None:
    assert all(cli.get_command(click.Context(cli), name) for name in COMMANDS)
