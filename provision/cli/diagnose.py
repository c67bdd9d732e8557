"""`provision diagnose`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from provision.cli.options import (
    announce_stdin,
    build_context,
    machine_options,
    output_option,
    read_probe,
    root_options,
)
from provision.cli.output import Envelope, print_cause, print_envelope
from provision.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from provision.actions.diagnose import Diagnosis

_STDIN_HINT = "provision diagnose -   # reads standard input"
_SEND = "provision detect --save-probe machine.json   # and send it with the whole log, from its first line"


@click.command("diagnose")
@click.argument("log", default="-")
@machine_options
@output_option
@root_options
def diagnose_command(
    log: str,
    paste: str | None,
    probe_path: Path | None,
    output: str,
    root: Path,
    profiles_dir: Path | None,
) -> int:
    """Find the cause of a failure in LOG, a file of any length, or in standard input.

    \b
    provision diagnose error.log
    python app.py 2>&1 | provision diagnose
    provision diagnose error.log --paste nvidia-smi.txt   # the log of another machine

    Exits with 0 when a cause was found, with 1 when nothing known fits.
    """
    from provision.actions.detect import detect
    from provision.actions.diagnose import diagnose_log
    from provision.system.log_source import read_pieces

    if paste == "-" and log == "-":
        raise UsageError("the log and --paste cannot both be standard input", hint="provision diagnose LOG")
    announce_stdin(log, "the log")
    ctx = build_context(root=root, profiles_dir=profiles_dir, output=output)
    detection = detect(ctx, read_probe(paste, probe_path, ctx))
    diagnosis = diagnose_log(ctx, read_pieces(log, hint=_STDIN_HINT), detection.facts)
    found = bool(diagnosis.causes)
    if output == "json":
        data = {"causes": diagnosis.causes, "machine": diagnosis.machine, "lines": diagnosis.lines}
        if not _is_usual(diagnosis):
            data["send"] = _SEND
        print_envelope(Envelope(command="diagnose", status="ok" if found else "no", data=data))
    else:
        _print_text(diagnosis)
    return int(ExitCode.OK if found else ExitCode.NO)


def _is_usual(diagnosis: Diagnosis) -> bool:
    """Whether the first cause is more than possible."""
    return bool(diagnosis.causes) and diagnosis.causes[0].confidence != "low"


def _print_text(diagnosis: Diagnosis) -> None:
    if not diagnosis.causes:
        click.echo(f"nothing that is known fits these {diagnosis.lines} lines")
        click.echo(f"\nhint: {_SEND}")
        return
    if not _is_usual(diagnosis):
        click.echo("possible only: this fits the lines, but other causes make them too\n")
    for index, cause in enumerate(diagnosis.causes):
        if index:
            click.echo()
        print_cause(cause, brief=index > 0)
