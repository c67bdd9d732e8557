"""`provision doctor`"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from provision.cli.options import build_context, output_option, root_options
from provision.cli.output import Envelope, print_envelope
from provision.errors import ExitCode
from provision.model.finding import Finding, Severity

_COLOURS = {
    Severity.PASS: "green",
    Severity.WARN: "yellow",
    Severity.FAIL: "red",
    Severity.SKIP: "bright_black",
}


@click.command("doctor")
@click.option("--only", multiple=True, metavar="ID", help="Run this check only; may be given again.")
@click.option("--list", "list_only", is_flag=True, help="Name the checks and leave.")
@click.option("--network", is_flag=True, help="Also ask the sources of packages, which takes seconds.")
@output_option
@root_options
def doctor_command(
    only: tuple[str, ...], list_only: bool, network: bool, output: str, root: Path, profiles_dir: Path | None
) -> int:
    """Check the machine, the stacks, the weights and config.yaml; say what is wrong and the cure.

    Exits with 0 when nothing failed, with 1 when something did.
    """
    from provision.actions.doctor import examine
    from provision.core.checks import CHECKS

    if list_only:
        questions = {name: (check.__doc__ or "").strip() for name, check in CHECKS.items()}
        if output == "json":
            checks = [{"id": name, "question": question} for name, question in questions.items()]
            print_envelope(Envelope(command="doctor", status="ok", data={"checks": checks}))
        else:
            for name, question in questions.items():
                click.echo(f"{name:<18} {question}")
        return int(ExitCode.OK)
    ctx = build_context(root=root, profiles_dir=profiles_dir, output="json")
    findings = examine(ctx, only=only, network=network)
    failed = any(finding.severity is Severity.FAIL for finding in findings)
    if output == "json":
        status = "no" if failed else "ok"
        print_envelope(
            Envelope(command="doctor", status=status, data={"findings": findings}, findings=findings)
        )
    else:
        _print_text(findings)
    return int(ExitCode.NO if failed else ExitCode.OK)


def _print_text(findings: tuple[Finding, ...]) -> None:
    for finding in findings:
        click.secho(f"{finding.severity:<5}", fg=_COLOURS[finding.severity], nl=False)
        click.echo(f"{finding.id:<18} {finding.evidence}")
        if finding.cure:
            click.echo(f"{'':<5}{'':<18} cure: {finding.cure}")
    counts = Counter(finding.severity for finding in findings)
    click.echo(", ".join(f"{counts[severity]} {severity}" for severity in Severity))
