"""The listening side of the package index: sends answers as they are meant, resets and silence included."""

from __future__ import annotations

import ssl
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import SHUT_RDWR, SO_LINGER, SOL_SOCKET, socket
from struct import pack
from typing import Any

from tests.support.index_faults import Answer

# Method, path and headers, whose names are in lower case, to an answer.
Respond = Callable[[str, str, Mapping[str, str]], Answer]

_PIECE_BYTES = 1 << 16
_TICKS_PER_S = 20


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes; a delayed ACK between them costs 40 ms
    server: IndexListener

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.respond(self.command, self.path, headers)
        if answer.silence_s:
            self.server.ending.wait(min(answer.silence_s, threading.TIMEOUT_MAX))
        if answer.reset and answer.cut_at == 0:
            self._reset()
            return
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD" and answer.status != 304:
            self._send_body(answer)

    do_HEAD = do_GET  # noqa: N815

    def _send_body(self, answer: Answer) -> None:
        rate = answer.bytes_per_s
        piece_bytes = _PIECE_BYTES if rate is None else max(1, int(rate / _TICKS_PER_S))
        end = len(answer.body) if answer.cut_at is None else answer.cut_at
        for start in range(0, end, piece_bytes):
            self.wfile.write(answer.body[start : min(start + piece_bytes, end)])
            if rate is not None and self.server.ending.wait(piece_bytes / rate):
                break
        if answer.reset:
            self._reset()
        elif answer.cut_at is not None:
            self.close_connection = True

    def _reset(self) -> None:
        """Closing a socket that lingers for no time sends RST in place of FIN."""
        self.close_connection = True
        self.connection.setsockopt(SOL_SOCKET, SO_LINGER, pack("ii", 1, 0))
        self.server.forget(self.connection)
        self.connection.close()

    def log_message(self, *_: object) -> None:
        """Say nothing: `IndexServer.requests` keeps what was asked."""


class IndexListener(ThreadingHTTPServer):
    """Listens on a free port of 127.0.0.1 until `stop`; https with `certificate`, a PEM file with its key."""

    daemon_threads = False  # so that closing waits for them and no socket outlives the server

    def __init__(self, respond: Respond, certificate: Path | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.respond = respond
        self.ending = threading.Event()
        self._connections: set[socket] = set()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def start(self) -> None:
        """Listen in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End every connection, also those that a client keeps open or that are silent."""
        self.ending.set()
        self.shutdown()
        self._thread.join()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(SHUT_RDWR)
        self.server_close()

    def forget(self, connection: socket) -> None:
        """The connection was ended by its handler."""
        self._connections.discard(connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection."""
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget it."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client may go away whenever it likes; anything else is a mistake in this file, and is printed."""
        if not isinstance(sys.exception(), (ConnectionError, ssl.SSLError)):
            super().handle_error(request, client_address)
