"""Drains the output of a running program in a thread, bounded in memory."""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import IO

_CHUNK_BYTES = 65536
_LINES_WAITING = 1000


class PipeReader(threading.Thread):
    """Reads one pipe, so that the program never waits for us, and keeps the end of what came.

    `finished` turns true when every holder of the pipe's other end has closed it; `truncated` says that only
    the last `limit_bytes` were kept. `wake` is set for each line, where lines are kept, and at the end. A
    daemon: where a grandchild keeps the pipe open, the thread stays behind and nobody waits for it.
    """

    def __init__(
        self, pipe: IO[bytes], limit_bytes: int, wake: threading.Event, *, keeps_lines: bool = False
    ) -> None:
        super().__init__(daemon=True)
        self.finished = False
        self.truncated = False
        self._pipe = pipe
        self._limit_bytes = limit_bytes
        self._wake = wake
        self._chunks: deque[bytes] = deque()
        self._kept_bytes = 0
        self._keeps_lines = keeps_lines
        self._lines: deque[bytes] = deque(maxlen=_LINES_WAITING)
        self.start()

    def run(self) -> None:
        """The thread's work: reads until the end."""
        rest = b""
        with self._pipe:
            while chunk := os.read(self._pipe.fileno(), _CHUNK_BYTES):
                self._keep(chunk)
                if self._keeps_lines:
                    *lines, rest = (rest + chunk).split(b"\n")
                    # A line without an end is bounded like everything else.
                    rest = rest[-_CHUNK_BYTES:]
                    self._lines.extend(lines)
                    self._wake.set()
        if rest:
            self._lines.append(rest)
        self.finished = True
        self._wake.set()

    def take_lines(self) -> list[str]:
        """The lines since the last call; the oldest are gone when more than a thousand waited."""
        taken = []
        while self._lines:
            taken.append(self._lines.popleft().decode(errors="replace").rstrip("\r"))
        return taken

    def text(self) -> str:
        """What was kept: undecodable bytes replaced, lines ended by `\\n`."""
        data = b"".join(tuple(self._chunks))[-self._limit_bytes :]
        return data.decode(errors="replace").replace("\r\n", "\n")

    def _keep(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._kept_bytes += len(chunk)
        self.truncated = self.truncated or self._kept_bytes > self._limit_bytes
        while self._kept_bytes - len(self._chunks[0]) >= self._limit_bytes:
            self._kept_bytes -= len(self._chunks.popleft())
