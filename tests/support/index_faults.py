"""What goes wrong with the answers of a package index: each fault makes another answer of the right one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer before it is sent.

    After `cut_at` bytes of the body the connection ends, with a reset where `reset` says so; with a reset at 0
    not even the status is sent. `silence_s` pass before the first byte; the body comes at `bytes_per_s`.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut_at: int | None = None
    reset: bool = False
    silence_s: float = 0.0
    bytes_per_s: float | None = None


Fault = Callable[[Answer], Answer]

LOGIN_PAGE = (
    b"<!DOCTYPE html><html><head><title>Sign in to the network</title></head><body>Welcome</body></html>"
)


def refuse(status: int, *, retry_after_s: int | None = None) -> Fault:
    """The status of a server that is busy (503), throttles (429), forbids (403) or has nothing (404)."""
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return lambda _: Answer(status=status, headers=headers, body=b"refused")


def reset_at(share: float) -> Fault:
    """The connection is reset when this share of the body was sent; at 0 before a single byte."""
    return lambda answer: replace(answer, cut_at=int(len(answer.body) * share), reset=True)


def truncate_at(share: float) -> Fault:
    """The body ends early behind a Content-Length that promised more."""
    return lambda answer: replace(answer, cut_at=int(len(answer.body) * share))


def flip_byte(answer: Answer) -> Answer:
    """One byte in the middle is another."""
    middle = len(answer.body) // 2
    body = answer.body[:middle] + bytes([answer.body[middle] ^ 0xFF]) + answer.body[middle + 1 :]
    return replace(answer, body=body)


def stall(answer: Answer) -> Answer:
    """Not a byte comes for as long as the server runs."""
    return replace(answer, silence_s=float("inf"))


def dribble(bytes_per_s: float) -> Fault:
    """The body comes slowly."""
    return lambda answer: replace(answer, bytes_per_s=bytes_per_s)


def redirect_to(path: str) -> Fault:
    """Another address; the one that is asked for makes a circle."""
    return lambda _: Answer(status=302, headers={"Location": path})


def show_login_page(_: Answer) -> Answer:
    """What a captive portal puts in the place of everything."""
    return Answer(status=200, headers={"Content-Type": "text/html; charset=utf-8"}, body=LOGIN_PAGE)


def declare_length(extra_bytes: int) -> Fault:
    """A Content-Length that is not the body's; the connection ends after the body."""

    def change(answer: Answer) -> Answer:
        length = str(len(answer.body) + extra_bytes)
        return replace(answer, headers={**answer.headers, "Content-Length": length}, cut_at=len(answer.body))

    return change
