"""How the tool asks a worker: with small workers that answer, die, hang and talk nonsense."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import msgspec
import pytest

from provision.errors import ToolError
from provision.model.smoke import (
    JobOutcome,
    JobRequest,
    JobResult,
    PageRequest,
    Versions,
    WorkerRequest,
    WorkerResponse,
)
from provision.system.run import CannotStartError
from provision.system.worker import run_worker

ENV = {"PATH": os.environ["PATH"], "HOME": "/home/ada"}
REQUEST = WorkerRequest(
    threads=2,
    jobs=(
        JobRequest(
            model="m",
            family="qwen_vl",
            model_dir="/models/m",
            device="cpu",
            dtype="bfloat16",
            attention="sdpa",
            prompt="Lies den Text: ß",
            max_new_tokens=8,
            trust_remote_code=False,
            time_limit_s=60.0,
            pages=(PageRequest(name="grid", lines=("A", "B")),),
        ),
    ),
)
RESPONSE = WorkerResponse(
    versions=Versions(python="3.11.7", torch="2.13.0+cpu", transformers="5.22.2"),
    import_s=3.5,
    results=(JobResult(model="m", outcome=JobOutcome.CRASHED, device="cpu", signal="SIGSEGV"),),
)
ANSWER = "import sys; open(sys.argv[2], 'wb').write(ANSWER)"


def ask(
    folder: Path, code: str, *, timeout_s: float = 30.0, interpreter: Path | None = None
) -> WorkerResponse:
    worker = folder / "worker.py"
    worker.write_text(f"ANSWER = {msgspec.json.encode(RESPONSE)!r}\n{code}", encoding="utf-8")
    return run_worker(
        interpreter or Path(sys.executable),
        REQUEST,
        worker_path=worker,
        env=ENV,
        work_dir=folder / "work",
        timeout_s=timeout_s,
    )


def test_the_answer_comes_back(tmp_path):
    assert ask(tmp_path, ANSWER) == RESPONSE


def test_the_request_reaches_the_worker_as_it_is(tmp_path):
    ask(tmp_path, ANSWER)
    saved = (tmp_path / "work" / "request.json").read_bytes()
    assert json.loads(saved)["jobs"][0]["prompt"] == "Lies den Text: ß"
    assert msgspec.json.decode(saved, type=WorkerRequest) == REQUEST


def test_the_worker_sees_the_environment_given_and_nothing_else_of_ours(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_sesame")
    code = "import os, json, sys; json.dump([dict(os.environ), sys.flags.isolated, os.getcwd()], open('seen', 'w'))"
    ask(tmp_path, f"{code}\n{ANSWER}")
    env, isolated, folder = json.loads((tmp_path / "work" / "seen").read_text(encoding="utf-8"))
    # The interpreter adds LC_CTYPE itself where the locale is C.
    assert {key: value for key, value in env.items() if key != "LC_CTYPE"} == ENV
    assert (isolated, folder) == (1, str((tmp_path / "work").resolve()))


def test_an_answer_counts_whatever_the_exit_code(tmp_path):
    assert ask(tmp_path, f"{ANSWER}; sys.stdout.flush(); import os; os._exit(2)") == RESPONSE


def test_an_old_answer_is_not_taken_for_a_new_one(tmp_path):
    ask(tmp_path, ANSWER)
    with pytest.raises(ToolError, match="and left no answer"):
        ask(tmp_path, "pass")


@pytest.mark.parametrize(
    ("code", "end", "output"),
    [
        ("import sys; print('out'); sys.exit('no luck')", "ended with exit code 1", "out\nno luck\n"),
        ("import os; os.kill(os.getpid(), 4)", "died of SIGILL", ""),
        ("print('x' * 9000 + 'end')", "ended with exit code 0", "x" * 3996 + "end\n"),
    ],
)
def test_a_worker_that_leaves_no_answer(tmp_path, code, end, output):
    with pytest.raises(ToolError) as raised:
        ask(tmp_path, code)
    assert raised.value.message == f"the smoke worker of {sys.executable} {end} and left no answer"
    assert (raised.value.hint, raised.value.output) == ("provision doctor", output)


def test_a_worker_that_does_not_end(tmp_path):
    start = time.monotonic()
    with pytest.raises(ToolError) as raised:
        ask(tmp_path, "print('importing', flush=True); import time; time.sleep(300)", timeout_s=1.0)
    assert raised.value.message.endswith("was ended after 1 s and left no answer")
    assert raised.value.output == "importing\n"
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "Input data was truncated"),
        (b"{}", "Object missing required field `versions`"),
        (
            b'{"versions": null, "import_s": null, "results": [{"model": "m", "outcome": "ran", "device": 1}]}',
            "Expected `str`, got `int` - at `$.results[0].device`",
        ),
        (
            b'{"versions": null, "import_s": null, "results": [{"model": "m", "outcome": "won", "device": "c"}]}',
            "Invalid enum value 'won' - at `$.results[0].outcome`",
        ),
    ],
)
def test_an_answer_that_cannot_be_understood(tmp_path, answer, reason):
    with pytest.raises(ToolError) as raised:
        ask(tmp_path, f"ANSWER = {answer!r}\n{ANSWER}")
    assert raised.value.message == f"the smoke worker's answer cannot be understood: {reason}"
    assert raised.value.output == answer.decode()


def test_an_interpreter_that_is_gone(tmp_path):
    with pytest.raises(CannotStartError, match="cannot be started: No such file or directory"):
        ask(tmp_path, ANSWER, interpreter=tmp_path / "stack" / "bin" / "python")
