"""Options that commands share, and the context that they are turned into."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Any, TypeVar

import click

from provision.actions.context import Context
from provision.cli.output import StderrReporter
from provision.errors import UsageError
from provision.system.resources import find_data_dir

if TYPE_CHECKING:
    from provision.model.facts import Probe
    from provision.model.profile import FlashChoice

_Command = TypeVar("_Command", bound=Callable[..., Any])

output_option = click.option(
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    envvar="PROVISION_OUTPUT",
    show_default=True,
    help="What stdout carries: text for people, or one JSON envelope.",
)

models_option = click.option(
    "--models",
    "-m",
    "models",
    multiple=True,
    metavar="KEY[,KEY…]",
    callback=lambda _ctx, _param, values: tuple(
        key.strip() for value in values for key in value.split(",") if key.strip()
    ),
    help="Models of the catalogue; else those of config.yaml, else the embedded one.",
)

exclude_newer_option = click.option(
    "--exclude-newer",
    metavar="DATE|never",
    help="Take no file that was uploaded after DATE; `never` takes any.  [default: 7 days ago]",
)

flash_attn_option = click.option(
    "--flash-attn",
    type=click.Choice(["absent", "wheel", "kernels"]),
    help="flash-attn: left out, a wheel that fits exactly, or the Hub's kernels.  [default: the profile's choice]",
)


def read_flash_choice(value: str | None) -> FlashChoice | None:
    """The choice that `--flash-attn` names; None leaves it to the profile."""
    from provision.model.profile import FlashChoice

    return None if value is None else FlashChoice(value)


def root_options(command: _Command) -> _Command:
    """`--root` and `--profiles`: which application, and more profiles of one's own."""
    for option in (
        click.option(
            "--profiles",
            "profiles_dir",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            envvar="PROVISION_PROFILES",
            help="A folder with more profiles; one of the same name replaces ours.",
        ),
        click.option(
            "--root",
            type=click.Path(file_okay=False, path_type=Path),
            default=Path(),
            envvar="PROVISION_ROOT",
            callback=_check_root,
            help="The application's folder, which holds config.yaml and .provision/.  [default: here]",
        ),
    ):
        command = option(command)
    return command


def machine_options(command: _Command) -> _Command:
    """`--paste` and `--probe`: about the machine that a text or a saved probe came from, not about this one."""
    for option in (
        click.option(
            "--probe",
            "probe_path",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="Read a probe that was saved, on whichever machine, instead of looking at this one.",
        ),
        click.option(
            "--paste",
            metavar="FILE|-",
            help="Read the output of nvidia-smi, lspci, rocminfo, … of any machine, from a file or from stdin.",
        ),
    ):
        command = option(command)
    return command


def read_probe(paste: str | None, probe_path: Path | None, ctx: Context) -> Probe | None:
    """The probe that the options of `machine_options` name, or None. Raises UsageError, BadFileError."""
    if paste is not None and probe_path is not None:
        raise UsageError("--paste and --probe cannot go together", hint="provision detect --paste FILE")
    if probe_path is not None:
        from provision.core.parse.probe_json import parse_probe_json
        from provision.system.resources import load_text

        return parse_probe_json(load_text(probe_path), where=str(probe_path))
    if paste is None:
        return None
    announce_stdin(paste, "the output of a tool")
    from provision.actions.detect import build_probe_of_paste

    return build_probe_of_paste(ctx, paste)


def _check_root(_ctx: click.Context, _param: click.Parameter, value: Path) -> Path:
    try:
        value.stat()
    except FileNotFoundError:
        return value  # an apply makes it
    except OSError as error:
        raise UsageError(f"--root: {value}: {error.strerror}", hint="provision --help") from error
    return value


def announce_stdin(source: str, what: str) -> None:
    """Somebody who forgot the file would else wait for ever before a silent terminal."""
    if source == "-" and sys.stdin is not None and sys.stdin.isatty():
        click.echo(f"reading {what} from the terminal; end it with Ctrl-D (Ctrl-Z on Windows)", err=True)


def build_context(*, root: Path, profiles_dir: Path | None = None, output: str = "text") -> Context:
    """All that a use case may use of this process: the only reader of the clock and the environment."""
    return Context(
        root=root.resolve(),
        env=dict(os.environ),
        now=lambda: datetime.now().astimezone(),
        random=SystemRandom(),
        reporter=StderrReporter(quiet=output == "json"),
        python=find_base_interpreter(),
        data_dir=find_data_dir(),
        profiles_dir=profiles_dir,
    )


def find_base_interpreter() -> Path:
    """The interpreter that this tool's own environment was made from: stacks are made from it too."""
    return Path(getattr(sys, "_base_executable", None) or sys.executable)
