"""`provision update` as it is typed: words, exit codes, JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from provision.actions.prospect import Prospect
from provision.actions.update import Updated
from provision.cli import main
from provision.cli.main import run
from provision.core.update import compare_results
from provision.errors import DownloadError
from provision.model.finding import Finding, Severity
from provision.model.plan import PackageChange
from provision.model.smoke import Verdict
from provision.model.update import Available, Outside, StackNews, Trial, TrialRecord, TrialVerdict
from provision.system.store import Store
from tests.core.test_update import make_result
from tests.support.application import MODEL, make_application

Capture = pytest.CaptureFixture[str]
REASON = "a: fail, was pass: did not read the nonce"
TRIED = TrialRecord(
    date="2026-11-20T12:00:00+00:00",
    fingerprint="f",
    locks={"main": "1"},
    verdict=TrialVerdict.DISCARDED,
    reason=REASON,
)
MAIN = StackNews(
    name="main",
    models=(MODEL,),
    former="main",
    lock_sha256="1",
    path="stacks/main-1",
    kept=False,
    changes=(
        PackageChange(name="extra", before=None, after="1.0"),
        PackageChange(name="transformers", before="5.22.2", after="5.22.3"),
    ),
)
SECOND = replace(MAIN, name="transformers-4.46", models=("old",), kept=True, changes=())
SHOWN = f"""\
stack main: {MODEL}
  package       active  new
  extra         -       1.0
  transformers  5.22.2  5.22.3
stack transformers-4.46 (old) stays as it is
outside: torch 2.15.0 (active 2.13.0): the profile's build
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(main, "COMMANDS", tuple(dict.fromkeys((*main.COMMANDS, "update"))))
    return make_application(tmp_path)


def make_prospect(store: Store, *, tried: TrialRecord | None = None, newer: bool = True) -> Prospect:
    active = store.load_active()
    assert active is not None
    news = (Available(stack="main", name="transformers", active="5.22.2", new="5.22.3"),)
    return Prospect(
        active=active,
        situation=None,  # type: ignore[arg-type] # nothing that is shown comes from it
        current=True,
        resolved=(),
        stacks=(MAIN if newer else replace(MAIN, kept=True, changes=()), SECOND),
        available=news if newer else (),
        outside=(Outside(name="torch", active="2.13.0", latest="2.15.0", reason="the profile's build"),),
        tried=tried,
    )


def type_in(monkeypatch: pytest.MonkeyPatch, store: Store, prospect: Prospect, *arguments: str) -> int:
    monkeypatch.setattr("provision.actions.prospect.find_prospect", lambda *_: prospect)
    return run(["update", *arguments, "--root", str(store.root)])


@pytest.mark.parametrize("option", ["--check", "--dry-run"])
def test_something_newer_is_shown_and_answers_1(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: Capture, option: str
) -> None:
    assert type_in(monkeypatch, store, make_prospect(store), option) == 1
    assert capsys.readouterr().out == SHOWN


def test_nothing_newer_answers_0(store: Store, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert type_in(monkeypatch, store, make_prospect(store, newer=False), "--check") == 0
    assert capsys.readouterr().out == (
        "nothing newer inside the bounds for generation 1 (cpu)\n"
        "outside: torch 2.15.0 (active 2.13.0): the profile's build\n"
    )


@pytest.mark.parametrize(
    ("options", "code", "again"),
    [(["--check"], 0, "--retry tries again"), (["--check", "--retry"], 1, "it is tried again")],
)
def test_what_was_discarded_is_told(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
    options: list[str],
    code: int,
    again: str,
) -> None:
    assert type_in(monkeypatch, store, make_prospect(store, tried=TRIED), *options) == code
    told = f"tried on 2026-11-20, discarded because {REASON}; {again}\n"
    assert capsys.readouterr().out == SHOWN + told


def test_no_source_that_answers_is_5(store: Store, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def fail(*_: object) -> Prospect:
        raise DownloadError("no source of packages serves torch", hint="provision doctor --network")

    monkeypatch.setattr("provision.actions.prospect.find_prospect", fail)
    assert run(["update", "--check", "--root", str(store.root)]) == 5
    assert capsys.readouterr().err.startswith("error: no source of packages serves torch\n")


def finish(store: Store, trial: Trial, number: int) -> Callable[..., Updated]:
    """An update that asks and comes to `trial`."""

    def update(*_: object, agree: Callable[[Prospect], None], retry: bool) -> Updated:
        prospect = make_prospect(store)
        agree(prospect)
        generation = prospect.active if number == 1 else replace(prospect.active, number=number)
        return Updated(prospect=prospect, trial=trial, generation=generation)

    return update


DISCARDED = Trial(
    reason="a: fail, was pass: as it reads",
    findings=(Finding(id="deep.import", severity=Severity.PASS, evidence="torch"),),
    models=compare_results(
        [make_result(Verdict.PASS)], [replace(make_result(Verdict.FAIL, 0.5), tokens_per_s=None)]
    ),
)


def test_a_discarded_trial_says_why_and_answers_1(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("provision.actions.update.update", finish(store, DISCARDED, 1))
    assert run(["update", "--yes", "--root", str(store.root)]) == 1
    shown = capsys.readouterr()
    assert shown.err == SHOWN
    assert shown.out == (
        "numerics: 1 checks agree with float64, 0 failed\n"
        "  model  verdict       CER       tok/s    against before\n"
        "  a      pass -> fail  0 -> 0.5  50 -> -  worse\n"
        "a: fail, was pass: as it reads\n"
        "\n"
        "discarded: a: fail, was pass: as it reads\n"
        "generation 1 is active and config.yaml as it was\n"
    )


def test_a_promotion_says_the_way_back(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("provision.actions.update.update", finish(store, replace(DISCARDED, reason=""), 2))
    assert run(["update", "--yes", "--root", str(store.root)]) == 0
    assert capsys.readouterr().out.endswith(
        f"\ngeneration 2 is active; {store.config_path} says so\nback: provision rollback 1\n"
    )


def test_json(store: Store, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr("provision.actions.update.update", finish(store, DISCARDED, 1))
    assert run(["update", "--yes", "--output", "json", "--root", str(store.root)]) == 1
    envelope: dict[str, Any] = json.loads(capsys.readouterr().out)
    data = envelope["data"]
    assert (envelope["status"], envelope["findings"][0]["id"]) == ("no", "deep.import")
    assert (data["changed"], data["former"], data["generation"], data["tried"]) == (False, 1, 1, None)
    assert data["available"] == [
        {"stack": "main", "name": "transformers", "active": "5.22.2", "new": "5.22.3"}
    ]
    assert [(stack["name"], stack["kept"]) for stack in data["stacks"]] == [
        ("main", False),
        ("transformers-4.46", True),
    ]
    assert (data["trial"]["verdict"], data["trial"]["models"][0]["standing"]) == ("discarded", "worse")


def test_nobody_is_asked_for_json(store: Store, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr("provision.actions.update.update", finish(store, DISCARDED, 1))
    assert run(["update", "--output", "json", "--root", str(store.root)]) == 2
    [error] = json.loads(capsys.readouterr().out)["errors"]
    assert error["message"] == "nothing is changed unasked, and with --output json nobody is asked"
