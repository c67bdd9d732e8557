"""A login in the address of an index reaches uv and nobody else: no output and no file holds it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import index_faults
from tests.support.chain import Chain
from tests.support.index_server import IndexServer
from tests.support.sources import DEAD
from tests.support.wheels import build_wheel

# As it stands in the address, and as the server hears it.
PASSWORD, HEARD = "S3cr%40et-Pa55", "S3cr@et-Pa55"
STACK = {"torch": "2.13.0+cpu", "transformers": "5.22.2", "accelerate": "1.15.0", "pillow": "13.0.0"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[IndexServer]:
    """An index that wants a login and has all that profile cpu asks for, each package a single empty module."""
    wheels = tmp_path / "wheels"
    for name, version in STACK.items():
        build_wheel(wheels, name, version)
    with IndexServer((wheels,), login=f"robot:{HEARD}") as server:
        yield server


class User:
    """An application's folder of somebody whose packages come from `server`."""

    def __init__(self, folder: Path, server: IndexServer) -> None:
        self.chain, self.home, self.temporary = Chain(folder / "root"), folder / "home", folder / "temporary"
        for made in (self.chain.root, self.home / ".config" / "uv", self.temporary):
            made.mkdir(parents=True)
        settings = f'[[index]]\nurl = "{DEAD}"\ndefault = true\n'
        (self.home / ".config" / "uv" / "uv.toml").write_text(settings, encoding="utf-8")
        self.address = server.url.replace(HEARD, PASSWORD)
        self.env = {
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "UV_CACHE_DIR": str(folder / "cache"),
            "UV_HTTP_RETRIES": "0",
            "UV_HTTP_TIMEOUT": "2",
            "PROVISION_YES": "1",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_FIND_LINKS": "",
        }

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the tool, and hold everything that it said and wrote against the password."""
        done = self.chain.provision(*arguments, **(self.env | {"PIP_INDEX_URL": self.address} | env))
        said = done.stdout + done.stderr
        assert PASSWORD not in said, said
        assert HEARD not in said, said
        assert "a bug in provision" not in said, said
        for folder in (self.chain.root, self.temporary, self.home):
            assert list_tellers(folder) == []
        return done


def list_tellers(folder: Path) -> list[Path]:
    """Files below `folder` that hold the password in either form."""
    words = (PASSWORD.encode(), HEARD.encode())
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if any(word in path.read_bytes() for word in words)]


def test_a_plan_and_an_apply_that_gets_as_far_as_the_smoke(tmp_path: Path, server: IndexServer) -> None:
    """The stack is installed; that its empty torch cannot read a page comes after all that a source is for."""
    user = User(tmp_path, server)
    planned = user.run("plan", "cpu", "--output", "json")
    assert planned.returncode == 1, planned.stderr
    assert "torch 2.13.0+cpu" in planned.stdout
    applied = user.run("apply", "cpu", "--output", "json")
    assert applied.returncode == 4, applied.stdout
    assert "cannot import torch and transformers" in applied.stdout
    assert len(list(user.chain.root.glob(".provision/stacks/main-*/requirements.lock"))) == 1
    user.run("doctor")


@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.parametrize(
    ("pattern", "status"),
    [("/simple/torch/", 503), ("/simple/pillow/", 503), ("*.metadata", 500), ("*", 401)],
)
def test_an_index_that_refuses(
    tmp_path: Path, server: IndexServer, pattern: str, status: int, output: str
) -> None:
    user = User(tmp_path, server)
    server.fail(pattern, index_faults.refuse(status))
    assert user.run("plan", "cpu", "--output", output).returncode == 5


@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.parametrize("fault", [index_faults.refuse(403), index_faults.flip_byte], ids=["403", "garbled"])
def test_a_wheel_that_does_not_come(
    tmp_path: Path, server: IndexServer, fault: index_faults.Fault, output: str
) -> None:
    user = User(tmp_path, server)
    server.fail("*/pillow-*.whl", fault)
    assert user.run("apply", "cpu", "--output", output).returncode in (4, 5)


def test_the_login_is_refused(tmp_path: Path, server: IndexServer) -> None:
    user = User(tmp_path, server)
    server.login = "robot:another"
    assert user.run("plan", "cpu").returncode == 5


@pytest.mark.parametrize(
    "variable", ["PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "UV_DEFAULT_INDEX", "UV_INDEX"]
)
def test_every_variable_that_names_a_source(tmp_path: Path, server: IndexServer, variable: str) -> None:
    user = User(tmp_path, server)
    user.run("plan", "cpu", "--output", "json", PIP_INDEX_URL="", **{variable: user.address})
    server.fail("*", index_faults.refuse(503))
    user.run("plan", "cpu", PIP_INDEX_URL="", **{variable: user.address})


def test_a_host_that_does_not_answer(tmp_path: Path, server: IndexServer) -> None:
    user = User(tmp_path, server)
    done = user.run("plan", "cpu", PIP_INDEX_URL=f"http://robot:{PASSWORD}@127.0.0.1:9/simple")
    assert done.returncode == 5
    assert "http://127.0.0.1:9/simple" in done.stderr
