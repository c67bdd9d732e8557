"""`provision doctor` on the command line: what is printed where, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from provision.actions.checkup import LiveCheckup
from provision.cli.main import cli, run
from provision.core.checks import CHECKS
from tests.support.application import make_application

Capture = pytest.CaptureFixture[str]
PROBES = Path(__file__).parents[1] / "data" / "probes"


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


def read_json(capsys: Capture) -> dict[str, Any]:
    envelope: dict[str, Any] = json.loads(capsys.readouterr().out)
    return envelope


def break_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: object) -> None:
        raise TypeError("no such thing")

    monkeypatch.setattr(LiveCheckup, "spaces", property(fail))


def test_every_check_is_in_the_envelope(tmp_path: Path, capsys: Capture) -> None:
    code = run(["doctor", "--output", "json", "--root", str(tmp_path)])
    envelope = read_json(capsys)
    findings = envelope["data"]["findings"]
    assert [finding["id"] for finding in findings] == list(CHECKS)
    assert code == (1 if any(finding["severity"] == "fail" for finding in findings) else 0)
    assert set(findings[0]) == {"group", "id", "severity", "evidence", "cure", "subject"}
    assert envelope["errors"] == []


def test_a_failure_ends_with_1_and_shows_its_cure(tmp_path: Path, capsys: Capture) -> None:
    probe = str(PROBES / "driver-mismatch.json")
    code = run(["doctor", "--probe", probe, "--only", "driver.mismatch", "--root", str(tmp_path)])
    assert code == 1
    captured = capsys.readouterr()
    assert captured.out == (
        "driver\n"
        "  fail driver.mismatch  The loaded NVIDIA kernel module and the driver's libraries are of different "
        "versions, as after an update of the driver without a restart\n"
        "                        cure: sudo reboot\n"
        "\n0 pass, 0 warn, 1 fail, 0 skip\n"
    )
    assert captured.err == ""


def test_warnings_end_with_0(tmp_path: Path, capsys: Capture) -> None:
    store = make_application(tmp_path)
    text = store.config_path.read_text().replace("precision: bf16", "precision: fp16")
    store.config_path.write_text(text)
    assert run(["doctor", "--only", "config", "--root", str(tmp_path)]) == 0
    assert "  warn config.drift  changed since it was written: " in capsys.readouterr().out


def test_a_broken_check_ends_with_70_and_is_named(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_disk(monkeypatch)
    (tmp_path / "config.yaml").write_text("a: [1\n")
    code = run(
        ["doctor", "--only", "disk.space", "--only", "config", "--output", "json", "--root", str(tmp_path)]
    )
    assert code == 70
    captured = capsys.readouterr()
    assert captured.err == "error: the check disk.space broke: TypeError: no such thing\n"
    envelope = json.loads(captured.out)
    assert envelope["status"] == "error"
    [error] = envelope["errors"]
    assert (error["message"], error["hint"], error["exit_code"]) == (
        "the check disk.space broke: TypeError: no such thing",
        "please report it with the output of: provision detect --output json",
        70,
    )
    severities = {finding["id"]: finding["severity"] for finding in envelope["data"]["findings"]}
    assert severities == {"disk.space": "skip", "config.valid": "fail", "config.drift": "skip"}


def test_list(capsys: Capture) -> None:
    assert run(["doctor", "--list", "--only", "disk"]) == 0
    assert capsys.readouterr().out == (
        "disk\n"
        "  disk.space     Is there room for stacks and weights on every file system that they go to?\n"
        "  disk.writable  Can the folders be written to that stacks, weights and caches go to?\n"
        "  disk.links     Are stacks hard links from uv's cache, or copies?\n"
    )
    assert run(["doctor", "--list", "--output", "json"]) == 0
    rows = read_json(capsys)["data"]["checks"]
    assert rows == [
        {"id": check.id, "group": check.group, "question": check.question} for check in CHECKS.values()
    ]


def test_an_unknown_check_names_the_nearest(tmp_path: Path, capsys: Capture) -> None:
    assert run(["doctor", "--only", "driver.missmatch", "--root", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        "error: there is no check and no group 'driver.missmatch'\n"
        "\nhint: provision doctor --only driver.mismatch\n"
    )


def test_junit(tmp_path: Path, capsys: Capture) -> None:
    probe = str(PROBES / "driver-mismatch.json")
    assert run(["doctor", "--probe", probe, "--output", "junit", "--root", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert out.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="provision doctor" ')
    root = ElementTree.fromstring(out.encode())  # noqa: S314 - our own text
    assert [case.get("name") for suite in root for case in suite] == sorted(
        CHECKS, key=lambda name: name.partition(".")[0]
    )
    failed = {case.get("name") for case in root.iter("testcase") if case.find("failure") is not None}
    assert failed >= {"hardware.gpu", "driver.answers", "driver.mismatch", "profile.fits"}


def test_pasted_text(tmp_path: Path, capsys: Capture) -> None:
    pasted = tmp_path / "paste.txt"
    pasted.write_text(
        "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.95\n"
    )
    argv = ["doctor", "--paste", str(pasted), "--only", "driver.mismatch", "--only", "disk.space"]
    assert run([*argv, "--output", "json", "--root", str(tmp_path)]) == 1
    findings = {finding["id"]: finding for finding in read_json(capsys)["data"]["findings"]}
    assert findings["driver.mismatch"]["severity"] == "fail"
    assert findings["disk.space"]["evidence"] == "about another machine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dry-run"], "--dry-run belongs to --fix"),
        (["--fix", "--probe", str(PROBES / "no-gpu.json")], "another machine cannot be repaired from here"),
        (["--fix", "--paste", "-"], "another machine cannot be repaired from here"),
    ],
)
def test_what_does_not_go_together(
    arguments: list[str], message: str, tmp_path: Path, capsys: Capture
) -> None:
    assert run(["doctor", *arguments, "--root", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}\n")


def test_a_dry_run_shows_and_leaves(tmp_path: Path, capsys: Capture) -> None:
    store = make_application(tmp_path)
    store.config_path.unlink()
    argv = ["doctor", "--fix", "--dry-run", "--only", "config", "--root", str(tmp_path)]
    assert run(argv) == 1
    assert capsys.readouterr().out.startswith(
        "to be repaired:\n  write the keys that generation 1 owns into config.yaml again (config.valid)\n\n"
    )
    assert not store.config_path.exists()
    assert run([*argv, "--output", "json"]) == 1
    assert read_json(capsys)["data"]["repairs"] == [
        {
            "kind": "config",
            "title": "write the keys that generation 1 owns into config.yaml again",
            "findings": ["config.valid"],
            "done": False,
            "error": None,
        }
    ]


def test_a_repair_is_checked_again(tmp_path: Path, capsys: Capture) -> None:
    store = make_application(tmp_path)
    store.config_path.unlink()
    argv = ["doctor", "--fix", "--only", "config", "--root", str(tmp_path)]
    assert run([*argv, "--output", "json"]) == 0
    data = read_json(capsys)["data"]
    assert [(row["id"], row["severity"]) for row in data["before"]] == [
        ("config.valid", "fail"),
        ("config.drift", "skip"),
    ]
    assert [(row["id"], row["severity"]) for row in data["findings"]] == [
        ("config.valid", "pass"),
        ("config.drift", "pass"),
    ]
    store.config_path.unlink()
    assert run(argv) == 0
    assert capsys.readouterr().out.endswith("\nbefore and after the repair:\n  config.valid: fail -> pass\n")


def test_nothing_to_repair(tmp_path: Path, capsys: Capture) -> None:
    assert run(["doctor", "--fix", "--only", "config", "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("nothing here is the tool's own to repair\n")
    assert not (tmp_path / ".provision").exists()


@pytest.mark.parametrize(("no_color", "start"), [("", "\x1b[1mtool"), ("1", "tool")])
def test_no_color(tmp_path: Path, no_color: str, start: str) -> None:
    argv = ["doctor", "--only", "tool", "--root", str(tmp_path)]
    done = CliRunner().invoke(cli, argv, color=True, env={"NO_COLOR": no_color})
    assert done.stdout.startswith(start)
    assert ("\x1b" in done.stdout) is (no_color == "")
