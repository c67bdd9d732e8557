"""Where packages come from, and the exact ones that a stack is built of."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class SourceKind(StrEnum):
    """What a source of packages is, in uv's terms."""

    INDEX = "index"
    EXTRA_INDEX = "extra-index"
    FIND_LINKS = "find-links"
    PYTORCH = "pytorch-index"
    DEFAULT = "default-index"


class Source(Struct, frozen=True, kw_only=True):
    """One place to get wheels from. `location` is a URL or a folder, None for the default index.

    `origin` says who named it: a configuration file, an environment variable, the profile, or uv itself.
    `location` may hold credentials: show `label`, never `location`.
    """

    kind: SourceKind
    location: str | None
    origin: str
    label: str


class PackageSettings(Struct, frozen=True, kw_only=True):
    """What the user's pip and uv configuration says about getting packages.

    `sources` in pip's order: the index, extra indexes, then find-links. `no_index` means that no index may be
    asked at all.
    """

    sources: tuple[Source, ...] = ()
    no_index: bool = False
    certificate: str | None = None
    client_certificate: str | None = None
    proxy: str | None = None
    trusted_hosts: tuple[str, ...] = ()
    timeout_s: float | None = None


class Answer(StrEnum):
    """What came of asking a source: it serves, it answers but has it not, or it does not answer."""

    SERVES = "serves"
    LACKS = "lacks"
    UNREACHABLE = "unreachable"
    NOT_ASKED = "not asked"


class SourceAttempt(Struct, frozen=True, kw_only=True):
    """One source asked for torch. `detail` is one sentence; `torch` and `torchvision` what it offered."""

    source: Source
    answer: Answer
    detail: str
    torch: str | None = None
    torchvision: str | None = None
    elapsed_s: float = 0.0


class Wheel(Struct, frozen=True, kw_only=True):
    """One locked distribution. `size_bytes` is of the file that this machine would fetch, if known."""

    name: str
    version: str
    hashes: tuple[str, ...]
    size_bytes: int | None = None


class StackLock(Struct, frozen=True, kw_only=True):
    """The exact packages of one stack. `text` is pip's requirements format with hashes and no URLs."""

    text: str
    sha256: str
    wheels: tuple[Wheel, ...]

    @property
    def versions(self) -> dict[str, str]:
        """The locked version of each package."""
        return {wheel.name: wheel.version for wheel in self.wheels}

    @property
    def download_bytes(self) -> int:
        """Bytes of the files whose size is known: an upper bound, since uv's cache may have some."""
        return sum(wheel.size_bytes or 0 for wheel in self.wheels)
