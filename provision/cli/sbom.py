"""`provision sbom`"""

from __future__ import annotations

import json
from pathlib import Path

import click

from provision.cli.options import build_context, output_option, root_options
from provision.cli.output import Envelope, print_envelope


@click.command("sbom")
@click.argument("file", required=False, type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--lock", "use_lockfile", is_flag=True, help="Of provision.lock, not of the active generation.")
@output_option
@root_options
def sbom_command(
    *, file: Path | None, use_lockfile: bool, output: str, root: Path, profiles_dir: Path | None
) -> None:
    """Write a bill of materials (CycloneDX 1.6, JSON): packages, weights, hashes, licences.

    \b
    provision sbom sbom.cdx.json

    Without FILE, or with -, it goes to stdout.
    """
    from provision.actions.sbom import build_bill, check_folder, render_sbom, save_sbom

    ctx = build_context(root=root, profiles_dir=profiles_dir, output=output)
    if file == Path("-"):
        file = None
    if file is not None:
        check_folder(file)
    bill = build_bill(ctx, use_lockfile=use_lockfile)
    text = render_sbom(bill)
    if file is not None:
        save_sbom(file, text)
    packages = {(wheel.name, wheel.version) for stack in bill.stacks for wheel in stack.lock.wheels}
    if output == "json":
        data = {
            "subject": bill.subject,
            "path": None if file is None else str(file.resolve()),
            "packages": len(packages),
            "models": len(bill.models),
            "sbom": json.loads(text) if file is None else None,
        }
        print_envelope(Envelope(command="sbom", status="ok", data=data))
    elif file is None:
        click.echo(text, nl=False)
    else:
        models = f"{len(bill.models)} model{'' if len(bill.models) == 1 else 's'}"
        click.echo(f"wrote {file}: {len(packages)} packages and {models} of {bill.subject}")
