"""Chooses checks and runs them over this machine, or over another one of which a probe is given."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from provision.actions.checkup import LiveCheckup
from provision.actions.context import Context
from provision.core.checks import CHECKS, Check, run_checks
from provision.errors import UsageError
from provision.model.checkup import Scope
from provision.model.facts import Probe
from provision.model.finding import Examination


def examine(
    ctx: Context,
    *,
    only: Sequence[str] = (),
    network: bool = False,
    deep: bool = False,
    into: Path | None = None,
    probe: Probe | None = None,
) -> Examination:
    """Run the checks that `only` names, or all, and give every finding.

    `network` also asks addresses, and `deep` reads and computes, which both take seconds. `into` is an
    environment of the user's. With `probe` the machine is the one that it was taken from. Raises UsageError
    for an unknown check and BadFileError for a profile that cannot be read.
    """
    checks = choose_checks(only)
    scope = Scope(elsewhere=probe is not None, network=network, deep=deep)
    return run_checks(checks, LiveCheckup(ctx, scope=scope, into=into, probe=probe))


def choose_checks(only: Sequence[str]) -> tuple[Check, ...]:
    """The checks that ids, groups and patterns such as `driver.*` name, in the registry's order; all for none.

    Raises UsageError that names the nearest for one that fits nothing.
    """
    if not only:
        return tuple(CHECKS.values())
    groups = list(dict.fromkeys(check.group for check in CHECKS.values()))
    chosen: set[str] = set()
    for name in only:
        found = {check.id for check in CHECKS.values() if _fits(check, name)}
        if not found:
            near = difflib.get_close_matches(name, [*CHECKS, *groups], n=1)
            hint = f"provision doctor --only {near[0]}" if near else "provision doctor --list"
            raise UsageError(f"there is no check and no group {name!r}", hint=hint)
        chosen |= found
    return tuple(check for check in CHECKS.values() if check.id in chosen)


def _fits(check: Check, name: str) -> bool:
    return name in (check.id, check.group) or fnmatchcase(check.id, name)
