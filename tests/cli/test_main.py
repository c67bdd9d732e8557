"""The error boundary: one sentence, a hint, the exit code; JSON when asked; never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provision.cli.main import run
from provision.errors import StateError

Capture = pytest.CaptureFixture[str]


def test_an_unknown_profile(tmp_path: Path, capsys: Capture) -> None:
    assert run(["plan", "blackwel", "--root", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith(
        "error: there is no profile 'blackwel'; known are auto, gb10, blackwell, jetson-thor, "
        "blackwell-datacenter, hopper, ada, jetson-orin, ampere, turing, volta, pascal, maxwell, cuda12, "
        "rocm, xpu, apple, cpu\n\nhint: provision apply blackwell\n"
    )


def test_an_unknown_option_is_bad_usage(capsys: Capture) -> None:
    assert run(["detect", "--bogus"]) == 2
    assert capsys.readouterr().err == "error: No such option '--bogus'\n\nhint: provision detect --help\n"


def test_an_unknown_command_is_bad_usage(capsys: Capture) -> None:
    assert run(["detekt"]) == 2
    assert capsys.readouterr().err.startswith("error: No such command 'detekt'")


def test_json_carries_the_error_and_stdout_nothing_else(tmp_path: Path, capsys: Capture) -> None:
    assert run(["smoke", "--output", "json", "--root", str(tmp_path)]) == 6
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {
        "schema": 1,
        "command": "smoke",
        "status": "error",
        "data": None,
        "findings": [],
        "errors": [
            {
                "message": f"nothing was applied in {tmp_path}",
                "hint": "provision apply auto",
                "exit_code": 6,
                "output": None,
                "causes": [],
            }
        ],
    }
    assert captured.err == ""


def test_a_malformed_config_is_refused_with_its_line(tmp_path: Path, capsys: Capture) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("models:\n  a: [1, 2\nb: 3\n")
    assert run(["apply", "cpu", "--root", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert f"error: {config}, line 3: " in err
    assert "Traceback" not in err
    assert config.read_text() == "models:\n  a: [1, 2\nb: 3\n"
    assert not (tmp_path / ".provision" / "active").exists()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("dtype: bfloat16", "dtype: bf16", "dtype: the value 'bf16' is not one of those allowed"),
        ("device: cpu", "devise: cpu", "the key `devise` is not known"),
        ("torch: torch-2.13-cpu", "torch: nightly", "torch: there is no build 'nightly' in torch.yaml"),
        ("name: cpu", "name: cpu2", "name: 'cpu2' must be the file's own name"),
        (
            '  transformers: "5.22.2"',
            "  transformers: 5.22",
            "packages.transformers: must be text, not a number",
        ),
    ],
)
def test_a_malformed_profile_names_file_key_and_reason(
    tmp_path: Path, capsys: Capture, old: str, new: str, reason: str
) -> None:
    text = (Path(__file__).parents[2] / "profiles" / "cpu.yaml").read_text()
    assert old in text
    folder = tmp_path / "profiles"
    folder.mkdir()
    (folder / "cpu.yaml").write_text(text.replace(old, new))
    assert run(["detect", "--profiles", str(folder), "--root", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {folder / 'cpu.yaml'}: {reason}\n")
    assert not (tmp_path / ".provision").exists()


def test_a_profile_of_the_users_replaces_ours(tmp_path: Path, capsys: Capture) -> None:
    text = (Path(__file__).parents[2] / "profiles" / "cpu.yaml").read_text()
    (tmp_path / "cpu.yaml").write_text(text.replace("attention: [sdpa, eager]", "attention: [eager]"))
    assert run(["profiles", "cpu", "--profiles", str(tmp_path)]) == 0
    assert "bfloat16, attention eager\n" in capsys.readouterr().out


def test_a_bug_is_called_a_bug(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("provision.actions.generations.list_generations", fail)
    assert run(["generations"]) == 70
    err = capsys.readouterr().err
    assert err.startswith("error: a bug in provision: ZeroDivisionError at ")
    assert err.endswith("hint: please report it with the output of: provision detect --output json\n")


def test_an_interruption_says_what_it_left(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_args: object, **_kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("provision.actions.generations.list_generations", interrupt)
    assert run(["generations"]) == 130
    assert capsys.readouterr().err.strip() == (
        "error: interrupted; what was begun is finished or undone by the next apply"
    )


def test_a_state_error_has_its_code(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise StateError("it is locked", hint="wait")

    monkeypatch.setattr("provision.actions.generations.list_generations", fail)
    assert run(["generations"]) == 6
    assert capsys.readouterr().err == "error: it is locked\n\nhint: wait\n"


def test_help_and_version(capsys: Capture) -> None:
    assert run(["--version"]) == 0
    assert run(["apply", "--help"]) == 0
    assert "provision apply auto" in capsys.readouterr().out
