"""`provision lock`, `audit` and `sbom` as users run them: what they print and how they exit."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from provision.cli import main
from provision.core.lockfile import render_lockfile, render_stack_text
from provision.system.lockfile import save_lock_texts
from tests.support.locks import make_document, make_lock
from tests.support.osv_server import build_advisory, serve_osv

DOCUMENT = make_document(make_lock(idna="3.7", torch="2.13.0+cu130"))
ADVISORY = build_advisory("idna", ["3.7"], "3.7.1")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An application that somebody cloned: `provision.lock`, and nothing applied."""
    names = [name for name in ("lock", "audit", "sbom") if name not in main.COMMANDS]
    monkeypatch.setattr(main, "COMMANDS", (*main.COMMANDS, *names))
    save_lock_texts(
        tmp_path, render_lockfile(DOCUMENT.lockfile), {"main": render_stack_text(DOCUMENT, "main")}
    )
    return tmp_path


def test_a_known_vulnerability_is_told_with_its_cure_and_who_needs_the_package(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve_osv(ADVISORY) as server:
        code = main.run(["audit", "--root", str(root), "--service-url", server.url])
    assert code == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "idna 3.7  (stack main: qwen_vl_2b)"
    assert "fixed in 3.7.1" in out[1]
    assert out[2] == "    A crafted page makes it read elsewhere"
    assert out[3] == "provision.lock: 2 packages audited with OSV: 1 with known vulnerabilities"


def test_nothing_known_is_zero_and_the_label_of_a_build_is_not_asked_for(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve_osv() as server:
        code = main.run(["audit", "--root", str(root), "--service-url", server.url, "--output", "json"])
    assert code == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert data["counts"] == {"nothing known": 2, "vulnerable": 0, "not audited": 0}
    assert sorted(server.asked) == [("idna", "3.7"), ("torch", "2.13.0")]
    assert [package["version"] for package in data["packages"]] == ["3.7", "2.13.0+cu130"]


@pytest.mark.skipif(importlib.util.find_spec("pip_audit") is not None, reason="pip-audit would ask too")
def test_what_nobody_answers_is_never_health(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = "http://127.0.0.1:9"
    code = main.run(["audit", "--root", str(root), "--service-url", url, "--output", "json"])
    assert code == 5
    envelope = json.loads(capsys.readouterr().out)
    reason = (
        "OSV: Request failed after 1 retries: Connection refused (os error 111); "
        "PyPI: pip-audit, which asks it, is not installed"
    )
    assert envelope["status"] == "error"
    assert envelope["data"]["counts"] == {"nothing known": 0, "vulnerable": 0, "not audited": 2}
    assert {package["reason"] for package in envelope["data"]["packages"]} == {reason}
    assert envelope["errors"][0]["message"] == f"2 of 2 packages could not be audited: {reason}"


def test_without_anything_to_audit_the_cure_is_named(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("audit", "sbom"):
        assert main.run([command, "--root", str(tmp_path / "empty")]) == 2
        err = capsys.readouterr().err
        assert err == (
            "error: nothing was applied here yet, and there is no provision.lock\n\nhint: provision lock\n"
        )


def test_a_bill_of_a_lock_needs_its_library(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main.run(["sbom", "--root", str(root)]) == 4


@pytest.mark.skipif(importlib.util.find_spec("cyclonedx") is None, reason="cyclonedx is not installed")
def test_a_bill_goes_to_a_file_or_to_stdout(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = root / "sbom.cdx.json"
    assert main.run(["sbom", str(path), "--root", str(root)]) == 0
    assert capsys.readouterr().out == f"wrote {path}: 2 packages and 1 model of provision.lock\n"
    assert main.run(["sbom", "--root", str(root)]) == 0
    assert capsys.readouterr().out == path.read_text(encoding="utf-8")


@pytest.mark.skipif(importlib.util.find_spec("cyclonedx") is None, reason="cyclonedx is not installed")
def test_a_dash_is_stdout(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    assert main.run(["sbom", "--root", str(root)]) == 0
    plain = capsys.readouterr().out
    assert main.run(["sbom", "-", "--root", str(root)]) == 0
    assert capsys.readouterr().out == plain
    assert not (root / "-").exists()


def test_a_bill_is_not_written_to_a_folder_that_is_missing(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = root / "no such folder"
    assert main.run(["sbom", str(folder / "sb.json"), "--root", str(root)]) == 2
    assert capsys.readouterr().err == (f"error: {folder}: no such folder\n\nhint: mkdir -p '{folder}'\n")
    assert not folder.exists()


@pytest.mark.parametrize("url", ["http://u:S3CRET@127.0.0.1:9", "https://S3CRET@osv.example/x"])
def test_a_login_in_the_address_of_a_service_is_refused_unsaid(
    url: str, root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVISION_OSV_URL", url)
    assert main.run(["audit", "--root", str(root)]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(
        "error: --service-url (PROVISION_OSV_URL) holds a login, which would stand on a command line for all"
    )
    assert "S3CRET" not in out + err


@pytest.mark.parametrize("url", ["u:S3CRET@osv.example", "osv.example/S3CRET", "http:///S3CRET"])
def test_what_is_no_address_of_a_service_is_refused_unsaid(
    url: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["audit", "--root", str(root), "--service-url", url]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: --service-url (PROVISION_OSV_URL) does not begin with https://HOST\n")
    assert "S3CRET" not in out + err


def test_options_that_do_not_go_together_are_told(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["lock", "--check", "--export", "pylock", "--root", str(root)]) == 2
    assert capsys.readouterr().err.startswith(
        "error: --check writes nothing, so --export cannot go with it\n"
    )


@pytest.mark.parametrize("command", ["lock", "audit", "sbom"])
def test_help_loads_no_library_of_the_command(
    command: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(sys.modules)
    assert main.run([command, "--help"]) == 0
    assert not {"cyclonedx", "pip_audit", "packageurl"} & (set(sys.modules) - before)
    assert f"provision {command}" in capsys.readouterr().out
