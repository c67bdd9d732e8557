"""Fetches the files of a lock: several at once, kept by their hash, continued where a run was cut short."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from msgspec import Struct

from provision.errors import DownloadError, StateError
from provision.system.files import hash_file
from provision.system.wheel_server import RANGE_BEYOND_END, Access, PassingError, ask_file, open_session

if TYPE_CHECKING:
    import requests

_AT_ONCE = 8
_TRIES = 4
_CHUNK_BYTES = 2**20
_REPORT_S = 2.0
# For a file whose size no index tells; the largest wheels have about 3 GB.
_MOST_BYTES = 2**34


class WheelFile(Struct, frozen=True, kw_only=True):
    """A file to fetch. `url` may be a path or `file:`; `label` is `url` as it may be shown."""

    url: str
    label: str
    sha256: str
    size_bytes: int | None


class Progress(Struct, frozen=True, kw_only=True):
    """How far a fetch is. `fetched_bytes` came over the network in this run, within `elapsed_s`."""

    files: int
    total_files: int
    fetched_bytes: int
    elapsed_s: float


def fetch_wheels(
    files: Sequence[WheelFile],
    folder: Path,
    access: Access,
    *,
    on_progress: Callable[[Progress], None],
    pause_s: float = 0.5,
) -> dict[str, Path]:
    """Where each file lies, by its SHA-256: below `folder`, or where it was for one on this machine.

    What an earlier run fetched is used after its hash was computed again. `on_progress` is called in this
    thread. Raises DownloadError that names the file, StateError while another run fetches into `folder`.
    """
    with _locked(folder):
        fetcher = _Fetcher(folder, access, pause_s)
        start = time.monotonic()
        # The largest first, so that none of them is left for the end.
        queue = sorted(
            {file.sha256: file for file in files}.values(), key=lambda file: -(file.size_bytes or 0)
        )
        found: dict[str, Path] = {}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            try:
                pending = {pool.submit(fetcher.fetch, file) for file in queue}
                told = start
                while pending:
                    done, pending = wait(pending, timeout=_REPORT_S, return_when=FIRST_COMPLETED)
                    found |= dict(future.result() for future in done)
                    now = time.monotonic()
                    if not pending or now - told >= _REPORT_S:
                        told = now
                        on_progress(
                            Progress(
                                files=len(found),
                                total_files=len(queue),
                                fetched_bytes=fetcher.fetched_bytes,
                                elapsed_s=now - start,
                            )
                        )
            except BaseException:
                fetcher.stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        return found


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            yield
    except Timeout as error:
        raise StateError(
            f"{folder} is in use by another provision", hint="wait for it, then run the command again"
        ) from error


class _Fetcher:
    """The files of one run; `fetch` is called in several threads."""

    def __init__(self, folder: Path, access: Access, pause_s: float) -> None:
        self._folder = folder
        self._access = access
        self._pause_s = pause_s
        self._session = open_session(access, at_once=_AT_ONCE)
        self._counting = threading.Lock()
        self.stop = threading.Event()
        self.fetched_bytes = 0

    def fetch(self, file: WheelFile) -> tuple[str, Path]:
        """The file's hash and where it lies. Raises DownloadError."""
        local = _find_path(file.url)
        if local is not None:
            if not local.is_file() or hash_file(local) != file.sha256:
                raise DownloadError(
                    f"{file.label} is missing or not the file that the lock names", hint=f"ls -l {local}"
                )
            return file.sha256, local
        kept = self._folder / f"{file.sha256}.whl"
        if kept.is_file() and hash_file(kept) == file.sha256:
            return file.sha256, kept
        partial = self._folder / f"{file.sha256}.part"
        for number in range(1, _TRIES + 1):
            try:
                self._download(file, partial)
                break
            except PassingError as error:
                if number == _TRIES or self.stop.wait(self._pause_s * 2**number):
                    raise DownloadError(
                        f"{file.label} cannot be fetched: {error}",
                        hint="run the same command again: what was fetched is kept",
                    ) from error
        partial.replace(kept)
        return file.sha256, kept

    def _download(self, file: WheelFile, partial: Path) -> None:
        """Make `partial` the whole file. Raises PassingError, or DownloadError where another try is of no use."""
        import requests
        import urllib3

        digest = hashlib.sha256()
        with partial.open("a+b") as stream:
            stream.seek(0)
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
            begun = stream.tell()
            if begun and digest.hexdigest() == file.sha256:
                return
            try:
                with ask_file(self._session, self._access, file.url, file.label, begun) as answer:
                    if answer.status_code != 206:
                        stream.truncate(0)
                        begun, digest = 0, hashlib.sha256()
                    if answer.status_code == RANGE_BEYOND_END:
                        raise PassingError("what was kept of it was longer than the file")
                    self._receive(answer, stream, digest, (file.size_bytes or _MOST_BYTES) - begun)
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                # The exceptions' own texts quote addresses in full.
                raise PassingError(f"the connection failed ({type(error).__name__})") from error
        if digest.hexdigest() != file.sha256:
            self._refuse(file, partial, begun)

    def _receive(
        self, answer: requests.Response, stream: IO[bytes], digest: hashlib._Hash, most: int
    ) -> None:
        received = 0
        while chunk := answer.raw.read(_CHUNK_BYTES):
            received += len(chunk)
            if self.stop.is_set():
                raise PassingError("stopped")
            if received > most:
                return  # too long to be the file: its hash will tell
            stream.write(chunk)
            digest.update(chunk)
            with self._counting:
                self.fetched_bytes += len(chunk)
        length = answer.headers.get("Content-Length", "")
        if length.isdecimal() and received < int(length):
            raise PassingError(f"the connection ended after {received} of {length} bytes")

    def _refuse(self, file: WheelFile, partial: Path, begun: int) -> None:
        partial.unlink()
        if begun:
            raise PassingError("what was kept of it does not go with what came")
        raise DownloadError(
            f"{file.label} is not the file that the lock names: its SHA-256 differs",
            hint="a proxy or a mirror altered it, or it was replaced; name another mirror in PIP_INDEX_URL",
        )


def _find_path(url: str) -> Path | None:
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return None if parts.scheme in ("http", "https") else Path(url)
