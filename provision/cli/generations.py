"""`provision generations`"""

from __future__ import annotations

from pathlib import Path

import click

from provision.cli.options import build_context, output_option, root_options
from provision.cli.output import Envelope, print_envelope


@click.command("generations")
@output_option
@root_options
def generations_command(output: str, root: Path, profiles_dir: Path | None) -> None:
    """List what was applied here, the active generation marked."""
    from provision.actions.generations import list_generations

    rows = list_generations(build_context(root=root, profiles_dir=profiles_dir, output=output))
    if output == "json":
        print_envelope(Envelope(command="generations", status="ok", data={"generations": rows}))
        return
    if not rows:
        click.echo("nothing was applied here yet; to begin: provision apply auto")
    for row in rows:
        mark = "*" if row.active else " "
        click.echo(f"{mark} {row.number:>3}  {row.created}  {row.profile:<11} {', '.join(row.models)}")
        if row.problem is not None:
            cure = "; provision rollback builds it again" if row.restorable and not row.active else ""
            click.echo(f"       not whole: {row.problem}{cure}")
        for again in row.activated[1:]:
            click.echo(f"       active again {again}")
