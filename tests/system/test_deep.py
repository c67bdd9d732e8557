"""How the deep checks are asked for: with small workers that answer, die, hang and talk nonsense."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from provision.model.deep import DeepAnswer, DeepOutcome, DeepResult
from provision.system.deep import run_deep

ENV = {"PATH": os.environ["PATH"]}
CHECKS = ("deep.import", "deep.device", "deep.cudnn")
# A worker in the shape of the real one: it writes before and after every check, and DO decides what a check does.
WORKER = """
import json, os, signal, sys, time, faulthandler
request = json.load(open(sys.argv[1]))
answer = {"schema": 1, "device": None, "results": [], "running": None, "done": False}
def save():
    open(sys.argv[2], "w").write(json.dumps(answer))
for name in request["checks"]:
    answer["running"] = name
    save()
    faulthandler.dump_traceback_later(request["check_timeout_s"], exit=True)
    DO
    faulthandler.cancel_dump_traceback_later()
    answer["device"] = request["device"]
    answer["results"].append({"id": name, "outcome": "ok", "detail": name, "elapsed_s": 0.5})
    answer["running"] = None
    save()
answer["done"] = True
save()
"""


def ask(
    folder: Path, code: str, *, check_timeout_s: float = 20.0, interpreter: Path | None = None
) -> DeepAnswer:
    worker = folder / "deep.py"
    worker.write_text(code, encoding="utf-8")
    return run_deep(
        interpreter or Path(sys.executable),
        CHECKS,
        device="cpu",
        worker_path=worker,
        env=ENV,
        work_dir=folder / "work",
        check_timeout_s=check_timeout_s,
    )


def make_ok(name: str) -> DeepResult:
    return DeepResult(id=name, outcome=DeepOutcome.OK, detail=name, elapsed_s=0.5)


def describe(answer: DeepAnswer) -> list[tuple[str, str, str]]:
    return [(item.id, item.outcome.value, item.detail) for item in answer.results]


def test_a_worker_that_answers(tmp_path: Path) -> None:
    assert ask(tmp_path, WORKER.replace("DO", "pass")) == DeepAnswer(
        results=tuple(make_ok(name) for name in CHECKS), device="cpu"
    )


def test_a_check_that_crashes_costs_the_others_nothing(tmp_path: Path) -> None:
    code = "if name == 'deep.device': os.kill(os.getpid(), signal.SIGSEGV)"
    answer = ask(tmp_path, WORKER.replace("DO", code))
    assert describe(answer) == [
        ("deep.import", "ok", "deep.import"),
        ("deep.device", "crashed", "the process died of SIGSEGV"),
        ("deep.cudnn", "ok", "deep.cudnn"),
    ]


def test_a_check_that_hangs_is_ended_by_its_own_alarm(tmp_path: Path) -> None:
    code = "time.sleep(60 if name == 'deep.device' else 0)"
    answer = ask(tmp_path, WORKER.replace("DO", code), check_timeout_s=0.2)
    assert describe(answer)[1:] == [
        ("deep.device", "timeout", "it was not done within 0 s"),
        ("deep.cudnn", "ok", "deep.cudnn"),
    ]


def test_a_crash_while_torch_is_imported_skips_the_rest(tmp_path: Path) -> None:
    code = "print('libcudart.so.13 is odd', file=sys.stderr); sys.exit(3)"
    assert describe(ask(tmp_path, WORKER.replace("DO", code))) == [
        ("deep.import", "crashed", "the process ended with exit code 3: libcudart.so.13 is odd"),
        ("deep.device", "skipped", "torch cannot be imported"),
        ("deep.cudnn", "skipped", "torch cannot be imported"),
    ]


def test_a_worker_that_lost_its_device_is_started_again(tmp_path: Path) -> None:
    code = "runs = len(request['checks'])\n    if runs == 3 and name == 'deep.cudnn': sys.exit(0)"
    lost = WORKER.replace("DO", code).replace('answer["running"] = name', 'answer["running"] = None')
    assert describe(ask(tmp_path, lost)) == [(name, "ok", name) for name in CHECKS]


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import sys; sys.exit('no torch here')", "ended with exit code 1 and left no answer: no torch here"),
        ("import sys; open(sys.argv[2], 'w').write('{')", "cannot be understood"),
    ],
)
def test_no_answer(tmp_path: Path, code: str, problem: str) -> None:
    answer = ask(tmp_path, code)
    assert answer.results == ()
    assert problem in (answer.problem or "")


def test_an_interpreter_that_is_not_there(tmp_path: Path) -> None:
    answer = ask(tmp_path, "", interpreter=tmp_path / "gone")
    assert answer == DeepAnswer(problem=f"{tmp_path / 'gone'} cannot be started: No such file or directory")
