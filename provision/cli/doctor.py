"""`provision doctor`"""

from __future__ import annotations

import os
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from provision.cli.options import build_context, machine_options, read_probe, root_options
from provision.cli.output import Envelope, ErrorLine, print_envelope
from provision.errors import ExitCode, UsageError
from provision.model.finding import Examination, Finding, Severity

if TYPE_CHECKING:
    from provision.actions.context import Context
    from provision.actions.doctor_fix import Outcome

_COLOURS = {
    Severity.PASS: "green",
    Severity.WARN: "yellow",
    Severity.FAIL: "red",
    Severity.SKIP: "bright_black",
}
_BUG_HINT = "please report it with the output of: provision detect --output json"


@click.command("doctor")
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help="These checks only: an id, a group such as `driver`, or a pattern; may be given again.",
)
@click.option("--list", "list_only", is_flag=True, help="Name the checks and leave.")
@click.option("--network", is_flag=True, help="Also ask package sources and the Hub, which takes seconds.")
@click.option("--deep", is_flag=True, help="Also hash every file and compute in each stack: minutes.")
@click.option(
    "--into",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="ENV",
    help="Also look into an environment of your own.",
)
@click.option(
    "--fix", is_flag=True, help="Repair what is the tool's own: state, stacks, weights, config.yaml."
)
@click.option("--dry-run", is_flag=True, help="With --fix: show what would be done, and do nothing.")
@click.option(
    "--output",
    type=click.Choice(["text", "json", "junit"]),
    default="text",
    envvar="PROVISION_OUTPUT",
    show_default=True,
    help="What stdout carries: text for people, one JSON envelope, or JUnit XML.",
)
@machine_options
@root_options
def doctor_command(
    *,
    only: tuple[str, ...],
    list_only: bool,
    network: bool,
    deep: bool,
    into: Path | None,
    probe_path: Path | None,
    paste: str | None,
    fix: bool,
    dry_run: bool,
    output: str,
    root: Path,
    profiles_dir: Path | None,
) -> int:
    """Check the machine, the stacks, the weights and config.yaml; say what is wrong and the cure.

    Exits with 0 when nothing failed, with 1 when something did, with 70 when a check itself broke.

    \b
    provision doctor
    provision doctor --only driver --only 'network.*' --network
    provision doctor --fix --dry-run
    """
    from provision.actions.doctor import examine

    if os.environ.get("NO_COLOR"):
        click.get_current_context().color = False  # Click leaves https://no-color.org to programs
    if list_only and output == "junit":
        raise UsageError("--list has no JUnit form", hint="provision doctor --list --output json")
    if list_only:
        return _list_checks(only, output)
    elsewhere = bool(probe_path or paste)
    _refuse_contradictions(fix=fix, dry_run=dry_run, elsewhere=elsewhere)
    here_only = {"--network": network, "--deep": deep, "--into": into is not None}
    asked = [option for option, given in here_only.items() if given]
    if elsewhere and asked:
        raise UsageError(f"{asked[0]} looks at this machine, not at another", hint="provision doctor --help")
    ctx = build_context(
        root=root, profiles_dir=profiles_dir, output="text" if fix and output == "text" else "json"
    )
    probe = read_probe(paste, probe_path, ctx)
    looked = {"only": only, "network": network, "deep": deep, "into": into, "probe": probe}
    before = examine(ctx, **looked)  # type: ignore[arg-type]
    outcomes = _repair(ctx, before, output, dry_run=dry_run) if fix else None
    after = examine(ctx, **looked) if any(item.done for item in outcomes or ()) else before  # type: ignore[arg-type]
    _print(output, before, after, outcomes)
    return _conclude(after)


def _refuse_contradictions(*, fix: bool, dry_run: bool, elsewhere: bool) -> None:
    if dry_run and not fix:
        raise UsageError("--dry-run belongs to --fix", hint="provision doctor --fix --dry-run")
    if fix and elsewhere:
        raise UsageError("another machine cannot be repaired from here", hint="provision doctor --fix")


def _conclude(after: Examination) -> int:
    for check in after.broken:
        click.secho("error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(f"the check {check.id} broke: {check.error}", err=True)
    if after.broken:
        return int(ExitCode.BUG)
    return int(ExitCode.NO if after.failed else ExitCode.OK)


def _list_checks(only: tuple[str, ...], output: str) -> int:
    from provision.actions.doctor import choose_checks

    checks = choose_checks(only)
    if output == "json":
        rows = [{"id": check.id, "group": check.group, "question": check.question} for check in checks]
        print_envelope(Envelope(command="doctor", status="ok", data={"checks": rows}))
        return int(ExitCode.OK)
    width = max(len(check.id) for check in checks)
    for group, members in groupby(checks, key=lambda check: check.group):
        click.secho(group, bold=True)
        for check in members:
            click.echo(f"  {check.id:<{width}}  {check.question}")
    return int(ExitCode.OK)


def _repair(ctx: Context, before: Examination, output: str, *, dry_run: bool) -> tuple[Outcome, ...]:
    from provision.actions.doctor_fix import carry_out, describe_dry_run, plan_repairs

    repairs = plan_repairs(ctx, before.findings)
    if output == "text":
        click.echo("to be repaired:" if repairs else "nothing here is the tool's own to repair")
        for repair in repairs:
            click.echo(f"  {repair.title} ({', '.join(repair.findings)})")
        click.echo()
    return describe_dry_run(repairs) if dry_run else carry_out(ctx, repairs)


def _print(
    output: str, before: Examination, after: Examination, outcomes: tuple[Outcome, ...] | None
) -> None:
    if output == "json":
        print_envelope(_build_envelope(before, after, outcomes))
    elif output == "junit":
        from provision.core.junit import render_junit

        click.echo('<?xml version="1.0" encoding="UTF-8"?>')
        click.echo(render_junit(after))
    else:
        _print_text(after)
        if outcomes is not None and any(item.done or item.error for item in outcomes):
            _print_changes(before, after)


def _build_envelope(
    before: Examination, after: Examination, outcomes: tuple[Outcome, ...] | None
) -> Envelope:
    data: dict[str, Any] = {"findings": [_build_row(finding) for finding in after.findings]}
    if outcomes is not None:
        data["repairs"] = outcomes
        data["before"] = [_build_row(finding) for finding in before.findings]
    status = "error" if after.broken else "no" if after.failed else "ok"
    errors = [
        ErrorLine(
            message=f"the check {check.id} broke: {check.error}", hint=_BUG_HINT, exit_code=int(ExitCode.BUG)
        )
        for check in after.broken
    ]
    return Envelope(command="doctor", status=status, data=data, findings=after.findings, errors=errors)


def _build_row(finding: Finding) -> dict[str, Any]:
    return {"group": finding.group, **msgspec.to_builtins(finding)}


def _print_text(examination: Examination) -> None:
    findings = examination.findings
    width = max((len(finding.id) for finding in findings), default=0)
    for group, members in groupby(findings, key=lambda finding: finding.group):
        click.secho(group, bold=True)
        for finding in members:
            _print_finding(finding, width)
    counts = Counter(finding.severity for finding in findings)
    click.echo("\n" + ", ".join(f"{counts[severity]} {severity}" for severity in Severity))


def _print_finding(finding: Finding, width: int) -> None:
    subject = f"{finding.subject}: " if finding.subject else ""
    click.secho(f"  {finding.severity:<5}", fg=_COLOURS[finding.severity], nl=False)
    click.echo(f"{finding.id:<{width}}  {subject}{finding.evidence}")
    if finding.cure:
        click.echo(f"{'':<7}{'':<{width}}  cure: {finding.cure}")


def _print_changes(before: Examination, after: Examination) -> None:
    from provision.actions.doctor_fix import compare

    click.echo("\nbefore and after the repair:")
    for former, now in compare(before, after):
        subject = f" ({former.subject})" if former.subject else ""
        click.echo(f"  {former.id}{subject}: {former.severity} -> {now.severity if now else 'gone'}")
