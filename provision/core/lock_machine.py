"""The machine that a `provision.lock` is for, as far as the lock tells: platform and Python, no device."""

from __future__ import annotations

import json

from provision.model.facts import Host, Outcome, Probe, Reading
from provision.model.lockfile import Lockfile

# What a system calls itself, by the word for it in a platform.
_SYSTEMS = {"linux": "Linux", "windows": "Windows", "macos": "Darwin"}


def is_for_machine(lockfile: Lockfile, host: Host) -> bool:
    """Whether `host` runs the platform and the Python that the lock is for."""
    return host.platform == lockfile.platform and host.python_version.startswith(f"{lockfile.python}.")


def build_lock_probe(lockfile: Lockfile) -> Probe:
    """What a probe of the lock's machine would say of its system: enough to resolve for it again."""
    system, _, machine = lockfile.platform.partition("-")
    host = {
        "system": _SYSTEMS.get(system, system),
        "machine": machine,
        "python_version": f"{lockfile.python}.0",
    }
    reading = Reading(source="host", outcome=Outcome.OK, origin="provision.lock", text=json.dumps(host))
    return Probe(created="", readings=(reading,))
