"""What came of asking an address on the network."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from provision.model.packages import SourceAttempt


class ReachKind(StrEnum):
    """How asking ended. `answered` is any HTTP answer, whatever it says."""

    ANSWERED = "answered"
    NAME = "name"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    CERTIFICATE = "certificate"
    PROXY = "proxy"
    OTHER = "other"


class Reach(Struct, frozen=True, kw_only=True):
    """One address asked once. `label` is without login and query; `detail` is one sentence."""

    label: str
    kind: ReachKind
    detail: str
    status: int | None = None
    elapsed_s: float = 0.0


class CertificateFile(Struct, frozen=True, kw_only=True):
    """A file or folder of certificates that `origin`, a variable or pip's configuration, names.

    `problem` is why it cannot be used, None when it can be read.
    """

    origin: str
    path: str
    problem: str | None


class NetworkView(Struct, frozen=True, kw_only=True):
    """What the network checks look at; None for what was not asked, since it takes seconds.

    `proxies` are (variable, value without login). `settings_problem` is why pip's configuration cannot be
    read. `hub_offline` names the variable that forbids to ask the Hub, `hub_problem` why it cannot be asked.
    """

    proxies: tuple[tuple[str, str], ...] = ()
    certificates: tuple[CertificateFile, ...] = ()
    settings_problem: str | None = None
    hub_offline: str | None = None
    hub_problem: str | None = None
    sources: tuple[SourceAttempt, ...] | None = None
    index: tuple[Reach, ...] | None = None
    hub: Reach | None = None
