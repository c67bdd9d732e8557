"""What the doctor's checks look at on this machine, apart from the facts of the machine itself."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from provision.model.environment import EnvironmentReport
from provision.model.facts import Host
from provision.model.finding import Finding
from provision.model.into import CutChange


class Shell(StrEnum):
    """The shells whose syntax for variables is known."""

    POSIX = "sh"
    FISH = "fish"
    CSH = "csh"
    POWERSHELL = "powershell"
    CMD = "cmd"


class Place(Struct, frozen=True, kw_only=True):
    """Where a cure is to be typed. `wsl_name` is the distribution's name to Windows, if it is told.

    `root` is the application's folder where it is another one than commands take by themselves.
    """

    host: Host
    shell: Shell
    superuser: bool = False
    wsl_name: str | None = None
    root: str | None = None


class Scope(Struct, frozen=True, kw_only=True):
    """How far this run looks. `elsewhere`: the machine is another one, pasted or saved."""

    elsewhere: bool = False
    network: bool = False
    deep: bool = False


class Space(Struct, frozen=True, kw_only=True):
    """A folder that will be filled, and its file system. `device` tells file systems apart; sizes in bytes.

    `purpose` is what it is for, such as `uv's cache`; `path` is the folder or its nearest parent that exists;
    `missing` is the folder where it does not exist yet.
    """

    purpose: str
    path: str
    device: int
    free_bytes: int
    writable: bool = True
    missing: str | None = None


class PythonView(Struct, frozen=True, kw_only=True):
    """The interpreter that stacks are made from. `libc` is such as `glibc 2.36`, None where there is none."""

    version: str
    implementation: str
    bits: int
    libc: str | None
    free_threaded: bool


class StackState(Struct, frozen=True, kw_only=True):
    """A stack of the active generation: `problem` is None when it is complete and unaltered."""

    name: str
    path: str
    problem: str | None
    packages: int


class LockState(StrEnum):
    """free: nobody works here; held: somebody does; stale: somebody did and left without saying so."""

    FREE = "free"
    HELD = "held"
    STALE = "stale"


class StateView(Struct, frozen=True, kw_only=True):
    """The state folder. `problem` is why it cannot be read; `leftovers` are paths relative to it.

    `profile` is what the active generation was made by; `unreadable` are the numbers of damaged ones.
    `pending_problem` is why the record of an activation cannot be read; `pending` is the number of a
    generation whose activation was cut short; `lock_holder` a sentence. `former` is the newest generation that
    could be active at once, looked for only where the active one is damaged. `cut_changes` are of environments that
    `apply --into` changes, one that is under way too.
    """

    generation: int | None
    profile: str | None = None
    problem: str | None = None
    pending: int | None = None
    pending_problem: str | None = None
    unreadable: tuple[int, ...] = ()
    lock: LockState = LockState.FREE
    lock_holder: str = ""
    leftovers: tuple[str, ...] = ()
    cut_changes: tuple[CutChange, ...] = ()
    former: int | None = None


class ConfigView(Struct, frozen=True, kw_only=True):
    """config.yaml at `path`. `problem` is why it cannot be read; `drift` lists owned keys that were changed."""

    exists: bool
    path: str = ""
    problem: str | None = None
    drift: tuple[str, ...] = ()


class InspectedEnvironment(Struct, frozen=True, kw_only=True):
    """An environment with the name that findings give it: `stack main`, or the folder of the user's own."""

    subject: str
    report: EnvironmentReport


class ComputedEnvironment(Struct, frozen=True, kw_only=True):
    """What the torch of an environment computed, one finding for each of the deep checks."""

    subject: str
    findings: tuple[Finding, ...]
