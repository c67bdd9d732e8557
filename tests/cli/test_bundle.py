"""`provision bundle` as its own command: what it prints and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provision.actions import bundle
from provision.cli.bundle import bundle_command
from provision.errors import BadFileError, UsageError
from tests.support.bundles import hash_of, render_lock, write_small_bundle


def run(*arguments: str) -> int:
    code: int = bundle_command.main(list(arguments), standalone_mode=False)
    return code


def test_a_bundle_is_verified_and_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "b.tar"
    write_small_bundle(path)
    assert run("--check", str(path)) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[:4] == [
        f"{path} is whole: profile cpu for linux-x86_64, Python 3.12",
        "  made 2026-11-21T12:00:00+00:00 by provision 0.1.0",
        "  stack main: tiny: 2 packages, torch 2.13.0 (cpu)",
        "  weights tiny at aaaaaaaaaaaa: 2.6 kB",
    ]
    assert f"  {hash_of(render_lock().encode())}      197 B  locks/main.txt" in out
    assert len(out) == 10


def test_json_carries_the_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "b.tar"
    _, manifest = write_small_bundle(path)
    assert run("--check", str(path), "--output", "json") == 0
    envelope = json.loads(capsys.readouterr().out)
    assert (envelope["command"], envelope["status"]) == ("bundle", "ok")
    assert envelope["data"]["target"]["platform"] == "linux-x86_64"
    assert [item["name"] for item in envelope["data"]["members"]] == [item.name for item in manifest.members]


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.tar").write_bytes(b"not a bundle" * 100)
    with pytest.raises(BadFileError) as caught:
        run("--check", str(tmp_path / "b.tar"))
    assert caught.value.message == f"{tmp_path / 'b.tar'} is no bundle of provision"


def test_options_that_cannot_go_together() -> None:
    with pytest.raises(UsageError) as caught:
        run("--check", "--dry-run", "b.tar")
    assert caught.value.message == "--check and --dry-run cannot go together"


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_file_that_may_not_be_written_is_refused_before_anything_is_resolved(
    tmp_path: Path, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "plan_bundle", lambda *_args, **_named: pytest.fail("resolved"))
    (tmp_path / "letter.txt").write_text("dear reader", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        run(str(tmp_path / "no" / "x.tar"), "cpu", *options)
    assert caught.value.message == f"{tmp_path / 'no'}: no such folder"
    with pytest.raises(UsageError) as caught:
        run(str(tmp_path / "letter.txt"), "cpu", *options)
    assert caught.value.message == f"{tmp_path / 'letter.txt'} exists and is no bundle"
    assert (tmp_path / "letter.txt").read_text(encoding="utf-8") == "dear reader"
