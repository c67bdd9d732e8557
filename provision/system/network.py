"""Asks addresses once, with the user's proxies and certificates, and says how that ended."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from provision.model.network import CertificateFile, Reach, ReachKind

TIMEOUT_S = 5.0
_AT_ONCE = 8
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy")
# Read by uv and huggingface-hub, by requests, by curl and by uv in this order of meaning.
_CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")
_LOGIN = re.compile(r"://[^/@\s]{1,500}@")
_VERIFY_FAILED = re.compile(r"certificate verify failed: ([^(\n]{1,200})")
_NO_NAME = (
    "nameresolutionerror",
    "name or service not known",
    "temporary failure in name resolution",
    "nodename nor servname",
    "getaddrinfo failed",
    "no address associated",
)
_REFUSED = ("connection refused", "actively refused", "winerror 10061")


def list_proxies(env: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """(variable, value) of every proxy that `env` names, without logins."""
    names = [name for lower in _PROXY_VARIABLES for name in (lower, lower.upper())]
    return tuple((name, hide_login(env[name])) for name in names if env.get(name))


def list_certificate_files(
    env: Mapping[str, str], configured: Sequence[tuple[str, str]] = ()
) -> tuple[CertificateFile, ...]:
    """Every file or folder of certificates that `env` or `configured`, (origin, path), names, looked at."""
    named = [(name, env[name]) for name in _CERTIFICATE_VARIABLES if env.get(name)]
    known = {path for _, path in named}
    named += [(origin, path) for origin, path in configured if path not in known]
    return tuple(
        CertificateFile(origin=origin, path=path, problem=_find_problem(Path(path))) for origin, path in named
    )


def hide_login(url: str) -> str:
    """`url` without user name and password."""
    return _LOGIN.sub("://", url)


def ask_addresses(
    urls: Sequence[str],
    *,
    env: Mapping[str, str],
    certificate: str | None = None,
    proxy: str | None = None,
    trusted_hosts: Sequence[str] = (),
    timeout_s: float = TIMEOUT_S,
) -> tuple[Reach, ...]:
    """Ask each URL for its first bytes, all at once. What goes wrong is a value, never an exception.

    `certificate` and `proxy` are pip's own and stand above those of `env`; certificates of `trusted_hosts`
    are not looked at, as with pip.
    """
    if not urls:
        return ()
    with ThreadPoolExecutor(min(_AT_ONCE, len(urls))) as pool:
        return tuple(pool.map(lambda url: _ask(url, env, certificate, proxy, trusted_hosts, timeout_s), urls))


def _ask(
    url: str,
    env: Mapping[str, str],
    certificate: str | None,
    proxy: str | None,
    trusted_hosts: Sequence[str],
    timeout_s: float,
) -> Reach:
    import requests
    import urllib3

    host = _find_host(url)
    start = time.monotonic()
    status: int | None = None
    try:
        with requests.Session() as session:
            session.trust_env = False
            session.verify = certificate or _choose_certificate(env) or True
            if host in trusted_hosts:
                session.verify = False
                urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
            session.proxies.update(_choose_proxies(url, env, proxy))
            with session.get(url, timeout=timeout_s, stream=True) as answer:
                status = answer.status_code
        kind, detail = ReachKind.ANSWERED, f"answers ({status})"
    except (requests.RequestException, OSError, ValueError) as error:
        kind, detail = _explain(error, timeout_s)
    return Reach(
        label=_build_label(url),
        kind=kind,
        detail=detail,
        status=status,
        elapsed_s=round(time.monotonic() - start, 3),
    )


def _find_host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _explain(error: Exception, timeout_s: float) -> tuple[ReachKind, str]:
    """How it ended, and the one sentence. requests tells apart by type, urllib3 by words only."""
    import requests

    said = str(error)
    lower = said.lower()
    if refused := _VERIFY_FAILED.search(said):
        return ReachKind.CERTIFICATE, f"its certificate was refused: {refused[1].strip()}"
    if isinstance(error, requests.exceptions.ProxyError):
        return ReachKind.PROXY, "the proxy does not answer, or refuses"
    if isinstance(error, requests.Timeout):
        return ReachKind.TIMEOUT, f"no answer within {timeout_s:g} s"
    if any(words in lower for words in _NO_NAME):
        return ReachKind.NAME, "the name cannot be resolved"
    if any(words in lower for words in _REFUSED):
        return ReachKind.REFUSED, "the connection was refused"
    return ReachKind.OTHER, f"cannot be asked: {type(error).__name__}"


def _choose_certificate(env: Mapping[str, str]) -> str | None:
    return next(
        (env[name] for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if env.get(name)),
        None,
    )


def _choose_proxies(url: str, env: Mapping[str, str], proxy: str | None) -> dict[str, str]:
    from requests.utils import should_bypass_proxies

    no_proxy = env.get("no_proxy") or env.get("NO_PROXY")
    if no_proxy and should_bypass_proxies(url, no_proxy=no_proxy):
        return {}
    if proxy:
        return {"http": proxy, "https": proxy}
    pairs = (
        (scheme, env.get(f"{scheme}_proxy") or env.get(f"{scheme.upper()}_PROXY"))
        for scheme in ("http", "https", "all")
    )
    return {scheme: value for scheme, value in pairs if value}


def _build_label(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return hide_login(url)
    return f"{parts.scheme}://{parts.hostname or ''}{port}"


def _find_problem(path: Path) -> str | None:
    try:
        if path.is_dir():
            return None
        with path.open("rb") as stream:
            text = stream.read(1 << 20)
    except OSError as error:
        return error.strerror or str(error)
    return None if b"-----BEGIN " in text else "it holds no certificate in PEM form"
