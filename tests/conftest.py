"""Guards and the one heavy fixture: a real stack, built once for the session by the tool itself."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.support.chain import Chain

_real_connect = socket.socket.connect


def _connect_to_this_machine(self: socket.socket, address: object) -> None:
    """A test that reaches out of this machine is a mistake; uv, in its own process, is not held by this."""
    host = address[0] if isinstance(address, tuple) else "127.0.0.1"
    if host not in ("127.0.0.1", "::1", "localhost"):
        raise AssertionError(f"a test wanted to connect to {address}")
    _real_connect(self, address)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", _connect_to_this_machine)
    for name in list(os.environ):
        if name.startswith("PROVISION_") and not name.startswith("PROVISION_TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """An application's folder to which `provision apply cpu` has been applied for real."""
    chain = Chain(tmp_path_factory.mktemp("application"))
    first = chain.provision("apply", "cpu")
    assert first.returncode == 0, first.stderr
    chain.first = first
    return chain


@pytest.fixture(scope="session")
def stack_python(chain: Chain) -> Path:
    """The interpreter of the stack: torch and transformers live there, and only there."""
    return chain.find_stack_interpreter()
