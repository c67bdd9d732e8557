"""What a user can get wrong: one clear sentence, a hint, the exit code of the table, and nothing lost."""

import json
import os
from pathlib import Path

import pytest

from provision.cli.main import run

Capture = pytest.CaptureFixture[str]
PASTE_HINT = "nvidia-smi | provision detect --paste -   # reads standard input"


def refuse(capsys: Capture, *arguments: str) -> tuple[str, str]:
    """The message and the hint of a call that is bad usage."""
    assert run([*arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    message, _, hint = captured.err.removeprefix("error: ").rstrip("\n").partition("\n\nhint: ")
    return message, hint


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX")
def test_a_pipe_or_device_is_never_replaced_by_a_file(tmp_path: Path, capsys: Capture) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    message, _ = refuse(capsys, "detect", "--save-probe", str(pipe))
    assert message == f"--save-probe: {pipe} is not a regular file"
    assert pipe.is_fifo()


def test_a_paste_without_a_name(capsys: Capture) -> None:
    assert refuse(capsys, "detect", "--paste", "") == ("the file's name is empty", PASTE_HINT)


def test_a_paste_that_is_not_there(tmp_path: Path, capsys: Capture) -> None:
    message, hint = refuse(capsys, "doctor", "--paste", str(tmp_path / "none"))
    assert (message, hint) == (f"{tmp_path}/none: No such file or directory", PASTE_HINT)


def test_standard_input_that_is_closed(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert refuse(capsys, "diagnose", "-")[0] == "standard input is closed"


def test_a_probe_larger_than_any(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "probe.json"
    with path.open("wb") as stream:
        stream.truncate(65 * 2**20)
    assert refuse(capsys, "detect", "--probe", str(path))[0] == f"{path}: larger than 64 MiB"


@pytest.mark.parametrize("option", ["--network", "--deep"])
def test_what_looks_at_this_machine_does_not_go_with_another(
    tmp_path: Path, capsys: Capture, option: str
) -> None:
    message, _ = refuse(capsys, "doctor", "--paste", "x", option, "--root", str(tmp_path))
    assert message == f"{option} looks at this machine, not at another"


def test_a_list_has_no_junit_form(capsys: Capture) -> None:
    assert refuse(capsys, "doctor", "--list", "--output", "junit")[0] == "--list has no JUnit form"


def test_a_root_that_cannot_be(capsys: Capture) -> None:
    message, _ = refuse(capsys, "doctor", "--root", "x" * 300)
    assert message == f"--root: {'x' * 300}: File name too long"


def test_a_name_that_is_no_text_is_told_in_json(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / os.fsdecode(b"\xff.log")
    assert run(["diagnose", str(path), "--output", "json"]) == 2
    (error,) = json.loads(capsys.readouterr().out)["errors"]
    assert error["message"] == f"{tmp_path}/\ufffd.log: No such file or directory"


def test_the_doctor_is_not_content_with_an_empty_paste(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "empty.txt"
    path.write_bytes(b"")
    assert run(["doctor", "--paste", str(path), "--only", "hardware.gpu", "--output", "json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)["data"]["findings"]
    assert (finding["severity"], finding["evidence"]) == (
        "fail",
        "the text is not the output of a program that is known here",
    )


def test_another_machine_is_not_advised_to_do_what_this_one_could(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "smi.txt"
    path.write_text("NVIDIA GeForce RTX 3090, 24576 MiB, 8.6, 550.90.07\n")
    assert run(["plan", "auto", "--paste", str(path), "--root", str(tmp_path)]) == 3
    said = capsys.readouterr().err
    assert said.endswith(
        "hint: provision profiles --paste FILE   # which would fit there, and what keeps the others\n"
    )
