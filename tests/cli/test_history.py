"""`generations`, `rollback`, `gc` and `remove` as they are typed: words, exit codes, JSON."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from provision.cli import main
from provision.cli.main import run
from provision.cli.output import render_bytes
from provision.system.store import Store
from tests.support.history import CREATED, make_history

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = dict.fromkeys((*main.COMMANDS, "rollback", "gc", "remove"))
    monkeypatch.setattr(main, "COMMANDS", tuple(commands))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_history(tmp_path)


def type_in(store: Store, *arguments: str) -> int:
    return run([*arguments, "--root", str(store.root)])


def read_json(store: Store, capsys: Capture, *arguments: str, code: int = 0) -> dict[str, Any]:
    assert type_in(store, *arguments, "--output", "json") == code
    envelope: dict[str, Any] = json.loads(capsys.readouterr().out)
    return envelope


def test_generations(store: Store, capsys: Capture) -> None:
    shutil.rmtree(store.state_dir / store.load_generation(1).stacks[0].path)
    (store.weights_dir / "c-0123456789ab/model.safetensors").unlink()
    assert type_in(store, "generations") == 0
    assert capsys.readouterr().out == (
        f"    1  {CREATED.format(1)}  cpu         a\n"
        "       not whole: stack main: it is missing or was not finished; provision rollback builds it again\n"
        f"    2  {CREATED.format(2)}  cpu         a, b\n"
        "       not whole: stack main: it is missing or was not finished; provision rollback builds it again\n"
        f"*   3  {CREATED.format(3)}  cpu         a, b, c\n"
        "       not whole: weights of c: model.safetensors is missing or has another size\n"
    )


def test_generations_json(store: Store, capsys: Capture) -> None:
    [first, *_] = read_json(store, capsys, "generations")["data"]["generations"]
    assert first == {
        "number": 1,
        "active": False,
        "profile": "cpu",
        "created": CREATED.format(1),
        "models": ["a"],
        "whole": True,
        "problem": None,
        "restorable": True,
        "activated": [CREATED.format(1)],
    }


def test_rollback(store: Store, capsys: Capture) -> None:
    assert type_in(store, "rollback", "--yes") == 0
    captured = capsys.readouterr()
    assert captured.out == (
        f"generation 2 is active; {store.config_path} says so\n"
        f"config.yaml as it was: {store.state_dir / 'switches/1/config.before.yaml'}\n"
    )
    assert captured.err.startswith(
        f"from generation 3 to generation 2, made {CREATED.format(2)}\n"
        "  profile  cpu\n"
        "  models   a, b\n"
        "  config.yaml: models.c\n"
        "  config.yaml: provision.generation\n"
    )
    assert type_in(store, "generations") == 0
    assert "\n       active again " in capsys.readouterr().out
    assert type_in(store, "rollback", "2") == 0
    assert capsys.readouterr().out == "nothing to do: generation 2 is active already\n"


def test_rollback_json(store: Store, capsys: Capture) -> None:
    assert read_json(store, capsys, "rollback", "1", "--yes")["data"] == {
        "generation": 1,
        "former": 3,
        "changed": True,
        "profile": "cpu",
        "models": ["a"],
        "rebuilt": [],
        "warnings": [],
        "backup": str(store.state_dir / "switches/1/config.before.yaml"),
    }


@pytest.mark.parametrize("command", [["rollback"], ["gc", "--keep", "1"], ["remove", "c"]])
@pytest.mark.parametrize("output", ["text", "json"])
def test_nothing_changes_where_nobody_can_be_asked(
    store: Store, capsys: Capture, monkeypatch: pytest.MonkeyPatch, command: list[str], output: str
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert type_in(store, *command, "--output", output) == 2
    said = capsys.readouterr()
    why = "there is no terminal to ask on" if output == "text" else "with --output json nobody is asked"
    assert f"nothing is changed unasked, and {why}" in (said.err if output == "text" else said.out)
    assert f"provision {command[0]} … --yes   # or set PROVISION_YES=1" in (said.err + said.out)
    assert (store.load_active_number(), store.list_numbers()) == (3, [1, 2, 3])


def test_the_variable_answers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVISION_YES", "1")
    assert type_in(store, "rollback") == 0
    assert store.load_active_number() == 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["rollback", "9"], 2, "error: there is no generation 9; known are 1, 2, 3\n"),
        (["rollback", "0"], 2, "error: Invalid value for '[N]': 0 is not in the range x>=1\n"),
        (["remove", "d"], 2, "error: generation 3 has no model 'd'\n"),
        (["remove", "a", "b", "c"], 2, "error: no model would be left without a and b and c,"),
        (["remove", "a,b,c"], 2, "error: no model would be left without a and b and c,"),
        (["gc", "--keep", "0"], 2, "error: Invalid value for '--keep': 0 is not in the range x>=1\n"),
    ],
)
def test_bad_usage(store: Store, capsys: Capture, arguments: list[str], code: int, said: str) -> None:
    assert type_in(store, *arguments, "--yes") == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("command", [["rollback"], ["remove", "a"]])
def test_nothing_was_applied(tmp_path: Path, capsys: Capture, command: list[str]) -> None:
    assert run([*command, "--yes", "--root", str(tmp_path)]) == 6
    assert capsys.readouterr().err.startswith(f"error: nothing was applied in {tmp_path}\n")


def test_a_rollback_that_fails(store: Store, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device", "/app/config.yaml")

    monkeypatch.setattr(Store, "switch", refuse)
    assert type_in(store, "rollback", "--yes") == 8
    assert capsys.readouterr().err.endswith(
        "error: rollback stopped: No space left on device: /app/config.yaml\n\n"
        "hint: df -h .   # what was active before still is\n"
    )
    assert store.load_active_number() == 3


def test_gc(store: Store, capsys: Capture) -> None:
    stack = store.load_generation(1).stacks[0].path
    assert type_in(store, "gc", "--keep", "1", "--dry-run") == 1
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown[:3]] == ["generations/1", "generations/2", stack]
    freed = shown[3].removeprefix("would free ")
    assert shown[4] == "kept: generation 3"
    assert type_in(store, "gc", "--keep", "1", "--yes") == 0
    assert capsys.readouterr().out == f"freed {freed}\nkept: generation 3\n"
    assert type_in(store, "gc", "--keep", "1") == 0
    assert capsys.readouterr().out == "nothing to free\nkept: generation 3\n"


def test_gc_json(store: Store, capsys: Capture) -> None:
    envelope = read_json(store, capsys, "gc", "--keep", "1", "--dry-run", code=1)
    data = envelope["data"]
    assert (envelope["status"], data["changed"], data["dry_run"], data["kept"]) == ("no", False, True, [3])
    assert data["items"][0] == {
        "kind": "generation",
        "name": "generations/1",
        "number": 1,
        "freed_bytes": data["items"][0]["freed_bytes"],
        "shared_bytes": 0,
    }
    assert data["freed_bytes"] == sum(item["freed_bytes"] for item in data["items"]) > 0
    assert (data["hub"], data["built"], data["shared_bytes"]) == ([], 0, 0)
    done = read_json(store, capsys, "gc", "--keep", "1", "--yes")["data"]
    assert (done["changed"], done["freed_bytes"]) == (True, data["freed_bytes"])
    assert render_bytes(done["freed_bytes"]).endswith("kB")


def test_remove(store: Store, capsys: Capture) -> None:
    assert type_in(store, "remove", "c", "--yes") == 0
    captured = capsys.readouterr()
    assert captured.out == (
        f"generation 4 is active; {store.config_path} says so\n"
        "what only older generations need goes with: provision gc; back: provision rollback 3\n"
    )
    assert captured.err.endswith(
        "from generation 3 to a new one, 4\n"
        "  without  c\n"
        "  models   a, b\n"
        "  stack second is used by none of them\n"
    )


def test_remove_json(store: Store, capsys: Capture) -> None:
    assert read_json(store, capsys, "remove", "c", "--yes")["data"] == {
        "generation": 4,
        "former": 3,
        "changed": True,
        "profile": "cpu",
        "removed": ["c"],
        "models": ["a", "b"],
        "stacks_dropped": ["second"],
        "hub_commands": [],
    }
