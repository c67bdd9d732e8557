"""The machine of a lock: told from this one, and resolved for again."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from provision.core.lock_machine import build_lock_probe, is_for_machine
from provision.core.parse.host import parse_host
from tests.support.locks import make_document, make_lock

LOCKFILE = make_document(make_lock(idna="3.7")).lockfile
PLATFORMS = ("linux-x86_64", "linux-aarch64", "windows-amd64", "macos-arm64")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_probe_of_a_lock_names_its_platform_and_python(platform: str) -> None:
    lockfile = replace(LOCKFILE, platform=platform, python="3.13")
    host = parse_host(build_lock_probe(lockfile))
    assert (host.platform, host.python_version) == (platform, "3.13.0")
    assert is_for_machine(lockfile, host)


@pytest.mark.parametrize(
    ("platform", "python"), [("linux-aarch64", "3.12"), ("linux-x86_64", "3.1"), ("linux-x86_64", "3.13")]
)
def test_another_platform_or_python_is_another_machine(platform: str, python: str) -> None:
    host = parse_host(build_lock_probe(replace(LOCKFILE, platform="linux-x86_64", python="3.12")))
    assert not is_for_machine(replace(LOCKFILE, platform=platform, python=python), host)
