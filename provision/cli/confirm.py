"""Asking before something changes: on a terminal only, never where a script would wait for ever."""

from __future__ import annotations

import sys

import click

from provision.errors import InterruptedByUserError, UsageError

yes_option = click.option(
    "--yes",
    "-y",
    is_flag=True,
    envvar="PROVISION_YES",
    help="Do it without asking. PROVISION_YES=1 says the same.",
)


def confirm(question: str, *, yes: bool, output: str) -> None:
    """Return when the user agrees; the answer is no unless it is yes.

    `yes` agrees without asking. JSON on stdout is for programs, which are never asked. Raises UsageError where
    nobody can be asked, InterruptedByUserError when the answer is no or the input ends.
    """
    if yes:
        return
    if output == "json":
        raise UsageError("nothing is changed unasked, and with --output json nobody is asked", hint=_repeat())
    if not _can_ask():
        raise UsageError("nothing is changed unasked, and there is no terminal to ask on", hint=_repeat())
    try:
        agreed = click.confirm(question, default=False, err=True)
    except click.Abort as error:
        # Click's word for Ctrl-C, the end of the input and a signal alike; a signal has an exit code of its own.
        if isinstance(error.__context__, KeyboardInterrupt) and hasattr(error.__context__, "exit_code"):
            raise error.__context__ from error
        click.echo(err=True)
        agreed = False
    if not agreed:
        raise InterruptedByUserError("not confirmed; nothing was changed")


def _can_ask() -> bool:
    """The question goes to stderr and the answer comes from stdin: both have to be a person's."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def _repeat() -> str:
    """The same command, agreed to: what Click calls the path is what the user typed first."""
    context = click.get_current_context(silent=True)
    return f"{context.command_path if context else 'provision'} … --yes   # or set PROVISION_YES=1"
