"""Addresses on loopback, asked as the user's settings say: every way to fail is a value."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from provision.model.network import CertificateFile, Reach, ReachKind
from provision.system.network import ask_addresses, hide_login, list_certificate_files, list_proxies

TLS = Path(__file__).parents[1] / "data" / "tls"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(404 if "missing" in self.path else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """The tests' output stays readable."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that refuses our certificate goes away in the middle."""


@contextlib.contextmanager
def serve(*, tls: bool = False) -> Iterator[str]:
    """An address that answers, with a certificate that nobody signed when `tls`."""
    server = _Server(("127.0.0.1", 0), _Handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(TLS / "certificate.pem", TLS / "key.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ask(url: str, **settings: object) -> Reach:
    env = settings.pop("env", {})
    [reach] = ask_addresses([url], env=env, **settings)  # type: ignore[arg-type]
    return reach


def test_an_answer_is_an_answer_whatever_it_says() -> None:
    with serve() as url:
        here, missing = ask_addresses([f"{url}/simple/", f"{url}/missing"], env={})
    assert (here.kind, here.status, here.detail, here.label) == (
        ReachKind.ANSWERED,
        200,
        "answers (200)",
        url,
    )
    assert (missing.kind, missing.status) == (ReachKind.ANSWERED, 404)


def test_nobody_listens() -> None:
    reach = ask("http://user:secret@127.0.0.1:9/simple?token=1")
    assert (reach.kind, reach.detail, reach.label) == (
        ReachKind.REFUSED,
        "the connection was refused",
        "http://127.0.0.1:9",
    )


def test_a_certificate_that_nobody_signed_is_an_interception() -> None:
    with serve(tls=True) as url:
        reach = ask(url)
    assert reach.kind is ReachKind.CERTIFICATE
    assert reach.detail == "its certificate was refused: self-signed certificate"


@pytest.mark.parametrize(
    "settings",
    [
        {"certificate": str(TLS / "certificate.pem")},
        {"env": {"SSL_CERT_FILE": str(TLS / "certificate.pem")}},
        {"env": {"REQUESTS_CA_BUNDLE": str(TLS / "certificate.pem")}},
        {"trusted_hosts": ("localhost",)},
    ],
)
def test_a_certificate_that_the_user_names_is_accepted(settings: dict[str, object]) -> None:
    with serve(tls=True) as url:
        assert ask(url, **settings).kind is ReachKind.ANSWERED


def test_a_certificate_file_that_is_not_there() -> None:
    with serve(tls=True) as url:
        reach = ask(url, certificate="/nowhere.pem")
    assert (reach.kind, reach.detail) == (ReachKind.OTHER, "cannot be asked: OSError")


@pytest.mark.parametrize(
    "settings", [{"proxy": "http://127.0.0.1:9"}, {"env": {"HTTP_PROXY": "http://127.0.0.1:9"}}]
)
def test_a_proxy_that_does_not_answer(settings: dict[str, object]) -> None:
    assert ask("http://pypi.invalid/simple", **settings).kind is ReachKind.PROXY


def test_what_no_proxy_names_is_asked_without() -> None:
    with serve() as url:
        env = {"http_proxy": "http://127.0.0.1:9", "no_proxy": "localhost"}
        assert ask(url, env=env).kind is ReachKind.ANSWERED


def test_no_address_at_all() -> None:
    assert ask("ftp://nowhere").kind is ReachKind.OTHER
    assert ask_addresses([], env={}) == ()


def test_proxies_are_shown_without_logins() -> None:
    env = {"https_proxy": "http://me:secret@proxy:3128", "NO_PROXY": "localhost", "ALL_PROXY": ""}
    assert list_proxies(env) == (("https_proxy", "http://proxy:3128"),)
    assert hide_login("http://proxy:3128/a@b") == "http://proxy:3128/a@b"


def test_certificates_that_are_named_are_looked_at(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no certificate")
    gone = tmp_path / "gone.pem"
    env = {"SSL_CERT_FILE": str(gone), "SSL_CERT_DIR": str(tmp_path), "REQUESTS_CA_BUNDLE": str(text)}
    configured = [("pip's cert", str(TLS / "certificate.pem")), ("again", str(gone))]
    assert list_certificate_files(env, configured) == (
        CertificateFile(origin="SSL_CERT_FILE", path=str(gone), problem="No such file or directory"),
        CertificateFile(origin="SSL_CERT_DIR", path=str(tmp_path), problem=None),
        CertificateFile(
            origin="REQUESTS_CA_BUNDLE", path=str(text), problem="it holds no certificate in PEM form"
        ),
        CertificateFile(origin="pip's cert", path=str(TLS / "certificate.pem"), problem=None),
    )


@pytest.mark.parametrize("url", ["http://[bad", "http://host:port/", "nonsense"])
def test_an_address_that_is_none_is_a_value_too(url: str) -> None:
    [reach] = ask_addresses([url], env={})
    assert reach.kind is ReachKind.OTHER
    assert reach.detail.startswith("cannot be asked: ")
