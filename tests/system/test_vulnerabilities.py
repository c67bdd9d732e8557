"""Real uv, and pip-audit where it is installed, against a service of advisories on loopback."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from provision.core.audit import parse_pip_audit, parse_uv_audit
from provision.model.packages import PackageSettings
from provision.system.uv import find_uv
from provision.system.vulnerabilities import ask_osv, ask_pypi
from tests.support.osv_server import build_advisory, serve_osv

PACKAGES = {"idna": "3.7", "numpy": "2.4.6", "torch": "2.13.0"}
ADVISORY = build_advisory("idna", ["3.6", "3.7"], "3.7.1")
NAMES = {"PYSEC-2026-7", "CVE-2026-11111", "GHSA-aaaa-bbbb-cccc"}
# Nothing listens on the discard port.
DEAD = "http://user:secret@127.0.0.1:9"


def make_env(tmp_path: Path) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "HOME": str(tmp_path), "UV_FROZEN": "0", "UV_LOCKED": "1"}


def test_uv_asks_one_question_for_all_packages(tmp_path: Path) -> None:
    with serve_osv(ADVISORY) as server:
        said = ask_osv(
            find_uv(), PACKAGES, env=make_env(tmp_path), settings=PackageSettings(), service_url=server.url
        )
    verdicts = parse_uv_audit(said, PACKAGES)
    assert {name: verdict.reason for name, verdict in verdicts.items()} == dict.fromkeys(PACKAGES)
    (known,) = verdicts["idna"].vulnerabilities
    assert {known.id, *known.aliases} == NAMES
    assert (known.fixed_in, known.summary) == (("3.7.1",), "A crafted page makes it read elsewhere")
    assert verdicts["numpy"].vulnerabilities == verdicts["torch"].vulnerabilities == ()
    assert sorted(server.asked) == sorted(PACKAGES.items())


def test_a_service_that_fails_is_a_reason_not_health(tmp_path: Path) -> None:
    with serve_osv(status=500) as server:
        said = ask_osv(
            find_uv(), PACKAGES, env=make_env(tmp_path), settings=PackageSettings(), service_url=server.url
        )
    assert said.text is None
    assert said.reason is not None
    assert said.reason.startswith("OSV: ")
    assert "500" in said.reason


def test_a_service_that_does_not_answer_is_told_without_the_login(tmp_path: Path) -> None:
    said = ask_osv(find_uv(), PACKAGES, env=make_env(tmp_path), settings=PackageSettings(), service_url=DEAD)
    assert said.text is None
    assert said.reason == "OSV: Request failed after 1 retries: Connection refused (os error 111)"


def test_a_uv_that_cannot_audit_is_a_reason(tmp_path: Path) -> None:
    said = ask_osv(tmp_path / "uv", PACKAGES, env=make_env(tmp_path), settings=PackageSettings())
    assert said.reason == f"OSV: {tmp_path / 'uv'} cannot be started: No such file or directory"


@pytest.mark.skipif(importlib.util.find_spec("pip_audit") is not None, reason="pip-audit is installed")
def test_without_pip_audit_pypi_cannot_be_asked(tmp_path: Path) -> None:
    said = ask_pypi(PACKAGES, env=make_env(tmp_path), settings=PackageSettings())
    assert said.reason == "PyPI: pip-audit, which asks it, is not installed"


@pytest.mark.skipif(importlib.util.find_spec("pip_audit") is None, reason="pip-audit is not installed")
def test_pip_audit_asks_a_service_that_is_named(tmp_path: Path) -> None:
    with serve_osv(ADVISORY) as server:
        said = ask_pypi(PACKAGES, env=make_env(tmp_path), settings=PackageSettings(), service_url=server.url)
    verdicts = parse_pip_audit(said, PACKAGES)
    (known,) = verdicts["idna"].vulnerabilities
    assert {known.id, *known.aliases} == NAMES
    assert sorted(server.asked) == sorted(PACKAGES.items())
