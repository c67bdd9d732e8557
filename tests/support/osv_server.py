"""A service of advisories on loopback that speaks OSV's protocol: https://google.github.io/osv.dev/api/"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def build_advisory(name: str, versions: list[str], fixed: str) -> dict[str, Any]:
    """An advisory with made-up words about some versions of a package."""
    return {
        "schema_version": "1.6.0",
        "id": "GHSA-aaaa-bbbb-cccc",
        "aliases": ["CVE-2026-11111", "PYSEC-2026-7"],
        "modified": "2026-11-02T00:00:00Z",
        "published": "2026-11-01T00:00:00Z",
        "summary": "A crafted page makes it read elsewhere",
        "details": "More words.",
        "references": [{"type": "WEB", "url": "https://advisories.example/7"}],
        "affected": [
            {
                "package": {"name": name, "ecosystem": "PyPI"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
                "versions": versions,
            }
        ],
    }


class OsvServer(ThreadingHTTPServer):
    """Knows some advisories; `asked` lists every (name, version) that it was asked about."""

    daemon_threads = True

    def __init__(self, *advisories: Mapping[str, Any], status: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.advisories = advisories
        self.status = status
        self.asked: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def find(self, query: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The advisories for a package at a version."""
        name, version = query["package"]["name"], query["version"]
        self.asked.append((name, version))
        return [
            advisory
            for advisory in self.advisories
            for affected in advisory["affected"]
            if affected["package"]["name"] == name and version in affected["versions"]
        ]


class _Handler(BaseHTTPRequestHandler):
    server: OsvServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/v1/querybatch"):
            found = [
                [{"id": known["id"], "modified": known["modified"]} for known in self.server.find(query)]
                for query in body["queries"]
            ]
            self._send({"results": [{"vulns": known} if known else {} for known in found]})
        else:
            known = self.server.find(body)
            self._send({"vulns": known} if known else {})

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        self._send(next(known for known in self.server.advisories if known["id"] == name))

    def _send(self, content: object) -> None:
        data = json.dumps(content).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """The tests' output stays readable."""


@contextlib.contextmanager
def serve_osv(*advisories: Mapping[str, Any], status: int = 200) -> Iterator[OsvServer]:
    """The server, running."""
    server = OsvServer(*advisories, status=status)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
