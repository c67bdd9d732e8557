"""Asks what is known against the packages of the active generation, or of `provision.lock`."""

from __future__ import annotations

from urllib.parse import urlsplit

from provision.actions.context import Context
from provision.actions.known_locks import load_lock_document
from provision.actions.locked_stacks import load_kept_lock
from provision.actions.uv_setup import load_package_settings
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

_SERVICE_HINT = "provision audit --service-url https://HOST   # one that this machine may ask without a login"


def audit(ctx: Context, *, use_lockfile: bool = False, service_url: str | None = None) -> Audit:
    """Ask OSV, and PyPI for what OSV could not be asked about. What nobody answers is a value.

    `service_url` is a service that speaks OSV's protocol, to be asked in its place. Raises UsageError when
    there is nothing to audit or the address may not be used, BadFileError or StateError when what is to be audited
    cannot be read.
    """
    if service_url is not None:
        _check_service(service_url)
    subject, subjects = _find_subjects(ctx, use_lockfile=use_lockfile)
    answered: dict[str, None] = {}
    verdicts: dict[str, dict[str, Verdict]] = {}
    for stack in subjects:
        ctx.reporter.step(f"asking about {len(stack.lock.wheels)} packages of stack {stack.name}")
        verdicts[stack.name] = _ask(ctx, build_question(stack.lock), service_url, answered)
    return Audit(subject=subject, services=tuple(answered), packages=build_packages(subjects, verdicts))


def _check_service(service_url: str) -> None:
    """Raise UsageError for a login in the address: uv and pip-audit take it as an argument, for all to read."""
    try:
        parts = urlsplit(service_url)
    except ValueError as error:
        raise UsageError(f"--service-url is no address: {error}", hint=_SERVICE_HINT) from error
    if "@" in parts.netloc:
        raise UsageError(
            "--service-url (PROVISION_OSV_URL) holds a login, which would stand on a command line for all to read",
            hint=_SERVICE_HINT,
        )
    # What it says is not repeated: without a scheme, a login in it is not told from the rest.
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UsageError(
            "--service-url (PROVISION_OSV_URL) does not begin with https://HOST", hint=_SERVICE_HINT
        )


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
