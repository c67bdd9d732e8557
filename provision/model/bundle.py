"""A bundle: wheels, weights and locks in one file, for a machine that has no network."""

from __future__ import annotations

from msgspec import Struct

SCHEMA = 1


class Member(Struct, frozen=True, kw_only=True):
    """One file of the archive. `name` has forward slashes and no folder above its own; `sha256` is in hex."""

    name: str
    size_bytes: int
    sha256: str


class BundledWheel(Struct, frozen=True, kw_only=True):
    """A locked package and the file of it that the target takes; `member` is its name in the archive."""

    name: str
    version: str
    member: str


class BundledStack(Struct, frozen=True, kw_only=True):
    """A resolved stack: what asked for it, the offer of torch in it, its lock and the files of that lock."""

    name: str
    models: tuple[str, ...]
    requirements: tuple[str, ...]
    torchvision_needed: bool
    torch: str
    torchvision: str | None
    tag: str
    lock_sha256: str
    wheels: tuple[BundledWheel, ...]

    @property
    def lock_member(self) -> str:
        """Where the lock's text is in the archive."""
        return f"locks/{self.name}.txt"


class BundledModel(Struct, frozen=True, kw_only=True):
    """A model whose files are in the archive, below `folder`. `repo_id` is None for an embedded one."""

    key: str
    revision: str
    repo_id: str | None

    @property
    def folder(self) -> str:
        """The folder of its files in the archive, without the slash at the end."""
        return f"weights/{self.key}"


class BundleTarget(Struct, frozen=True, kw_only=True):
    """The machine that the bundle is for: `platform` as in profiles, `python` as in 3.12, GPUs in words."""

    profile: str
    platform: str
    python: str
    gpus: tuple[str, ...] = ()


class BundleManifest(Struct, frozen=True, kw_only=True):
    """`bundle.json`, the first file of the archive. `members` are all others, in their order."""

    schema: int = SCHEMA
    provision: str
    created: str
    target: BundleTarget
    models: tuple[str, ...]
    stacks: tuple[BundledStack, ...]
    weights: tuple[BundledModel, ...]
    members: tuple[Member, ...]

    @property
    def content_bytes(self) -> int:
        """Bytes of all members together, without the archive's own."""
        return sum(member.size_bytes for member in self.members)

    def find_size(self, folder: str) -> int:
        """Bytes of the members below `folder`."""
        return sum(item.size_bytes for item in self.members if item.name.startswith(f"{folder}/"))
