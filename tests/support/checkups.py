"""A checkup whose every part is given, for tests of checks."""

from __future__ import annotations

from msgspec import Struct

from provision.core.cures import build_place
from provision.model.checkup import (
    ComputedEnvironment,
    ConfigView,
    InspectedEnvironment,
    Place,
    PythonView,
    Scope,
    Shell,
    Space,
    StackState,
    StateView,
)
from provision.model.environment import KnownPairs, LibraryFolder
from provision.model.facts import Condition, ConditionId, Distribution, Facts, Host
from provision.model.network import NetworkView
from provision.model.profile import ProfileFit, TorchBuild
from provision.model.smoke import SmokeResult
from tests.support.machines import LINUX, make_facts

UBUNTU = Distribution(id="ubuntu", name="Ubuntu 24.04.3 LTS", version_id="24.04", like=("debian",))


class FakeCheckup(Struct, kw_only=True):
    """Stands for what the doctor finds out. The defaults are a healthy machine without a GPU."""

    scope: Scope = Scope()
    facts: Facts = make_facts()
    place: Place = Place(host=LINUX, shell=Shell.POSIX)
    env: dict[str, str] = {}
    fits: tuple[ProfileFit, ...] = ()
    profile: str | None = "cpu"
    obstacle: str | None = None
    build: TorchBuild | None = None
    python: PythonView = PythonView(
        version="3.12.3", implementation="cpython", bits=64, libc="glibc 2.39", free_threaded=False
    )
    uv: tuple[str | None, str | None] = ("uv 0.9.0", None)
    spaces: tuple[Space, ...] = ()
    shared_memory_bytes: int | None = 2**33
    memory_limit_bytes: int | None = None
    state: StateView = StateView(generation=None)
    stacks: tuple[StackState, ...] = ()
    weights_problems: tuple[str, ...] = ()
    weights_altered: tuple[str, ...] = ()
    config: ConfigView = ConfigView(exists=False)
    smoke: tuple[SmokeResult, ...] = ()
    network: NetworkView = NetworkView()
    environments: tuple[InspectedEnvironment, ...] = ()
    computed: tuple[ComputedEnvironment, ...] = ()
    known_pairs: KnownPairs = KnownPairs(schema=1, torch_pairs=(), bad_pairs=())
    library_folders: tuple[LibraryFolder, ...] = ()


def make_host(**changes: object) -> Host:
    """Ubuntu on x86_64, with changes."""
    fields: dict[str, object] = {
        "system": "Linux",
        "release": "6.8.0",
        "machine": "x86_64",
        "python_version": "3.12.3",
        "distribution": UBUNTU,
    }
    return Host(**(fields | changes))  # type: ignore[arg-type]


def make_checkup(facts: Facts, **changes: object) -> FakeCheckup:
    """A checkup of that machine; cures are for its system and a user who is not root."""
    place = build_place(facts.host, {"SHELL": "/bin/bash"}, superuser=False)
    return FakeCheckup(**({"facts": facts, "place": place} | changes))  # type: ignore[arg-type]


def make_condition(condition_id: ConditionId, message: str) -> Condition:
    """A condition with a sentence of the test's own."""
    return Condition(id=condition_id, message=message)
