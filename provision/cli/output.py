"""What reaches the terminal: data on stdout, everything else on stderr, one JSON envelope when asked."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec
from msgspec import Struct

from provision.errors import ExitCode, ProvisionError, ToolError
from provision.model.finding import Finding

if TYPE_CHECKING:
    from rich.console import Console

    from provision.model.failure import Cause

SCHEMA = 1
_FILE_WIDTH = 200
_LAST_LINES = 12
_LOGIN = re.compile(r"://[^/@\s]+@")


class ErrorLine(Struct, frozen=True, kw_only=True):
    """An error as the envelope carries it.

    `output` is the end of what a failed program said, `causes` what that is known to come from.
    """

    message: str
    hint: str | None
    exit_code: int
    output: str | None = None
    causes: Sequence[Cause] = ()


class Envelope(Struct, frozen=True, kw_only=True):
    """The one object that `--output json` prints, whatever the command and its outcome."""

    schema: int = SCHEMA
    command: str
    status: str
    data: Any = None
    findings: Sequence[Finding] = ()
    errors: Sequence[ErrorLine] = ()


def print_envelope(envelope: Envelope) -> None:
    """Write the envelope to stdout as one line of JSON."""
    try:
        text = msgspec.json.encode(envelope).decode()
    except UnicodeEncodeError:
        # A file's name need not be text: https://peps.python.org/pep-0383/
        text = msgspec.json.encode(_replace_surrogates(msgspec.to_builtins(envelope))).decode()
    click.echo(text)


def _replace_surrogates(value: Any) -> Any:
    match value:
        case str():
            return value.encode(errors="surrogateescape").decode(errors="replace")
        case dict():
            return {key: _replace_surrogates(item) for key, item in value.items()}
        case list() | tuple():
            return [_replace_surrogates(item) for item in value]
        case _:
            return value


def print_error(
    error: ProvisionError,
    *,
    command: str,
    output: str,
    data: Any = None,
    causes: Sequence[Cause] = (),
) -> None:
    """Say what went wrong: one sentence and a hint on stderr, or the envelope on stdout for JSON.

    `causes` are known failures that the error's own words show.
    """
    if output == "json":
        words = "\n".join(_list_last_words(error)) or None
        line = ErrorLine(
            message=error.message, hint=error.hint, exit_code=error.exit_code, output=words, causes=causes
        )
        status = "no" if error.exit_code is ExitCode.NO else "error"
        print_envelope(Envelope(command=command, status=status, data=data, errors=(line,)))
        return
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(error.message, err=True)
    for said in _list_last_words(error):
        click.secho(f"  {said}", err=True, dim=True)
    for cause in causes:
        click.echo(err=True)
        print_cause(cause, err=True)
    if error.hint:
        click.secho("\nhint: ", fg="cyan", nl=False, err=True)
        click.echo(error.hint, err=True)


def print_cause(cause: Cause, *, brief: bool = False, err: bool = False) -> None:
    """One cause as an engineer reads it; `brief` leaves out what only the likeliest needs."""
    click.secho(cause.id, bold=True, nl=False, err=err)
    click.echo(f"  ({cause.confidence} confidence)  {cause.title}", err=err)
    for line in cause.evidence[: 2 if brief else None]:
        click.secho(f"  line {line.line}: {line.text}", dim=True, err=err)
    if brief:
        return
    click.echo(f"\n  {cause.cause}", err=err)
    for why in cause.machine:
        click.echo(f"  {why}", err=err)
    if cause.cure:
        click.secho("\n  cure", fg="green", err=err)
        for cure in cause.cure:
            click.echo(f"    {cure}", err=err)
    if cause.not_this:
        click.secho("\n  not this", fg="yellow", err=err)
        for folk in cause.not_this:
            click.echo(f"    {folk.claim}: {folk.why}", err=err)


def _list_last_words(error: ProvisionError) -> list[str]:
    """The end of what a program said that failed, without logins in URLs."""
    output = error.output if isinstance(error, ToolError) else ""
    return _LOGIN.sub("://", output).strip().splitlines()[-_LAST_LINES:]


class StderrReporter:
    """Progress as plain lines on stderr: a step with the seconds since the start, details below it."""

    def __init__(self, *, quiet: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._quiet = quiet
        self._clock = clock
        self._start = clock()
        self._passing = 0

    def step(self, title: str) -> None:
        """A step begins."""
        if not self._quiet:
            self._clear()
            click.secho(f"{self._clock() - self._start:6.1f} s  {title}", err=True, bold=True)

    def detail(self, text: str) -> None:
        """Something that happened within the step."""
        if not self._quiet and text.strip():
            self._clear()
            click.secho(f"          {text.strip()}", err=True, dim=True)

    def progress(self, text: str) -> None:
        """One line that the next takes the place of, on a terminal only."""
        if self._quiet or sys.stderr is None or not sys.stderr.isatty():
            return
        line = f"          {text.strip()}"[: shutil.get_terminal_size().columns - 1]
        click.secho(f"\r{line.ljust(self._passing)}", err=True, dim=True, nl=False)
        self._passing = len(line)

    def _clear(self) -> None:
        if self._passing:
            click.echo(f"\r{' ' * self._passing}\r", err=True, nl=False)
            self._passing = 0

    def warn(self, text: str) -> None:
        """Shown even when progress is not."""
        self._clear()
        click.secho("warning: ", fg="yellow", bold=True, nl=False, err=True)
        click.echo(text, err=True)


def render_bytes(count: int | None) -> str:
    """A size in the decimal units that disks and downloads are sold in."""
    if count is None:
        return "unknown"
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def build_console() -> Console:
    """Rich on stdout: as wide as the terminal, and wide enough for all where no terminal is."""
    from rich.console import Console

    watched = sys.stdout is not None and sys.stdout.isatty()
    return Console(highlight=False, markup=False, width=None if watched else _FILE_WIDTH)
