"""`provision smoke`, and how results are shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from provision.cli.options import build_context, output_option, root_options
from provision.cli.output import Envelope, build_console, print_cause, print_envelope, render_bytes
from provision.errors import ExitCode
from provision.model.finding import Finding, Severity
from provision.model.smoke import SHORT_DTYPES, SmokeResult, Verdict

_COLOURS = {Verdict.PASS: "green", Verdict.DEGRADED: "yellow", Verdict.FAIL: "red"}


@click.command("smoke")
@click.argument("models", nargs=-1, metavar="[MODEL]…")
@click.option(
    "--model-path",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder with a model that is not configured; config.yaml is left alone.",
)
@click.option(
    "--python",
    "interpreter",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The interpreter of an environment of yours, instead of the stack's.",
)
@output_option
@root_options
def smoke_command(
    models: tuple[str, ...],
    model_path: Path | None,
    interpreter: Path | None,
    output: str,
    root: Path,
    profiles_dir: Path | None,
) -> int:
    """Let each configured model read a page with a nonce drawn now, and score what it read.

    \b
    provision smoke
    provision smoke --model-path ./my-finetune
    provision smoke --python ~/venv/bin/python

    Exits with 1 when a model failed.
    """
    from provision.actions.check_models import check_models

    ctx = build_context(root=root, profiles_dir=profiles_dir, output=output)
    # Made absolute, not resolved: an environment's interpreter is a link whose own place is what counts.
    python = interpreter.absolute() if interpreter else None
    results = check_models(ctx, models, model_path=model_path, interpreter=python)
    failed = any(result.verdict is Verdict.FAIL for result in results)
    if output == "json":
        envelope = Envelope(
            command="smoke",
            status="no" if failed else "ok",
            data={"results": build_results_data(results)},
            findings=[_build_finding(result) for result in results],
        )
        print_envelope(envelope)
    else:
        print_results(results)
    return int(ExitCode.NO if failed else ExitCode.OK)


def build_results_data(results: Sequence[SmokeResult]) -> list[dict[str, Any]]:
    """The `results` of `smoke` and `apply`."""
    return [msgspec.to_builtins(result) for result in results]


def _build_finding(result: SmokeResult) -> Finding:
    severity = {Verdict.PASS: Severity.PASS, Verdict.DEGRADED: Severity.WARN, Verdict.FAIL: Severity.FAIL}
    return Finding(id=f"smoke.{result.model}", severity=severity[result.verdict], evidence=result.reason)


def print_results(results: Sequence[SmokeResult]) -> None:
    """A table, then what each model read of its first page."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for title in ("model", "verdict", "CER", "words", "dtype", "attention", "load", "first", "tok/s", "peak"):
        table.add_column(title, no_wrap=True)
    for result in results:
        table.add_row(*_render_row(result))
    console = build_console()
    console.print(table)
    for result in results:
        console.print(f"\n{result.model}: {result.verdict}, {result.reason}", style=_COLOURS[result.verdict])
        text = result.scores[0].text if result.scores else ""
        for line in text.splitlines() or ["(no text)"]:
            console.print(f"  | {line}")
        for cause in result.causes:
            print_cause(cause)


def _render_row(result: SmokeResult) -> tuple[str, ...]:
    def seconds(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f} s"

    return (
        result.model,
        str(result.verdict),
        "-" if result.cer is None else f"{result.cer:.3g}",
        f"{result.keywords_found}/{result.keywords_total}",
        SHORT_DTYPES.get(result.dtype or "-", result.dtype or "-"),
        result.attention or "-",
        seconds(result.load_s),
        seconds(result.first_token_s),
        "-" if result.tokens_per_s is None else f"{result.tokens_per_s:.0f}",
        f"{render_bytes(result.peak_memory_bytes)} {(result.peak_memory_kind or '').upper()}".strip(),
    )
