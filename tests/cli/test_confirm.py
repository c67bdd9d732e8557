"""Nothing changes unasked, and nobody waits for an answer that cannot come."""

from __future__ import annotations

import io

import click
import pytest
from click.testing import CliRunner

from provision.cli.confirm import confirm, yes_option
from provision.cli.main import Terminated
from provision.errors import ExitCode, InterruptedByUserError, UsageError

Capture = pytest.CaptureFixture[str]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Signalled(Terminal):
    def readline(self, *_args: object) -> str:
        raise Terminated(15)


def sit_at_terminal(monkeypatch: pytest.MonkeyPatch, stdin: io.StringIO) -> Terminal:
    stderr = Terminal()
    monkeypatch.setattr("sys.stdin", stdin)
    monkeypatch.setattr("sys.stderr", stderr)
    return stderr


def test_yes_is_not_asked_for_again(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr("sys.stdin", None)
    confirm("Go?", yes=True, output="json")
    confirm("Go?", yes=True, output="text")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("answer", ["y\n", "YES\n", "what\ny\n"])
def test_a_person_agrees(monkeypatch: pytest.MonkeyPatch, capsys: Capture, answer: str) -> None:
    stderr = sit_at_terminal(monkeypatch, Terminal(answer))
    confirm("Return to generation 1?", yes=False, output="text")
    assert capsys.readouterr().out == ""
    assert stderr.getvalue().startswith("Return to generation 1? [y/N]: ")


@pytest.mark.parametrize("answer", ["\n", "n\n", "no\n", ""])
def test_anything_else_is_a_no(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    sit_at_terminal(monkeypatch, Terminal(answer))
    with pytest.raises(InterruptedByUserError, match="^not confirmed; nothing was changed$") as caught:
        confirm("Go?", yes=False, output="text")
    assert caught.value.exit_code is ExitCode.INTERRUPTED


def test_a_signal_keeps_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    sit_at_terminal(monkeypatch, Signalled())
    with pytest.raises(Terminated) as caught:
        confirm("Go?", yes=False, output="text")
    assert caught.value.exit_code == 143


def test_json_is_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    sit_at_terminal(monkeypatch, Terminal("y\n"))
    with pytest.raises(
        UsageError, match="^nothing is changed unasked, and with --output json nobody is asked$"
    ):
        confirm("Go?", yes=False, output="json")


@pytest.mark.parametrize("missing", ["sys.stdin", "sys.stderr"])
@pytest.mark.parametrize("stream", [None, io.StringIO("y\n")])
def test_without_a_terminal_nobody_is_asked(
    monkeypatch: pytest.MonkeyPatch, missing: str, stream: io.StringIO | None
) -> None:
    sit_at_terminal(monkeypatch, Terminal("y\n"))
    monkeypatch.setattr(missing, stream)
    with pytest.raises(UsageError) as caught:
        confirm("Go?", yes=False, output="text")
    assert (caught.value.message, caught.value.hint) == (
        "nothing is changed unasked, and there is no terminal to ask on",
        "provision … --yes   # or set PROVISION_YES=1",
    )


@click.command("try")
@yes_option
def try_command(yes: bool) -> None:
    click.echo(f"{yes}")


@pytest.mark.parametrize(
    ("arguments", "env", "said"),
    [
        ([], {}, "False"),
        (["--yes"], {}, "True"),
        (["-y"], {}, "True"),
        ([], {"PROVISION_YES": "1"}, "True"),
        ([], {"PROVISION_YES": "true"}, "True"),
        ([], {"PROVISION_YES": "0"}, "False"),
        ([], {"PROVISION_YES": ""}, "False"),
    ],
)
def test_the_option_and_the_variable(arguments: list[str], env: dict[str, str], said: str) -> None:
    assert CliRunner().invoke(try_command, arguments, env=env).output == f"{said}\n"
