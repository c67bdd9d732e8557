"""The checks of `provision doctor`, a module each group: a new check is one function and one row there."""

from __future__ import annotations

from provision.core.checks import (
    container,
    driver,
    fit,
    hardware,
    interpreter,
    network,
    resources,
    stacks,
    state,
    variables,
)
from provision.core.checks.check import Check, Checkup, Needs, run_checks

# The order in which findings are shown: from the metal to what the models read.
_GROUPS = (
    "hardware",
    "driver",
    "container",
    "wsl",
    "disk",
    "memory",
    "network",
    "python",
    "tool",
    "profile",
    "state",
    "stack",
    "deep",
    "weights",
    "config",
    "smoke",
    "environment",
)
_MODULES = (hardware, driver, container, fit, resources, network, interpreter, state, stacks, variables)


def _build_registry() -> dict[str, Check]:
    checks = sorted(
        (check for module in _MODULES for check in module.CHECKS),
        key=lambda check: _GROUPS.index(check.group),
    )
    return {check.id: check for check in checks}


CHECKS: dict[str, Check] = _build_registry()

__all__ = ["CHECKS", "Check", "Checkup", "Needs", "run_checks"]
