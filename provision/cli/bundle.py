"""`provision bundle`"""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from provision.cli.options import (
    build_context,
    exclude_newer_option,
    machine_options,
    models_option,
    output_option,
    read_probe,
    root_options,
)
from provision.cli.output import Envelope, print_envelope, render_bytes
from provision.errors import ExitCode, UsageError
from provision.system.bundle_writer import check_destination

if TYPE_CHECKING:
    from provision.actions.bundle import Bundled, BundlePlan
    from provision.actions.context import Context
    from provision.model.bundle import BundleManifest, BundleTarget


@click.command("bundle")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("profile", default="auto")
@models_option
@machine_options
@click.option("--no-weights", is_flag=True, help="Pack packages and locks only.")
@click.option("--no-tool", is_flag=True, help="Leave provision itself out: it is installed there already.")
@exclude_newer_option
@click.option("--dry-run", is_flag=True, help="Say what would be packed and how large it is; fetch nothing.")
@click.option("--check", is_flag=True, help="Verify FILE and list what it holds.")
@output_option
@root_options
def bundle_command(
    *,
    file: Path,
    profile: str,
    models: tuple[str, ...],
    paste: str | None,
    probe_path: Path | None,
    no_weights: bool,
    no_tool: bool,
    exclude_newer: str | None,
    dry_run: bool,
    check: bool,
    output: str,
    root: Path,
    profiles_dir: Path | None,
) -> int:
    """Pack packages, weights and locks into FILE, for a machine that has no network.

    \b
    provision detect --save-probe gpu.json                  # there
    provision bundle ocr.tar --probe gpu.json -m qwen_vl_2b  # here
    provision apply --bundle ocr.tar                        # there
    provision bundle --check ocr.tar                        # is it whole, and for which machine

    The machine is this one, or that of --probe or --paste, which may have another system and processor.
    """
    ctx = build_context(root=root, profiles_dir=profiles_dir, output=output)
    if check:
        return _check(ctx, file, output, dry_run=dry_run)
    check_destination(file)
    from provision.actions.bundle import plan_bundle

    plan = plan_bundle(
        ctx,
        profile,
        models,
        probe=read_probe(paste, probe_path, ctx),
        with_weights=not no_weights,
        with_tool=not no_tool,
        exclude_newer=exclude_newer,
    )
    return _bundle(ctx, plan, file, output, dry_run=dry_run)


def _bundle(ctx: Context, plan: BundlePlan, file: Path, output: str, *, dry_run: bool) -> int:
    from provision.actions.bundle import make_bundle

    if output == "text":
        _print_plan(plan, file, to_stderr=not dry_run)
    data = _build_plan_data(plan, file) | {"dry_run": dry_run}
    if not dry_run:
        bundled = make_bundle(ctx, plan, file)
        data |= _build_file_data(bundled)
        if output == "text":
            _print_bundled(bundled)
    if output == "json":
        print_envelope(Envelope(command="bundle", status="ok", data=data))
    return int(ExitCode.OK)


def _check(ctx: Context, file: Path, output: str, *, dry_run: bool) -> int:
    if dry_run:
        raise UsageError("--check and --dry-run cannot go together", hint="provision bundle --check FILE")
    from provision.actions.open_bundle import BundleSupply

    supply = BundleSupply(file)
    supply.verify(ctx)
    manifest = supply.manifest
    if output == "json":
        data = {"file": str(file), **_build_manifest_data(manifest), "members": manifest.members}
        print_envelope(Envelope(command="bundle", status="ok", data=data))
    else:
        _print_manifest(manifest, file)
    return int(ExitCode.OK)


def _print_plan(plan: BundlePlan, file: Path, *, to_stderr: bool) -> None:
    models = ", ".join(model.key for model in plan.situation.selection.models)
    click.secho(f"bundle {file}: {describe_target(plan.target)}", bold=True, err=to_stderr)
    for stack in plan.stacks:
        own = f"{len(stack.lock.wheels)} packages, torch {stack.offer.torch} ({stack.offer.tag})"
        click.echo(f"  stack {stack.spec.name}: {', '.join(stack.spec.models)}: {own}", err=to_stderr)
    click.echo(f"  wheels   {render_bytes(plan.wheels_bytes)}, kept in {plan.wheels_dir}", err=to_stderr)
    weights = f"{render_bytes(plan.weights_bytes)}, {models}" if plan.with_weights else "none, as asked"
    click.echo(f"  weights  {weights}", err=to_stderr)
    click.echo(f"  together about {render_bytes(plan.content_bytes)}", err=to_stderr)


def describe_target(target: BundleTarget) -> str:
    """Which machine a bundle is for, in one line."""
    gpus = f", {'; '.join(target.gpus)}" if target.gpus else ""
    return f"profile {target.profile} for {target.platform}, Python {target.python}{gpus}"


def _print_bundled(bundled: Bundled) -> None:
    click.echo(
        f"{bundled.path}: {render_bytes(bundled.archive_bytes)}, {len(bundled.manifest.members)} files"
    )
    click.echo(f"sha256  {bundled.sha256}")
    click.echo(f"there:  provision apply --bundle {quote(bundled.path.name)}")


def _print_manifest(manifest: BundleManifest, file: Path) -> None:
    click.echo(f"{file} is whole: {describe_target(manifest.target)}")
    click.echo(f"  made {manifest.created} by provision {manifest.provision}")
    for stack in manifest.stacks:
        own = f"{len(stack.wheels)} packages, torch {stack.torch} ({stack.tag})"
        click.echo(f"  stack {stack.name}: {', '.join(stack.models)}: {own}")
    for model in manifest.weights:
        size = render_bytes(manifest.find_size(model.folder))
        click.echo(f"  weights {model.key} at {model.revision[:12]}: {size}")
    for member in manifest.members:
        click.echo(f"  {member.sha256}  {render_bytes(member.size_bytes):>9}  {member.name}")


def _build_plan_data(plan: BundlePlan, file: Path) -> dict[str, Any]:
    return {
        "file": str(file),
        "target": plan.target,
        "models": [model.key for model in plan.situation.selection.models],
        "stacks": [
            {
                "name": stack.spec.name,
                "models": stack.spec.models,
                "lock_sha256": stack.lock.sha256,
                "torch": stack.offer.torch,
                "tag": stack.offer.tag,
                "download_bytes": stack.lock.download_bytes,
            }
            for stack in plan.stacks
        ],
        "wheels_bytes": plan.wheels_bytes,
        "weights_bytes": plan.weights_bytes,
        "wheels_dir": str(plan.wheels_dir),
        "assumptions": plan.situation.assumptions,
    }


def _build_file_data(bundled: Bundled) -> dict[str, Any]:
    return {
        **_build_manifest_data(bundled.manifest),
        "archive_bytes": bundled.archive_bytes,
        "sha256": bundled.sha256,
    }


def _build_manifest_data(manifest: BundleManifest) -> dict[str, Any]:
    return {
        "schema": manifest.schema,
        "created": manifest.created,
        "target": manifest.target,
        "models": manifest.models,
        "stacks": manifest.stacks,
        "weights": manifest.weights,
        "content_bytes": manifest.content_bytes,
    }
