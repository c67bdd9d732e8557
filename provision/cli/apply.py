"""`provision apply`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from provision.cli.options import build_context, models_option, output_option, root_options
from provision.cli.output import Envelope, print_envelope, print_error
from provision.cli.plan import build_plan_data, print_plan, render_nothing_to_do
from provision.cli.smoke import build_results_data, print_results
from provision.errors import ExitCode, SmokeFailedError

if TYPE_CHECKING:
    from provision.actions.apply import Applied
    from provision.model.plan import Plan


@click.command("apply")
@click.argument("profile", default="auto")
@models_option
@click.option(
    "--dry-run", is_flag=True, help="Show the plan and stop; exits with 1 when there is something to do."
)
@output_option
@root_options
def apply_command(
    profile: str,
    models: tuple[str, ...],
    dry_run: bool,
    output: str,
    root: Path,
    profiles_dir: Path | None,
) -> int:
    """Build, fetch, let every model read a page, and only then write config.yaml.

    \b
    provision apply auto
    provision apply blackwell --models qwen_vl_2b,qwen3_vl_2b

    PROFILE is `auto` or a name from `provision profiles`. Whatever fails, what was active before stays.
    """
    from provision.actions.apply import apply

    ctx = build_context(root=root, profiles_dir=profiles_dir, output=output)

    def show_plan(plan: Plan) -> None:
        if output == "text":
            print_plan(plan, to_stderr=True)

    try:
        applied = apply(ctx, profile, models, dry_run=dry_run, show_plan=show_plan)
    except SmokeFailedError as error:
        if output == "text":
            print_results(error.results)
        data = {"changed": False, "results": build_results_data(error.results)}
        print_error(error, command="apply", output=output, data=data)
        return int(error.exit_code)
    failed = applied.failed_models
    if output == "json":
        generation = applied.generation.number if applied.generation else None
        data = build_plan_data(applied.prepared) | {
            "changed": applied.changed,
            "generation": generation,
            "dry_run": dry_run,
            "results": build_results_data(applied.generation.smoke) if applied.generation else [],
        }
        print_envelope(Envelope(command="apply", status="no" if failed else "ok", data=data))
    else:
        _print_text(applied, ctx.root, dry_run=dry_run)
    pending = dry_run and applied.plan is not None
    return int(ExitCode.NO if failed or pending else ExitCode.OK)


def _print_text(applied: Applied, root: Path, *, dry_run: bool) -> None:
    record = applied.generation
    if applied.plan is None:
        click.echo(render_nothing_to_do(applied.prepared))
    elif not dry_run and record is not None:
        print_results(record.smoke)
        click.echo(f"\ngeneration {record.number} is active; {root / 'config.yaml'} says so")
    if dry_run or record is None:
        return
    for key, reason in applied.failed_models:
        click.echo(f"{key} is not configured: {reason}")
    if not any(model.production for model in applied.prepared.situation.selection.models):
        production = " and ".join(applied.production_models[:2])
        click.echo(
            f"This proves the chain: the embedded model is no production OCR. The real ones ({production}):"
        )
        click.echo(f"  provision apply {record.profile} --models {','.join(applied.production_models[:1])}")
