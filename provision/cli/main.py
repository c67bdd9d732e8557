"""The command `provision`: the group, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

import click

from provision import __version__
from provision.cli.apply import apply_command
from provision.cli.detect import detect_command
from provision.cli.doctor import doctor_command
from provision.cli.generations import generations_command
from provision.cli.output import print_error
from provision.cli.plan import plan_command
from provision.cli.profiles import profiles_command
from provision.cli.smoke import smoke_command
from provision.errors import ExitCode, ProvisionError, UsageError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="provision")
def cli() -> None:
    """Turn this machine into a verified environment for OCR vision-language models, and prove it.

    \b
    provision detect          what is this machine, which profile fits
    provision apply auto      build, let the models read, write config.yaml
    provision smoke           let the configured models read again
    provision doctor          what is wrong, and the cure
    """


for _command in (
    detect_command,
    profiles_command,
    plan_command,
    apply_command,
    smoke_command,
    doctor_command,
    generations_command,
):
    cli.add_command(_command)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code: never a traceback for what a user can meet."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    sys.exit(run(arguments))


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code."""
    command, output = _read_command(arguments), _read_output(arguments)
    try:
        result = cli.main(args=list(arguments), prog_name="provision", standalone_mode=False)
    except ProvisionError as error:
        print_error(error, command=command, output=output)
        return int(error.exit_code)
    except click.ClickException as error:
        hint = f"provision {command} --help".replace("  ", " ")
        print_error(UsageError(error.format_message().rstrip("."), hint=hint), command=command, output=output)
        return int(ExitCode.USAGE)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; what was begun is finished or undone by the next apply", err=True)
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # The reader went away, as with `| head`: nobody is left to be told.
        sys.stderr.close()
        return int(ExitCode.OK)
    except Exception as error:
        _print_bug(error, command, output)
        return int(ExitCode.BUG)
    return int(result) if isinstance(result, int) else int(ExitCode.OK)


def _print_bug(error: Exception, command: str, output: str) -> None:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{frame.filename.rpartition('provision')[2].lstrip('/')}:{frame.lineno}"
    summary = str(error).splitlines()[0] if str(error) else ""
    bug = ProvisionError(
        f"a bug in provision: {type(error).__name__} at {place}: {summary}",
        hint="please report it with the output of: provision detect --output json",
    )
    print_error(bug, command=command, output=output)


def _read_command(arguments: Sequence[str]) -> str:
    return next((argument for argument in arguments if argument in cli.commands), "")


def _read_output(arguments: Sequence[str]) -> str:
    """Whether JSON was asked for, known even when the arguments themselves are the error."""
    joined = " ".join(arguments)
    return "json" if "--output json" in joined or "--output=json" in joined else "text"
