"""`provision apply`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from msgspec.structs import replace

from provision.cli.confirm import confirm, yes_option
from provision.cli.into import apply_into, undo_into
from provision.cli.options import (
    build_context,
    exclude_newer_option,
    flash_attn_option,
    machine_options,
    models_option,
    output_option,
    read_flash_choice,
    read_probe,
    root_options,
)
from provision.cli.output import Envelope, print_envelope, print_error, render_bytes
from provision.cli.plan import build_plan_data, print_plan, render_nothing_to_do
from provision.cli.smoke import build_results_data, print_results
from provision.errors import ExitCode, SmokeFailedError, UsageError
from provision.model.smoke import Verdict

if TYPE_CHECKING:
    from provision.actions.apply import Applied
    from provision.actions.build_only import Built
    from provision.actions.context import Context
    from provision.actions.plan import Request
    from provision.model.facts import Probe
    from provision.model.plan import Plan


@click.command("apply")
@click.argument("profile", required=False)
@models_option
@click.option(
    "--dry-run", is_flag=True, help="Show the plan and stop; exits with 1 when there is something to do."
)
@yes_option
@click.option(
    "--plan",
    "plan_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Apply exactly the plan that `provision plan --out FILE` wrote.",
)
@click.option(
    "--bundle",
    "bundle_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Take wheels, weights and locks from what `provision bundle` packed; no network is used.",
)
@exclude_newer_option
@flash_attn_option
@click.option(
    "--build-only",
    is_flag=True,
    help="Build and import the stacks; activate nothing. The profile need not fit this machine's devices.",
)
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    metavar="ENV",
    help="Change this venv or conda prefix in place instead; restored exactly when it does not verify.",
)
@click.option("--undo", is_flag=True, help="With --into: take the last change of ENV back.")
@click.option("--no-weights", is_flag=True, help="With --build-only: bring no weights.")
@machine_options
@output_option
@root_options
def apply_command(
    *,
    profile: str | None,
    models: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    plan_path: Path | None,
    bundle_path: Path | None,
    exclude_newer: str | None,
    flash_attn: str | None,
    build_only: bool,
    into: Path | None,
    undo: bool,
    no_weights: bool,
    paste: str | None,
    probe_path: Path | None,
    output: str,
    root: Path,
    profiles_dir: Path | None,
) -> int:
    """Build, fetch, let every model read a page, and only then write config.yaml.

    \b
    provision apply auto
    provision apply blackwell --models qwen_vl_2b,qwen3_vl_2b
    provision apply blackwell --build-only --no-weights   # on a machine without the GPU
    provision apply --bundle blackwell.tar                # on a machine without a network
    provision apply auto --into ~/venv                    # an environment of yours, changed in place

    PROFILE is `auto` or a name from `provision profiles`. The plan is shown first, and carried out when it is
    confirmed. Whatever fails, what was active before stays.
    """
    if no_weights and not build_only:
        raise UsageError("models cannot read without weights", hint="--no-weights goes with --build-only")
    elsewhere = paste is not None or probe_path is not None
    if (undo and into is None) or (into and (build_only or plan_path or bundle_path or elsewhere)):
        raise UsageError(
            "--into ENV goes with a profile and models only", hint="provision apply auto --into ENV"
        )
    ctx = build_context(root=root, profiles_dir=profiles_dir, output=output)
    if undo and into is not None:
        return undo_into(ctx, into, yes=yes, output=output)
    probe = read_probe(paste, probe_path, ctx)
    if probe is not None and not build_only:
        raise UsageError("another machine cannot be changed from here", hint="add --build-only, or use plan")
    if bundle_path is not None:
        if plan_path is not None or probe is not None or exclude_newer or flash_attn:
            raise UsageError("a bundle says itself what is in it", hint="provision apply --bundle FILE")
        ctx, request = _open_bundle(ctx, profile, models, bundle_path)
    else:
        request = _build_request(ctx, profile, models, plan_path, exclude_newer, flash_attn, probe)
    if into is not None:
        return apply_into(ctx, request, into, dry_run=dry_run, yes=yes, output=output)
    if build_only:
        request = replace(request, building=True, weights=not no_weights)

    def agree(plan: Plan) -> None:
        if output == "text":
            print_plan(plan, to_stderr=True)
        confirm("carry this out?", yes=yes, output=output)

    if build_only:
        from provision.actions.build_only import build_only as build

        built = build(ctx, request, dry_run=dry_run, agree=agree)
        return _show_built(ctx, built, output=output, dry_run=dry_run)
    from provision.actions.apply import apply

    try:
        applied = apply(ctx, request, dry_run=dry_run, agree=agree)
    except SmokeFailedError as error:
        if output == "text":
            print_results(error.results)
        data = {"changed": False, "results": build_results_data(error.results)}
        print_error(error, command="apply", output=output, data=data)
        return int(error.exit_code)
    return _show_applied(ctx, applied, output=output, dry_run=dry_run)


def _open_bundle(
    ctx: Context, profile: str | None, models: tuple[str, ...], path: Path
) -> tuple[Context, Request]:
    from provision.actions.open_bundle import BundleSupply, isolate
    from provision.actions.plan import Request

    supply = BundleSupply(path)
    wanted = models or supply.manifest.models
    return isolate(ctx), Request(
        profile=profile or supply.manifest.target.profile, models=wanted, supply=supply
    )


def _build_request(
    ctx: Context,
    profile: str | None,
    models: tuple[str, ...],
    plan_path: Path | None,
    exclude_newer: str | None,
    flash_attn: str | None,
    probe: Probe | None,
) -> Request:
    from provision.actions.package_policy import build_policy
    from provision.actions.plan import NetworkSupply, Request
    from provision.actions.plan_file import PlanSupply, load_plan_file

    if plan_path is None:
        supply = NetworkSupply(policy=build_policy(ctx, exclude_newer, read_flash_choice(flash_attn)))
        return Request(profile=profile or "auto", models=models, probe=probe, supply=supply)
    if profile or models or exclude_newer or flash_attn or probe is not None:
        raise UsageError("a plan says itself which profile and models", hint="provision apply --plan FILE")
    plan = load_plan_file(plan_path)
    return Request(profile=plan.profile, models=plan.models, supply=PlanSupply(plan=plan))


def _show_applied(ctx: Context, applied: Applied, *, output: str, dry_run: bool) -> int:
    failed = applied.failed_models
    pending = dry_run and applied.plan is not None
    if output == "json":
        generation = applied.generation.number if applied.generation else None
        data = build_plan_data(applied.prepared, ctx.root) | {
            "changed": applied.changed,
            "generation": generation,
            "dry_run": dry_run,
            "results": build_results_data(applied.generation.smoke) if applied.generation else [],
        }
        print_envelope(Envelope(command="apply", status="no" if failed or pending else "ok", data=data))
    else:
        _print_applied(applied, ctx.root, dry_run=dry_run)
    return int(ExitCode.NO if failed or pending else ExitCode.OK)


def _print_applied(applied: Applied, root: Path, *, dry_run: bool) -> None:
    record, situation = applied.generation, applied.prepared.situation
    if applied.plan is None:
        click.echo(render_nothing_to_do(applied.prepared))
    elif dry_run:
        print_plan(applied.plan, to_stderr=False)
    elif record is not None:
        print_results(record.smoke)
        click.echo(f"\ngeneration {record.number} is active; {root / 'config.yaml'} says so")
    if dry_run or record is None:
        return
    for key, reason in applied.failed_models:
        click.echo(f"{key} is not configured: {reason}")
    if not any(model.production for model in situation.selection.models):
        production = " and ".join(situation.production_models[:2])
        click.echo(
            f"This proves the chain: the embedded model is no production OCR. The real ones ({production}):"
        )
        click.echo(f"  provision apply {record.profile} --models {','.join(situation.production_models[:1])}")


def _show_built(ctx: Context, built: Built, *, output: str, dry_run: bool) -> int:
    failed = any(result.verdict is Verdict.FAIL for stack in built.stacks for result in stack.smoke)
    if output == "json":
        data: dict[str, Any] = build_plan_data(built.prepared, ctx.root) | {
            "built": [msgspec.to_builtins(stack) for stack in built.stacks],
            "dry_run": dry_run,
        }
        print_envelope(Envelope(command="apply", status="no" if failed or dry_run else "ok", data=data))
    elif dry_run and built.prepared.plan is not None:
        print_plan(built.prepared.plan, to_stderr=False)
    else:
        for stack in built.stacks:
            _print_built(stack)
        click.echo("nothing was activated; `provision apply` uses these stacks where the profile fits")
    return int(ExitCode.NO if failed or dry_run else ExitCode.OK)


def _print_built(stack: Any) -> None:
    click.secho(f"stack {stack.name}", bold=True, nl=False)
    click.echo(f": {', '.join(stack.models)}; {render_bytes(stack.installed_bytes)}; {stack.path}")
    for package in stack.imports.packages:
        click.echo(f"  import {package.name} {package.version}: {package.import_s:.2f} s")
    cuda = f"CUDA {stack.imports.cuda}" if stack.imports.cuda else "no CUDA"
    click.echo(f"  torch is built for {cuda}: {' '.join(stack.imports.architectures) or 'no GPU code'}")
    for result in stack.smoke:
        click.echo(f"  {result.model} on the CPU: {result.verdict}, {result.reason}")
