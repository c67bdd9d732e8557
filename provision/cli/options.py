"""Options that commands share, and the context that they are turned into."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from random import SystemRandom
from typing import Any, TypeVar

import click

from provision.actions.context import Context
from provision.cli.output import StderrReporter
from provision.system.resources import find_data_dir

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
            help="The application's folder, which holds config.yaml and .provision/.  [default: here]",
        ),
    ):
        command = option(command)
    return command


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
