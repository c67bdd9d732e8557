"""The command `provision`: the group, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provision import __version__
from provision.cli.output import print_error
from provision.errors import (
    ApplyFailedError,
    DownloadError,
    ExitCode,
    InterruptedByUserError,
    ProvisionError,
    StateError,
    ToolError,
    UsageError,
)

if TYPE_CHECKING:
    from provision.model.failure import Cause


# In the order of `--help`. Each is the command `NAME_command` of the module `provision.cli.NAME`.
COMMANDS = (
    *("detect", "profiles", "plan", "apply", "smoke", "doctor", "diagnose"),
    *("update", "generations", "rollback", "remove", "gc", "lock", "bundle", "audit", "sbom"),
)


class LazyGroup(click.Group):
    """Imports a command's module when the command is asked for, and no other's."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - Click's signature
        """The names, in the order of `--help`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, or None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"provision.cli.{cmd_name}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.version_option(__version__, prog_name="provision")
@click.pass_context
def cli(context: click.Context) -> None:
    """Turn this machine into a verified environment for OCR vision-language models, and prove it.

    \b
    provision detect          what is this machine, which profile fits
    provision apply auto      build, let the models read, write config.yaml
    provision smoke           let the configured models read again
    provision doctor          what is wrong, and the cure
    provision diagnose LOG    the cause of a failure, from its log
    """
    if os.environ.get("NO_COLOR"):
        # https://no-color.org, which Click leaves to its callers.
        context.color = False
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


_INTERRUPTED = InterruptedByUserError("interrupted; what was begun is finished or undone by the next apply")


class Terminated(KeyboardInterrupt):
    """Somebody asked this process to end; what it had started is ended as after Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = 128 + number


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code: never a traceback for what a user can meet."""
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _terminate)
    sys.exit(run(list(sys.argv[1:] if argv is None else argv)))


def update_libraries() -> None:
    """The script `update-libraries`: `provision update`."""
    main(["update", *sys.argv[1:]])


def _terminate(number: int, _frame: object) -> None:
    raise Terminated(number)


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code."""
    command, output = _read_command(arguments), _read_output(arguments)
    failure: ProvisionError
    try:
        result = cli.main(args=list(arguments), prog_name="provision", standalone_mode=False)
        return int(result) if isinstance(result, int) else int(ExitCode.OK)
    except SystemExit:
        # Click's way to end when the reader went away, as with `| head`: nobody is left to be told.
        return int(ExitCode.OK)
    except click.Abort as error:
        failure, code = _INTERRUPTED, getattr(error.__cause__, "exit_code", int(ExitCode.INTERRUPTED))
    except Exception as error:
        failure = _describe(error, command)
        code = int(failure.exit_code)
    causes = _explain(failure)
    try:
        print_error(failure, command=command, output=output, causes=causes)
    except OSError:
        # stdout takes nothing more, a full disk for example: stderr may.
        print_error(failure, command=command, output="text")
    return code


def _describe(error: Exception, command: str) -> ProvisionError:
    """What the user is told of an exception: their mistake, the machine's fault, or a bug of ours."""
    if isinstance(error, ProvisionError):
        return error
    if isinstance(error, click.ClickException):
        hint = f"provision {command} --help".replace("  ", " ")
        return UsageError(error.format_message().rstrip("."), hint=hint)
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return StateError(f"{place}{error.strerror or error}", hint="df -h . && ls -ld .")
    frame = traceback.extract_tb(error.__traceback__)[-1]
    _, ours, inside = frame.filename.rpartition("/provision/")
    place = f"{inside if ours else Path(frame.filename).name}:{frame.lineno}"
    summary = str(error).splitlines()[0] if str(error) else ""
    return ProvisionError(
        f"a bug in provision: {type(error).__name__} at {place}: {summary}",
        hint="please report it with the output of: provision detect --output json",
    )


def _explain(error: ProvisionError) -> tuple[Cause, ...]:
    """What the words of a program that failed under us are known to mean."""
    if not isinstance(error, (ToolError, DownloadError, ApplyFailedError)):
        return ()
    from provision.actions.diagnose import explain_words
    from provision.cli.options import build_context

    words = f"{getattr(error, 'output', '')}\n{error.message}"
    try:
        return explain_words(build_context(root=Path()), words)
    except ProvisionError:
        # The error itself must be told, even where our own data cannot be read or an override makes no sense.
        return ()


def _read_command(arguments: Sequence[str]) -> str:
    return next((argument for argument in arguments if argument in COMMANDS), "")


def _read_output(arguments: Sequence[str]) -> str:
    """Whether JSON was asked for, known even when the arguments themselves are the error."""
    joined = " ".join(arguments)
    if "--output json" in joined or "--output=json" in joined:
        return "json"
    return "text" if "--output" in joined else os.environ.get("PROVISION_OUTPUT", "text")
