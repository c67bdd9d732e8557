"""`provision audit`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from provision.cli.options import build_context, output_option, root_options
from provision.cli.output import Envelope, print_envelope, print_error
from provision.errors import DownloadError, ExitCode

if TYPE_CHECKING:
    from provision.model.audit import Audit, AuditedPackage


@click.command("audit")
@click.option("--lock", "use_lockfile", is_flag=True, help="Audit provision.lock, not the active generation.")
@click.option(
    "--service-url",
    metavar="URL",
    envvar="PROVISION_OSV_URL",
    help="A service that speaks OSV's protocol, in place of OSV.",
)
@output_option
@root_options
def audit_command(
    *, use_lockfile: bool, service_url: str | None, output: str, root: Path, profiles_dir: Path | None
) -> int:
    """Ask OSV and PyPI for known vulnerabilities of the locked packages.

    Exits with 0 when every package was asked about and nothing is known, with 1 when something is, with 5 when
    a package could not be asked about.
    """
    from provision.actions.audit import audit
    from provision.model.audit import AuditStatus

    ctx = build_context(root=root, profiles_dir=profiles_dir, output=output)
    result = audit(ctx, use_lockfile=use_lockfile, service_url=service_url)
    vulnerable, unasked = result.select(AuditStatus.VULNERABLE), result.select(AuditStatus.NOT_AUDITED)
    if output == "text":
        _print_text(result)
    if unasked and not vulnerable:
        error = DownloadError(
            f"{len(unasked)} of {len(result.packages)} packages could not be audited: {unasked[0].reason}",
            hint="provision doctor --network   # or name a service that answers: --service-url URL",
        )
        print_error(error, command="audit", output=output, data=build_audit_data(result))
        return int(ExitCode.DOWNLOAD)
    if output == "json":
        status = "no" if vulnerable else "ok"
        print_envelope(Envelope(command="audit", status=status, data=build_audit_data(result)))
    return int(ExitCode.NO if vulnerable else ExitCode.OK)


def build_audit_data(audit: Audit) -> dict[str, Any]:
    """The `data` of `audit`."""
    from provision.model.audit import AuditStatus

    return {
        "subject": audit.subject,
        "services": audit.services,
        "counts": {str(status): len(audit.select(status)) for status in AuditStatus},
        "packages": audit.packages,
    }


def _print_text(audit: Audit) -> None:
    from provision.model.audit import AuditStatus

    for package in audit.select(AuditStatus.VULNERABLE):
        _print_package(package)
    unasked = audit.select(AuditStatus.NOT_AUDITED)
    by_reason: dict[str, list[str]] = {}
    for package in unasked:
        by_reason.setdefault(package.reason or "", []).append(f"{package.name} {package.version}")
    for reason, names in by_reason.items():
        rest = f" and {len(names) - 4} more" if len(names) > 4 else ""
        click.secho("not audited", fg="yellow", nl=False)
        click.echo(f"  {', '.join(names[:4])}{rest}: {reason}")
    asked = len(audit.packages) - len(unasked)
    if asked:
        known = len(audit.select(AuditStatus.VULNERABLE))
        what = f"{known} with known vulnerabilities" if known else "nothing known"
        click.echo(f"{audit.subject}: {asked} packages audited with {' and '.join(audit.services)}: {what}")


def _print_package(package: AuditedPackage) -> None:
    where = f"stack {', '.join(package.stacks)}: {', '.join(package.models)}"
    click.secho(f"{package.name} {package.version}", bold=True, nl=False)
    click.echo(f"  ({where})")
    for known in package.vulnerabilities:
        cure = f"fixed in {', '.join(known.fixed_in)}" if known.fixed_in else "no version is free of it yet"
        click.secho(f"  {known.id}", fg="red", nl=False)
        click.echo(f"  {cure}" + (f"  ({', '.join(known.aliases)})" if known.aliases else ""))
        if known.summary:
            click.secho(f"    {known.summary}", dim=True)
