"""A package index on loopback as uv asks for it: HTML and JSON pages, metadata files, ranges, entity tags.

PEP 503 and 691 say what the pages hold, PEP 700 the sizes and upload times, PEP 658 and 714 the metadata files.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from email.parser import BytesHeaderParser
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

from packaging.utils import canonicalize_name, parse_wheel_filename

from tests.support.index_faults import Answer, Fault
from tests.support.index_listener import IndexListener

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
LONG_AGO = "2020-01-01T00:00:00.000000Z"
_PAGE = re.compile(r"/simple/(?P<project>[^/]+)/")
_FILE = re.compile(r"/files/(?P<name>[^/]+\.whl)(?P<metadata>\.metadata)?")
_RANGE = re.compile(r"bytes=(?P<first>\d*)-(?P<last>\d*)")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a client asked for and what it got; header names are in lower case, a login is not kept."""

    method: str
    path: str
    headers: Mapping[str, str]
    status: int = 0


@dataclass(frozen=True, kw_only=True)
class IndexFile:
    """A wheel with what an index tells of it."""

    path: Path
    project: str
    version: str
    sha256: str
    size_bytes: int
    metadata: bytes
    requires_python: str | None


@dataclass(kw_only=True)
class _Planned:
    pattern: str
    fault: Fault
    left: int | None


@dataclass
class IndexServer:
    """Serves the wheels of `folders`; a project is taken from the first folder that has it.

    `elsewhere` is an index to which unknown projects are redirected, `login` ("user:password") is demanded,
    `certificate` (a PEM file with its key) makes it https. `uploads` are upload times by project or file,
    `told_hashes` lies about hashes by file. Without `serves_json` and `serves_metadata` it is one of former years.
    """

    folders: tuple[Path, ...]
    elsewhere: str | None = None
    login: str | None = None
    certificate: Path | None = None
    uploads: dict[str, str] = field(default_factory=dict)
    told_hashes: dict[str, str] = field(default_factory=dict)
    serves_json: bool = True
    serves_metadata: bool = True
    requests: list[Request] = field(default_factory=list)
    _planned: list[_Planned] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        self._listener = IndexListener(self._answer, self.certificate)
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.stop()

    @property
    def url(self) -> str:
        """The index's address, with the login that it demands."""
        scheme, login = ("https" if self.certificate else "http"), f"{self.login}@" if self.login else ""
        return f"{scheme}://{login}127.0.0.1:{self._listener.server_port}/simple"

    def fail(self, pattern: str, fault: Fault, *, times: int | None = None) -> None:
        """Let `fault` befall requests whose path matches (`*.whl`): the next `times`, or all until `heal`."""
        self._planned.append(_Planned(pattern=pattern, fault=fault, left=times))

    def heal(self) -> None:
        """No more faults."""
        self._planned.clear()

    def list_fetched(self, pattern: str = "*") -> list[str]:
        """Paths that a GET asked for, in order and as often as it did."""
        return [
            item.path for item in self.requests if item.method == "GET" and fnmatchcase(item.path, pattern)
        ]

    def _answer(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        """The right answer, or what befalls it."""
        request = Request(method=method, path=path, headers=headers)
        answer = self._choose_answer(request)
        with self._lock:
            for planned in self._planned:
                if planned.left != 0 and fnmatchcase(request.path, planned.pattern):
                    planned.left = None if planned.left is None else planned.left - 1
                    answer = planned.fault(answer)
                    break
            self.requests.append(replace(request, status=answer.status, headers=_hide_login(request.headers)))
        return answer

    def _choose_answer(self, request: Request) -> Answer:
        if self.login is not None and request.headers.get("authorization") != _encode_login(self.login):
            return Answer(status=401, headers={"WWW-Authenticate": 'Basic realm="packages"'})
        if match := _PAGE.fullmatch(request.path):
            return self._answer_page(canonicalize_name(match["project"]), request)
        if match := _FILE.fullmatch(unquote(request.path)):
            return self._answer_file(match["name"], request, metadata=match["metadata"] is not None)
        return Answer(status=404, body=b"not found")

    def _answer_page(self, project: str, request: Request) -> Answer:
        files = next((found for folder in self.folders if (found := _list_files(folder, project))), [])
        if not files and self.elsewhere is not None:
            return Answer(status=307, headers={"Location": f"{self.elsewhere}/{project}/"})
        if not files:
            return Answer(status=404, body=b"no such project")
        as_json = self.serves_json and JSON_TYPE in request.headers.get("accept", "")
        body = self._render_json(project, files) if as_json else self._render_html(files)
        kind = JSON_TYPE if as_json else "text/html; charset=utf-8"
        etag = hashlib.sha256(body).hexdigest()
        return _build_content(body, request, {"Content-Type": kind, "Cache-Control": "max-age=0"}, etag)

    def _answer_file(self, name: str, request: Request, *, metadata: bool) -> Answer:
        path = next((found for folder in self.folders if (found := folder / name).is_file()), None)
        if path is None or (metadata and not self.serves_metadata):
            return Answer(status=404, body=b"no such file")
        file = _read_file(path, path.stat().st_mtime_ns)
        body = file.metadata if metadata else path.read_bytes()
        kind = {"Content-Type": "application/octet-stream"}
        return _build_content(body, request, kind, f"{file.sha256}{'m' if metadata else ''}")

    def _render_json(self, project: str, files: list[IndexFile]) -> bytes:
        rows = []
        for file in files:
            row: dict[str, Any] = {
                "filename": file.path.name,
                "url": f"/files/{file.path.name}",
                "hashes": {"sha256": self._tell_hash(file)},
                "size": file.size_bytes,
                "upload-time": self.uploads.get(file.path.name, self.uploads.get(project, LONG_AGO)),
                "yanked": False,
            }
            if file.requires_python:
                row["requires-python"] = file.requires_python
            if self.serves_metadata:
                row["core-metadata"] = {"sha256": hashlib.sha256(file.metadata).hexdigest()}
            rows.append(row)
        page = {"meta": {"api-version": "1.1"}, "name": project, "files": rows}
        return json.dumps(page | {"versions": sorted({file.version for file in files})}).encode()

    def _render_html(self, files: list[IndexFile]) -> bytes:
        lines = ["<!DOCTYPE html><html><body>"]
        for file in files:
            told = (
                f' data-requires-python="{html.escape(file.requires_python)}"' if file.requires_python else ""
            )
            if self.serves_metadata:
                told += f' data-core-metadata="sha256={hashlib.sha256(file.metadata).hexdigest()}"'
            href = f"/files/{file.path.name}#sha256={self._tell_hash(file)}"
            lines.append(f'<a href="{href}"{told}>{file.path.name}</a><br>')
        return "\n".join([*lines, "</body></html>"]).encode()

    def _tell_hash(self, file: IndexFile) -> str:
        return self.told_hashes.get(file.path.name, file.sha256)


def _list_files(folder: Path, project: str) -> list[IndexFile]:
    paths = [path for path in folder.glob("*.whl") if parse_wheel_filename(path.name)[0] == project]
    return [_read_file(path, path.stat().st_mtime_ns) for path in sorted(paths)]


@lru_cache(maxsize=4096)
def _read_file(path: Path, _mtime_ns: int) -> IndexFile:
    project, version, *_ = parse_wheel_filename(path.name)
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(name)
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return IndexFile(
        path=path,
        project=project,
        version=str(version),
        sha256=sha256,
        size_bytes=path.stat().st_size,
        metadata=metadata,
        requires_python=BytesHeaderParser().parsebytes(metadata)["Requires-Python"],
    )


def _build_content(body: bytes, request: Request, headers: Mapping[str, str], etag: str) -> Answer:
    """The body, the part that a Range header names, or nothing where the client has it already."""
    told = {**headers, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
    if request.headers.get("if-none-match") == told["ETag"]:
        return Answer(status=304, headers=told)
    wanted = _RANGE.fullmatch(request.headers.get("range", ""))
    if wanted is None:
        return Answer(status=200, headers=told, body=body)
    first = int(wanted["first"]) if wanted["first"] else max(0, len(body) - int(wanted["last"]))
    end = min(int(wanted["last"]) + 1, len(body)) if wanted["first"] and wanted["last"] else len(body)
    if first >= end:
        return Answer(status=416, headers={"Content-Range": f"bytes */{len(body)}"})
    told["Content-Range"] = f"bytes {first}-{end - 1}/{len(body)}"
    return Answer(status=206, headers=told, body=body[first:end])


def _encode_login(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"


def _hide_login(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: "***" if name == "authorization" else value for name, value in headers.items()}
