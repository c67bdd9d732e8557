"""Asks what is known against the packages of the active generation, or of `provision.lock`."""

from __future__ import annotations

from provision.actions.context import Context
from provision.actions.known_locks import load_lock_document
from provision.actions.lock import load_kept_lock
from provision.actions.resolve import load_package_settings
from provision.core.audit import (
    AuditSubject,
    Verdict,
    build_packages,
    build_question,
    join_verdicts,
    needs_asking,
    parse_pip_audit,
    parse_uv_audit,
)
from provision.errors import UsageError
from provision.model.audit import Audit, ServiceAnswer
from provision.system.lockfile import LOCKFILE_NAME
from provision.system.store import Store
from provision.system.uv import find_uv
from provision.system.vulnerabilities import ask_osv, ask_pypi


def audit(ctx: Context, *, use_lockfile: bool = False, service_url: str | None = None) -> Audit:
    """Ask OSV, and PyPI for what OSV could not be asked about. What nobody answers is a value.

    `service_url` is a service that speaks OSV's protocol, to be asked in its place. Raises UsageError when
    there is nothing to audit, BadFileError or StateError when it cannot be read.
    """
    subject, subjects = _find_subjects(ctx, use_lockfile=use_lockfile)
    answered: dict[str, None] = {}
    verdicts: dict[str, dict[str, Verdict]] = {}
    for stack in subjects:
        ctx.reporter.step(f"asking about {len(stack.lock.wheels)} packages of stack {stack.name}")
        verdicts[stack.name] = _ask(ctx, build_question(stack.lock), service_url, answered)
    return Audit(subject=subject, services=tuple(answered), packages=build_packages(subjects, verdicts))


def _find_subjects(ctx: Context, *, use_lockfile: bool) -> tuple[str, tuple[AuditSubject, ...]]:
    store = Store(ctx.root)
    active = None if use_lockfile else store.load_active()
    if active is not None:
        return f"generation {active.number}", tuple(
            AuditSubject(
                name=stack.name, models=stack.models, lock=load_kept_lock(store, active.number, stack)
            )
            for stack in active.stacks
        )
    document = load_lock_document(ctx.root)
    if document is None:
        raise UsageError(
            f"nothing was applied here yet, and there is no {LOCKFILE_NAME}", hint="provision lock"
        )
    return LOCKFILE_NAME, tuple(
        AuditSubject(name=stack.name, models=stack.models, lock=document.locks[stack.name])
        for stack in document.lockfile.stacks
    )


def _ask(
    ctx: Context, asked: dict[str, str], service_url: str | None, answered: dict[str, None]
) -> dict[str, Verdict]:
    settings = load_package_settings(ctx)
    answer = ask_osv(find_uv(), asked, env=ctx.env, settings=settings, service_url=service_url)
    verdicts = parse_uv_audit(answer, asked)
    _note(answer, verdicts, answered)
    left = {name: asked[name] for name in needs_asking(verdicts)}
    if not left:
        return verdicts
    answer = ask_pypi(left, env=ctx.env, settings=settings, service_url=service_url)
    second = parse_pip_audit(answer, left)
    _note(answer, second, answered)
    return join_verdicts(verdicts, second)


def _note(answer: ServiceAnswer, verdicts: dict[str, Verdict], answered: dict[str, None]) -> None:
    """A service that skipped every package has not answered."""
    if len(needs_asking(verdicts)) < len(verdicts):
        answered.setdefault(answer.service)
