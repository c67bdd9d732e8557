"""Asks for the size of files that an index listed without it, so that a plan can say what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

if TYPE_CHECKING:
    import requests

_TIMEOUT_S = 5.0
_AT_ONCE = 16


def fetch_sizes(
    urls: Mapping[str, str], *, certificate: str | None, env: Mapping[str, str]
) -> dict[str, int]:
    """Bytes of each file by its key in `urls`; a file whose size cannot be had is left out.

    A `file:` URL or a path is looked at; for the others the headers are asked for, a few at a time.
    """
    local = {key: _find_path(url) for key, url in urls.items()}
    sizes = {key: path.stat().st_size for key, path in local.items() if path is not None and path.is_file()}
    remote = {key: url for key, url in urls.items() if local[key] is None}
    if not remote:
        return sizes
    import requests

    with requests.Session() as session, ThreadPoolExecutor(_AT_ONCE) as pool:
        session.verify = certificate or env.get("SSL_CERT_FILE") or True
        answers = pool.map(lambda url: _fetch_size(session, url), remote.values())
        found = zip(remote, answers, strict=True)
        return sizes | {key: size for key, size in found if size is not None}


def _fetch_size(session: requests.Session, url: str) -> int | None:
    import requests

    try:
        answer = session.head(url, allow_redirects=True, timeout=_TIMEOUT_S)
    except requests.RequestException:
        return None
    length = answer.headers.get("Content-Length", "")
    return int(length) if answer.ok and length.isdecimal() else None


def _find_path(url: str) -> Path | None:
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return None if parts.scheme in ("http", "https") else Path(url)
