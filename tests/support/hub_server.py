"""A Hub on loopback: the routes that huggingface-hub calls to fetch a model, answered as the real one does.

Small files come from the Hub itself; those that the real one keeps in Git LFS are redirected to a CDN of
another host name. Status codes and `X-Error-Code` are those by which huggingface-hub 2.4.0 tells errors apart.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import SHUT_RDWR, socket
from typing import Any, Self
from urllib.parse import quote, unquote

COMMIT = "8c1f0e5b7a2d4c6e9f3b1a0d5e7c9b2f4a6d8e01"
CDN_SIGNATURE = "signature-of-the-cdn"
LFS_SUFFIXES = frozenset({".bin", ".safetensors"})

_INFO = re.compile(r"/api/models/(?P<repo_id>[^/]+/[^/]+)(?:/revision/(?P<revision>[^/]+))?")
_TREE = re.compile(r"/api/models/(?P<repo_id>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)(?:/(?P<folder>.+))?")
_RESOLVE = re.compile(r"/(?P<repo_id>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<name>.+)")
_STORED = re.compile(r"/(?P<sha256>[0-9a-f]{64})/(?P<name>.+)")
_RANGE = re.compile(r"bytes=(?P<first>\d+)-(?P<last>\d*)")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a client asked for; `site` is "hub" or "cdn", header names are in lower case.

    The value of a token is not kept: `authorization` then reads "Bearer ***".
    """

    site: str
    method: str
    path: str
    query: str
    headers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer before it is sent; the `chunks` of its body are made while they are sent.

    A body that ends before its Content-Length closes the connection, as a line that breaks would.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: Iterable[bytes] = ()


# What goes wrong: made into an answer's status, headers or chunks (shorter, slower, changed, raising).
Fault = Callable[[Request, Answer], Answer]


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """A file of a model; `blob_id` is git's SHA-1: of the LFS pointer where `sha256` names the content."""

    path: Path
    name: str
    size_bytes: int
    blob_id: str
    sha256: str | None


class HubServer:
    """Serves folders as models of the form owner/name, at `commit`, which is also the branch `main`.

    `gated` and `private` models need a token; `readers` says which of them each token may read. `renamed`
    maps a former name to the present one. `fault`, when set, is given every answer and may return another.
    """

    def __init__(self, models: Mapping[str, Path], *, commit: str = COMMIT) -> None:
        self.commit = commit
        self.gated: set[str] = set()
        self.private: set[str] = set()
        self.readers: dict[str, set[str]] = {}
        self.renamed: dict[str, str] = {}
        self.fault: Fault | None = None
        self.requests: list[Request] = []
        self._models = {repo_id: _list_files(folder) for repo_id, folder in models.items()}
        self._listeners = _Listener("hub", self._answer), _Listener("cdn", self._answer)
        self.url, self._cdn_url = (listener.url for listener in self._listeners)

    def __enter__(self) -> Self:
        for listener in self._listeners:
            listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        for listener in self._listeners:
            listener.stop()

    def list_fetched(self) -> list[str]:
        """Sorted names of the files that a GET asked for, on either site, as often as it did."""
        gets = [request.path for request in self.requests if request.method == "GET"]
        found = [_RESOLVE.fullmatch(path) or _STORED.fullmatch(path) for path in gets]
        return sorted(unquote(match["name"]) for match in found if match)

    def _answer(self, request: Request, token: str | None) -> Answer:
        self.requests.append(request)
        answer = self._answer_cdn(request) if request.site == "cdn" else self._answer_hub(request, token)
        return answer if self.fault is None else self.fault(request, answer)

    def _answer_hub(self, request: Request, token: str | None) -> Answer:
        for pattern, route in ((_INFO, self._describe), (_TREE, self._list_tree), (_RESOLVE, self._resolve)):
            if match := pattern.fullmatch(request.path):
                return self._turn_away(request, match, token) or route(request, match)
        return _build_error(404, "", "Sorry, we can't find the page you are looking for.")

    def _turn_away(self, request: Request, match: re.Match[str], token: str | None) -> Answer | None:
        """None when the token may do this. What a gated model consists of is public, its files are not."""
        repo_id, revision = match["repo_id"], unquote(match["revision"] or "main")
        may_read = repo_id in self.readers.get(token or "", ())
        if repo_id in self.renamed:
            path = request.path.replace(repo_id, self.renamed[repo_id], 1)
            return Answer(status=307, headers={"Location": f"{path}?{request.query}", "Content-Length": "0"})
        if token is not None and token not in self.readers:
            return _build_error(401, "", "Invalid credentials in Authorization header")
        if repo_id not in self._models or (repo_id in self.private and not may_read):
            # huggingface-hub understands the 401 without the code as well, but over https only.
            status, reason = (401, "Invalid username or password.") if token is None else (404, "Not found")
            return _build_error(status, "RepoNotFound", reason)
        if match.re is _RESOLVE and repo_id in self.gated and not may_read:
            status = 401 if token is None else 403
            return _build_error(status, "GatedRepo", f"Access to model {repo_id} is restricted.")
        if revision not in (self.commit, "main"):
            return _build_error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return None

    def _describe(self, _request: Request, match: re.Match[str]) -> Answer:
        repo_id = match["repo_id"]
        access = {"private": repo_id in self.private, "gated": "manual" if repo_id in self.gated else False}
        siblings = [{"rfilename": name} for name in self._models[repo_id]]
        return _build_json({"id": repo_id, "sha": self.commit, "siblings": siblings, **access})

    def _list_tree(self, _request: Request, match: re.Match[str]) -> Answer:
        """All files below the folder, whatever their depth: huggingface-hub asks with `recursive`."""
        prefix = unquote(match["folder"]) + "/" if match["folder"] else ""
        files = [file for file in self._models[match["repo_id"]].values() if file.name.startswith(prefix)]
        if not files:
            return _build_error(404, "EntryNotFound", f"{prefix} does not exist")
        return _build_json([_build_entry(file) for file in files])

    def _resolve(self, request: Request, match: re.Match[str]) -> Answer:
        file = self._models[match["repo_id"]].get(unquote(match["name"]))
        commit = {"X-Repo-Commit": self.commit}
        if file is None:
            return _build_error(404, "EntryNotFound", "Entry not found", commit)
        if file.sha256 is None:
            return _build_content(file, request, file.blob_id, commit)
        location = f"{self._cdn_url}/{file.sha256}/{quote(file.name)}?Signature={CDN_SIGNATURE}"
        linked = {"X-Linked-ETag": f'"{file.sha256}"', "X-Linked-Size": str(file.size_bytes)}
        return Answer(status=302, headers={"Location": location, "Content-Length": "0"} | linked | commit)

    def _answer_cdn(self, request: Request) -> Answer:
        match = _STORED.fullmatch(request.path)
        stored = {file.sha256: file for files in self._models.values() for file in files.values()}
        if match is None or match["sha256"] not in stored or CDN_SIGNATURE not in request.query:
            return _build_error(403, "", "Access denied")
        told = {"Content-Disposition": f'inline; filename="{Path(unquote(match["name"])).name}";'}
        return _build_content(stored[match["sha256"]], request, match["sha256"], told)


def _list_files(folder: Path) -> dict[str, HubFile]:
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name, size, sha256 = path.relative_to(folder).as_posix(), path.stat().st_size, None
        if path.suffix in LFS_SUFFIXES:
            with path.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        blob = path.read_bytes() if sha256 is None else build_pointer(sha256, size)
        blob_id = hashlib.sha1(b"blob %d\0" % len(blob) + blob, usedforsecurity=False).hexdigest()
        files[name] = HubFile(path=path, name=name, size_bytes=size, blob_id=blob_id, sha256=sha256)
    return files


def build_pointer(sha256: str, size_bytes: int) -> bytes:
    """What git holds in place of a file whose content lies in LFS."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size_bytes}\n".encode()


def _build_entry(file: HubFile) -> dict[str, object]:
    entry = {"type": "file", "path": file.name, "size": file.size_bytes, "oid": file.blob_id}
    if file.sha256 is None:
        return entry
    pointer_bytes = len(build_pointer(file.sha256, file.size_bytes))
    return entry | {"lfs": {"oid": file.sha256, "size": file.size_bytes, "pointerSize": pointer_bytes}}


def _build_json(content: object) -> Answer:
    body = json.dumps(content).encode()
    headers = {"Content-Type": "application/json; charset=utf-8", "Content-Length": str(len(body))}
    return Answer(status=200, headers=headers, chunks=(body,))


def _build_error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    answer = _build_json({"error": message})
    told = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {}) | dict(headers or {})
    return Answer(status=status, headers={**answer.headers, **told}, chunks=answer.chunks)


def _build_content(file: HubFile, request: Request, etag: str, headers: Mapping[str, str]) -> Answer:
    """The bytes of the file, or those that the Range header names."""
    size, wanted = file.size_bytes, _RANGE.fullmatch(request.headers.get("range", ""))
    first = int(wanted["first"]) if wanted else 0
    end = min(int(wanted["last"]) + 1, size) if wanted and wanted["last"] else size
    if wanted and first >= size:
        return _build_error(416, "", "Range not satisfiable", {"Content-Range": f"bytes */{size}"})
    told = {"ETag": f'"{etag}"', "Accept-Ranges": "bytes", "Content-Length": str(end - first), **headers}
    if wanted:
        told["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
    return Answer(status=206 if wanted else 200, headers=told, chunks=_read_chunks(file.path, first, end))


def _read_chunks(path: Path, first: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        stream.seek(first)
        while first < end:
            chunk = stream.read(min(1 << 20, end - first))
            first += len(chunk)
            yield chunk


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes; a delayed ACK between them costs 40 ms
    server: _Listener

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        token = headers.get("authorization", "").removeprefix("Bearer ") or None
        if token is not None:
            headers["authorization"] = "Bearer ***"
        request = Request(site=self.server.site, method=self.command, path=path, query=query, headers=headers)
        self._send(self.server.answer(request, token))

    do_HEAD = do_GET  # noqa: N815

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        sent_bytes = 0
        for chunk in answer.chunks:
            self.wfile.write(chunk)
            sent_bytes += len(chunk)
        if sent_bytes != int(answer.headers["Content-Length"]):
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing: `HubServer.requests` keeps what was asked."""


class _Listener(ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for them and no socket outlives the server

    def __init__(self, site: str, answer: Callable[[Request, str | None], Answer]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.site, self.answer = site, answer
        self.url = f"http://{'127.0.0.1' if site == 'hub' else 'localhost'}:{self.server_port}"
        self._connections: set[socket] = set()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End every connection, also those that a client keeps open."""
        self.shutdown()
        self._thread.join()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(SHUT_RDWR)
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client may go away whenever it likes; anything else is a mistake in this file, and is printed.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)
