"""Asks a server of wheels for a file or the rest of it, as the user's settings say how."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from provision.errors import DownloadError

if TYPE_CHECKING:
    import requests

RANGE_BEYOND_END = 416
_CONNECT_S = 10.0
_SILENCE_S = 30.0
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class Access(Struct, frozen=True, kw_only=True):
    """How servers are reached. `logins` gives (user, password) by scheme and host, as in `https://host:8443`."""

    logins: Mapping[str, tuple[str, str]]
    certificate: str | None = None
    client_certificate: str | None = None
    proxy: str | None = None
    trusted_hosts: tuple[str, ...] = ()
    timeout_s: float | None = None


class PassingError(Exception):
    """A reason that another try may cure."""


def ask_file(
    session: requests.Session, access: Access, url: str, label: str, begun: int
) -> requests.Response:
    """The server's answer, its content still to be read: 200, 206 from byte `begun` on, or RANGE_BEYOND_END.

    Raises PassingError, or DownloadError where another try is of no use.
    """
    parts = urlsplit(url)
    trusted = bool({parts.hostname, parts.netloc.rpartition("@")[2]} & set(access.trusted_hosts))
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begun}-"} if begun else {})
    answer = session.get(
        url,
        headers=headers,
        stream=True,
        auth=access.logins.get(f"{parts.scheme}://{parts.netloc}"),
        # None leaves it to the session and to the variables that requests knows.
        verify=False if trusted else access.certificate,
        timeout=(_CONNECT_S, access.timeout_s or _SILENCE_S),
    )
    with contextlib.ExitStack() as stack:
        stack.callback(answer.close)
        _check_answer(answer, label, begun)
        stack.pop_all()
    return answer


def open_session(access: Access, *, at_once: int) -> requests.Session:
    """A session for `at_once` connections. Proxies of the environment go before `access.proxy`, as with uv."""
    import requests
    import urllib3
    from requests.adapters import HTTPAdapter

    session = requests.Session()
    adapter = HTTPAdapter(pool_connections=at_once, pool_maxsize=at_once)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.cert = access.client_certificate
    if access.proxy:
        session.proxies = {"http": access.proxy, "https": access.proxy}
    if access.trusted_hosts:
        # The user named hosts whose certificate is not to be looked at.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return session


def _check_answer(answer: requests.Response, label: str, begun: int) -> None:
    code = answer.status_code
    if code in _PASSING:
        raise PassingError(f"the server answers {code}")
    if code in (401, 403, 407):
        raise DownloadError(
            f"{label} cannot be fetched: the server answers {code}, a login is missing or wrong",
            hint="put it into PIP_INDEX_URL as https://USER:PASSWORD@HOST/…, or into ~/.netrc",
        )
    if code not in (200, 206, RANGE_BEYOND_END):
        raise DownloadError(
            f"{label} cannot be fetched: the server answers {code}",
            hint="provision doctor --network   # shows which sources answer",
        )
    if code == 206 and not answer.headers.get("Content-Range", "").startswith(f"bytes {begun}-"):
        raise PassingError("the server sends another part of it than was asked for")
