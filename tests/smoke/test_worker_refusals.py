"""What the worker answers before any stack is needed: run by this interpreter, which has no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from provision.model.smoke import WorkerFault, WorkerResponse
from tests.smoke.conftest import WORKER, make_job, make_worker_env

PYTHON = [sys.executable, "-I"]


def run(argv: list[Any], folder: Path) -> subprocess.CompletedProcess[bytes]:
    env = make_worker_env(folder)
    return subprocess.run(argv, env=env, cwd=folder, capture_output=True, check=False, timeout=60)


def ask(folder: Path, request: bytes) -> tuple[int, WorkerResponse]:
    (folder / "request.json").write_bytes(request)
    argv = [*PYTHON, WORKER, folder / "request.json", folder / "response.json"]
    done = run(argv, folder)
    assert done.stdout + done.stderr == b""
    return done.returncode, msgspec.json.decode((folder / "response.json").read_bytes(), type=WorkerResponse)


def make_request(**changes: Any) -> bytes:
    job = make_job("m", Path("/models/m")) | changes
    return json.dumps({"schema": 1, "threads": None, "jobs": [job]}).encode()


def test_an_interpreter_without_torch_is_an_answer(tmp_path):
    code, response = ask(tmp_path, make_request())
    assert code == 0
    assert (response.versions, response.import_s, response.results) == (None, None, ())
    assert response.fault.type == "ModuleNotFoundError"
    assert response.fault.message == "No module named 'torch'"
    assert "in import_stack" in response.fault.traceback


@pytest.mark.parametrize(
    ("request_bytes", "message"),
    [
        (b"", "not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"[]", "the request: not an object but list"),
        (b"{}", "schema: missing"),
        (b'{"schema": 2}', "schema: 2 is not 1, the worker and the tool are of two versions"),
        (b'{"schema": true}', "schema: bool instead of int"),
        (b'{"schema": 1}', "jobs: missing"),
        (b'{"schema": 1, "jobs": [7]}', "jobs[0]: not an object but int"),
        (b'{"schema": 1, "jobs": [], "threads": "2"}', "threads: str instead of int or NoneType"),
        (make_request(device=None), "jobs[0].device: NoneType instead of str"),
        (make_request(pages=[{"name": "p"}]), "jobs[0].pages[0].lines: missing"),
        (make_request(pages=[{"name": "p", "lines": [1]}]), "jobs[0].pages[0].lines: not a list of texts"),
    ],
)
def test_a_request_that_makes_no_sense(tmp_path, request_bytes, message):
    code, response = ask(tmp_path, request_bytes)
    assert code == 2
    assert (response.versions, response.results) == (None, ())
    assert (response.fault.type, response.fault.message) == ("RequestError", message)


def test_a_request_that_is_not_there(tmp_path):
    done = run([*PYTHON, WORKER, tmp_path / "no.json", tmp_path / "response.json"], tmp_path)
    fault = msgspec.json.decode((tmp_path / "response.json").read_bytes(), type=WorkerResponse).fault
    assert done.returncode == 2
    assert isinstance(fault, WorkerFault)
    assert fault.type == "FileNotFoundError"


def test_usage(tmp_path):
    done = run([*PYTHON, WORKER], tmp_path)
    assert (done.returncode, done.stderr) == (2, b"usage: worker.py REQUEST.json RESPONSE.json\n")
