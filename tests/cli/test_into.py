"""How a change of a user's environment is shown and asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from provision.actions import into_verify as action
from provision.actions.activate import promote
from provision.cli.into import apply_into, undo_into
from provision.errors import UsageError
from provision.model.smoke import Verdict
from provision.system.store import Store
from tests.support.into_environment import (
    answer_smoke,
    build_wheels,
    find_site,
    make_context,
    make_environment,
    make_request,
    read_state,
)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheels(tmp_path_factory.mktemp("wheels"))


@pytest.fixture
def environment(tmp_path: Path, wheels: Path) -> Path:
    (tmp_path / "app").mkdir()
    return make_environment(tmp_path / "venv", wheels)


@pytest.fixture(autouse=True)
def _read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(action, "smoke_stack", answer_smoke(Verdict.PASS))


def run(
    environment: Path, wheels: Path, *, dry_run: bool = False, yes: bool = True, output: str = "text"
) -> int:
    ctx = make_context(environment.parent / "app", wheels)
    return apply_into(ctx, make_request(ctx), environment, dry_run=dry_run, yes=yes, output=output)


def test_a_dry_run_shows_the_plan_and_says_that_something_is_to_do(
    environment: Path, wheels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_state(environment)
    assert run(environment, wheels, dry_run=True) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f"plan: profile cpu in {environment} (Python {'.'.join(str(p) for p in __import__('sys').version_info[:3])})",
        f"  source  {wheels} (PIP_FIND_LINKS): serves: "
        "torch 2.13.0+cpu; it has no torchvision that belongs to it",
        "  - flash-attn 2.7.3: flash-attn needs a torch that is built for CUDA",
        "  - nvidia-cublas-cu12 12.6.4.1: only torch 2.7.0 and its libraries asked for it",
        "  - torchaudio 2.7.0: it is built for torch==2.7.0, and nothing that stays asks for it",
        "  ~ pillow 11.0.0 -> 13.0.0",
        "  ~ torch 2.7.0 -> 2.13.0+cpu",
        "  ~ transformers 4.51.3 -> 5.22.2",
        "  + accelerate 1.15.0",
        "  + added-one 1.0",
        err.splitlines()[10],
        f"  file    {environment.parent / 'app' / 'config.yaml'} (new)",
        "  generation 1 names it once every model has read in it",
        "  conflict: foreign asks for pillow<12, and 13.0.0 would be installed",
    ]
    assert err.splitlines()[10].startswith("  2 packages of yours stay; at most ")
    assert read_state(environment) == before


def test_nothing_is_changed_unasked(environment: Path, wheels: Path) -> None:
    before = read_state(environment)
    with pytest.raises(UsageError, match="nothing is changed unasked, and there is no terminal to ask on"):
        run(environment, wheels, yes=False)
    assert read_state(environment) == before


def test_a_change_is_told_and_can_be_taken_back(
    environment: Path, wheels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_state(environment)
    assert run(environment, wheels) == 0
    root = environment.parent / "app"
    assert capsys.readouterr().out.splitlines()[-4:] == [
        "",
        f"{environment} is changed and verified: 8 packages",
        f"generation 1 is active; {root / 'config.yaml'} says so",
        f"to take it back: provision apply --into {environment} --undo",
    ]
    assert run(environment, wheels) == 0
    assert capsys.readouterr().out == f"nothing to do: {environment} is as generation 1 left it\n"
    assert undo_into(make_context(root, wheels), environment, yes=True, output="text") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{environment} is as it was before 2026-11-21T12:00:00+00:00",
        "config.yaml still names generation 1, which was verified in it:",
        f"  provision apply cpu --into {environment}   # changes it again",
    ]
    assert read_state(environment) == before


def test_undo_names_the_active_generation_only_where_that_one_names_the_environment(
    environment: Path, wheels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = environment.parent / "app"
    assert run(environment, wheels) == 0
    undo_into(make_context(root, wheels), environment, yes=True, output="text")
    store = Store(root)
    elsewhere = replace(store.load_generation(1), number=2, stacks=())
    promote(store, elsewhere, {})
    assert run(environment, wheels) == 0
    capsys.readouterr()
    assert undo_into(make_context(root, wheels), environment, yes=True, output="text") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{environment} is as it was before 2026-11-21T12:00:00+00:00",
        "config.yaml still names generation 3, which was verified in it:",
        "  provision rollback",
    ]
    assert run(environment, wheels) == 0
    promote(store, replace(elsewhere, number=5), {})
    capsys.readouterr()
    assert undo_into(make_context(root, wheels), environment, yes=True, output="json") == 0
    assert json.loads(capsys.readouterr().out)["data"] == {
        "environment": str(environment),
        "undone": "2026-11-21T12:00:00+00:00",
        "generation": 4,
        "named_by": None,
        "former": None,
    }


def test_a_dry_run_tells_of_a_key_that_was_edited(
    environment: Path, wheels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(environment, wheels) == 0
    path = environment.parent / "app" / "config.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("profile: cpu", "profile: cuda"), encoding="utf-8")
    capsys.readouterr()
    assert run(environment, wheels, dry_run=True) == 1
    assert capsys.readouterr().err.splitlines()[2:] == [
        "  all 5 packages are there as they are wanted",
        "  2 packages of yours stay; at most 0 B to download",
        f"  file    {path} (changed)",
        "  generation 2 names it once every model has read in it",
    ]
    assert run(environment, wheels) == 0
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "",
        f"{environment} is verified as it is; no package had to be changed",
        f"generation 2 is active; {path} says so",
    ]
    assert path.read_text(encoding="utf-8") == text.replace("generation: 1", "generation: 2")
    assert run(environment, wheels, dry_run=True) == 0


def test_json_carries_every_change(
    environment: Path, wheels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(environment, wheels, output="json") == 0
    envelope = json.loads(capsys.readouterr().out)
    data = envelope["data"]
    assert (envelope["command"], envelope["status"]) == ("apply", "ok")
    assert (data["changed"], data["generation"], data["environment"]) == (True, 1, str(environment))
    assert [source["answer"] for source in data["sources"]] == ["serves"]
    assert data["files"] == [f"{environment.parent / 'app' / 'config.yaml'} (new)"]
    assert data["kept"] == ["einops", "foreign"]
    assert data["conflicts"] == [{"package": "foreign", "requirement": "pillow<12", "found": "13.0.0"}]
    assert data["changes"][2] == {
        "name": "flash-attn",
        "kind": "remove",
        "before": "2.7.3",
        "after": None,
        "reason": "flash-attn needs a torch that is built for CUDA",
    }
    assert data["stacks"][0]["path"] == str(environment)
    assert [result["verdict"] for result in data["results"]] == ["pass"]


def test_a_failed_verification_ends_with_7_and_shows_what_was_read(
    environment: Path, wheels: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_state(environment)
    monkeypatch.setattr(action, "smoke_stack", answer_smoke(Verdict.FAIL, "the text begins '!!!!'"))
    assert run(environment, wheels, output="json") == 7
    envelope = json.loads(capsys.readouterr().out)
    assert envelope["data"]["changed"] is False
    assert [result["verdict"] for result in envelope["data"]["results"]] == ["fail"]
    [error] = envelope["errors"]
    assert error["message"] == f"{environment} is as it was before: tiny_qwen2_vl: the text begins '!!!!'"
    assert read_state(environment) == before
    assert run(environment, wheels) == 7
    assert "tiny_qwen2_vl fail" in capsys.readouterr().out
    assert (find_site(environment) / "flash_attn" / "__init__.py").exists()
