"""`provision gc`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from provision.cli.confirm import confirm, yes_option
from provision.cli.options import build_context, output_option, root_options
from provision.cli.output import Envelope, print_envelope, render_bytes
from provision.errors import ExitCode

if TYPE_CHECKING:
    from provision.actions.gc import Garbage, Item


@click.command("gc")
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="How many of the newest generations stay; the active one always does.",
)
@click.option(
    "--all", "everything", is_flag=True, help="Also stacks that --build-only made for another machine."
)
@click.option(
    "--dry-run", is_flag=True, help="Show what would go and stop; exits with 1 when something would."
)
@yes_option
@output_option
@root_options
def gc_command(
    keep: int,
    everything: bool,
    dry_run: bool,
    yes: bool,
    output: str,
    root: Path,
    profiles_dir: Path | None,
) -> int:
    """Free what no kept generation needs: old generations, stacks, leftovers of runs that were killed.

    Files that stacks share with uv's cache are told apart: removing them frees nothing. Weights in the Hub's cache
    are never removed, only named.
    """
    from provision.actions.gc import collect

    ctx = build_context(root=root, profiles_dir=profiles_dir, output=output)

    def approve(garbage: Garbage) -> None:
        if output == "text":
            _print_items(garbage, err=True)
        confirm(f"Free {render_bytes(garbage.freed_bytes)}?", yes=yes, output=output)

    garbage = collect(ctx, keep=keep, everything=everything, dry_run=dry_run, approve=approve)
    pending = dry_run and bool(garbage.items)
    if output == "json":
        data = _build_data(garbage, dry_run=dry_run)
        print_envelope(Envelope(command="gc", status="no" if pending else "ok", data=data))
    else:
        _print_result(garbage, dry_run=dry_run)
    return int(ExitCode.NO if pending else ExitCode.OK)


def _print_items(garbage: Garbage, *, err: bool) -> None:
    for item in garbage.items:
        click.echo(f"  {item.name:<40} {_describe(item)}", err=err)


def _describe(item: Item) -> str:
    shared = f", {render_bytes(item.shared_bytes)} shared" if item.shared_bytes else ""
    return f"{render_bytes(item.freed_bytes)}{shared}"


def _print_result(garbage: Garbage, *, dry_run: bool) -> None:
    if not garbage.items:
        click.echo("nothing to free")
    else:
        if dry_run:
            _print_items(garbage, err=False)
        click.echo(f"{'would free' if dry_run else 'freed'} {render_bytes(garbage.freed_bytes)}")
        if garbage.shared_bytes:
            click.echo(
                f"{render_bytes(garbage.shared_bytes)} are shared with uv's cache or with stacks that stay, "
                "and are not freed (uv cache dir)"
            )
    if garbage.kept:
        click.echo(f"kept: generation {', '.join(str(number) for number in garbage.kept)}")
    if garbage.built:
        click.echo(f"kept: {garbage.built} stacks of --build-only; provision gc --all frees them")
    if garbage.hub:
        click.echo(
            "in the Hub's cache, used by no generation here any more; other applications may use them:"
        )
    for weights in garbage.hub:
        click.echo(f"  {weights.model}  {render_bytes(weights.size_bytes)}  {weights.command}")


def _build_data(garbage: Garbage, *, dry_run: bool) -> dict[str, Any]:
    return {
        "changed": bool(garbage.items) and not dry_run,
        "dry_run": dry_run,
        "freed_bytes": garbage.freed_bytes,
        "shared_bytes": garbage.shared_bytes,
        **msgspec.to_builtins(garbage),
    }
