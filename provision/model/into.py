"""A change of an environment that a user keeps: what is planned, what is saved before it, what was left."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from provision.model.packages import SourceAttempt


class ChangeKind(StrEnum):
    """What happens to a package. `repair`: the same version again, since its files are not as installed."""

    ADD = "add"
    CHANGE = "change"
    REPAIR = "repair"
    REMOVE = "remove"


class PackageChange(Struct, frozen=True, kw_only=True):
    """One package: the version before (None: absent) and after (None: removed), and why where it is not the lock."""

    name: str
    kind: ChangeKind
    before: str | None
    after: str | None
    reason: str = ""


class Conflict(Struct, frozen=True, kw_only=True):
    """A package that stays and will not have what it asks for. `found` is None where it is not there at all."""

    package: str
    requirement: str
    found: str | None

    @property
    def sentence(self) -> str:
        """As uv would say it, shorter."""
        found = f"and {self.found} would be installed" if self.found else "which would not be installed"
        return f"{self.package} asks for {self.requirement}, {found}"


class IntoPlan(Struct, frozen=True, kw_only=True):
    """Everything that would change in the environment at `prefix`.

    `unchanged` are packages of the lock that are there as it wants them, `kept` those that are the user's own
    affair. `conflicts` are those that the change would make; `download_bytes` is at most what is fetched.
    `generation` is the number of the one that would be made, None when nothing is to do, not even to verify;
    `files` are written besides.
    """

    profile: str
    models: tuple[str, ...]
    prefix: str
    python: str
    torch: str
    tag: str
    lock_sha256: str
    changes: tuple[PackageChange, ...]
    unchanged: tuple[str, ...]
    kept: tuple[str, ...]
    conflicts: tuple[Conflict, ...]
    warnings: tuple[str, ...]
    download_bytes: int
    attempts: tuple[SourceAttempt, ...]
    generation: int | None = None
    files: tuple[str, ...] = ()

    def list_changes(self, *kinds: ChangeKind) -> tuple[PackageChange, ...]:
        """The changes of these kinds, by name."""
        return tuple(change for change in self.changes if change.kind in kinds)


class InterpreterView(Struct, frozen=True, kw_only=True):
    """What an environment's own python says of itself. `site_dirs` are its purelib and platlib, distinct."""

    version: str
    implementation: str
    prefix: str
    base_prefix: str
    externally_managed: bool
    site_dirs: tuple[str, ...]
    scripts_dir: str


class SavedKind(StrEnum):
    """What lay at a path."""

    FILE = "file"
    LINK = "link"
    FOLDER = "folder"


class SavedEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One path as it was, relative to the prefix. `mode` are permission bits, `mtime_ns` as of lstat.

    A file has `size_bytes`, `sha256` and the name `blob` of what keeps its bytes, which is a copy or, where `linked`,
    the file itself under a second name; a link has its `target`.
    """

    path: str
    kind: SavedKind
    mode: int
    mtime_ns: int
    owner: tuple[int, int]
    size_bytes: int = 0
    sha256: str = ""
    blob: str = ""
    linked: bool = False
    target: str = ""


class Scope(Struct, frozen=True, kw_only=True):
    """Which paths a change may touch, relative to the prefix.

    `unlinked` are removed before anything is written, `shared` of them are also listed by a package that stays, and
    uv may leave these; `written` are files of the new packages; `info_dirs` the metadata folders of both, whole;
    `swept_dirs` where bytecode and installers' temporary files may appear.
    """

    unlinked: frozenset[str]
    written: frozenset[str]
    info_dirs: frozenset[str]
    swept_dirs: tuple[str, ...]
    shared: frozenset[str] = frozenset()

    @property
    def written_over(self) -> frozenset[str]:
        """What may still be there when the new files are written."""
        return (self.written - self.unlinked) | self.shared


class Snapshot(Struct, frozen=True, kw_only=True):
    """The manifest of a snapshot, written last: without it there is none.

    `absent` are paths of the scope where nothing was; `fleeting` bytecode and temporary files that were there.
    """

    schema: int = 1
    prefix: str
    created: str
    freeze: tuple[str, ...]
    entries: tuple[SavedEntry, ...]
    absent: tuple[str, ...]
    info_dirs: tuple[str, ...]
    swept_dirs: tuple[str, ...]
    fleeting: tuple[str, ...]
    copied_bytes: int
    linked_bytes: int


class FinishedChange(Struct, frozen=True, kw_only=True):
    """The last change that succeeded.

    `freeze` lists what was installed after it, `after` the size and mtime_ns of what it left, by path.
    """

    prefix: str
    snapshot: str
    profile: str
    created: str
    generation: int
    freeze: tuple[str, ...]
    after: dict[str, tuple[int, int]]


class Journal(Struct, frozen=True, kw_only=True):
    """A change that has begun: the folder of its snapshot. `finished` is what it will have been.

    It is set when all is verified; once the generation that it names is active, the change stands. While `staging`
    nothing of the environment was touched yet.
    """

    prefix: str
    snapshot: str
    finished: FinishedChange | None = None
    staging: bool = False


class CutKind(StrEnum):
    """Where a change was when it was cut short; lost: its record cannot be read; record: that of a finished one."""

    STAGING = "staging"
    CHANGING = "changing"
    VERIFIED = "verified"
    LOST = "lost"
    RECORD = "record"


class CutChange(Struct, frozen=True, kw_only=True):
    """A change of an environment that is not settled. `place` is the environment, for a damaged record its path."""

    kind: CutKind
    place: str

    @property
    def sentence(self) -> str:
        """What became of it."""
        match self.kind:
            case CutKind.STAGING:
                return f"a change of {self.place} was cut short before anything of it was touched"
            case CutKind.CHANGING:
                return f"a change of {self.place} was cut short, and it may be half changed"
            case CutKind.VERIFIED:
                return f"a change of {self.place} was cut short at its end, when all was verified"
            case CutKind.LOST:
                return (
                    f"{self.place} cannot be read, nor do the snapshots beside it tell which change it was of"
                )
            case CutKind.RECORD:
                return f"{self.place} cannot be read, so the change that it tells of can be undone no more"
