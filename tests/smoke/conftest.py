"""Models to break, and one run of the worker over all of them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
WORKER = ROOT / "smoke" / "worker.py"
EMBEDDED = ROOT / "smoke" / "embedded" / "tiny_qwen2_vl"
LINES = ("INVOICE 4711  DATE 24.01.2026", "TOTAL 1,299.00 EUR", "REF 7kLm-aB3d-Xy9Z")

REMOTE_CONFIG = """
import os, signal, subprocess, sys, time
from transformers import PretrainedConfig
{code}
class BoomConfig(PretrainedConfig):
    model_type = "boom"
"""


def make_job(model: str, model_dir: Path, **changes: Any) -> dict[str, Any]:
    """A job for the worker as JSON has it."""
    page = {"name": "grid", "lines": list(LINES), "image_path": None}
    return {
        "model": model,
        "family": "qwen_vl",
        "model_dir": str(model_dir),
        "device": "cpu",
        "dtype": "bfloat16",
        "attention": "sdpa",
        "prompt": "Read the text.",
        "max_new_tokens": 24,
        "trust_remote_code": False,
        "time_limit_s": 120.0,
        "pages": [page],
    } | changes


def make_remote_model(folder: Path, code: str) -> Path:
    """A model whose own code runs `code` as soon as it is imported, which is while the processor loads."""
    folder.mkdir(parents=True)
    config = {"model_type": "boom", "auto_map": {"AutoConfig": "configuration_boom.BoomConfig"}}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "configuration_boom.py").write_text(REMOTE_CONFIG.format(code=code), encoding="utf-8")
    return folder


def make_worker_env(home: Path) -> dict[str, str]:
    """What the worker needs, with folders of its own for what remote code leaves."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "TOKENIZERS_PARALLELISM": "false"}


@pytest.fixture(scope="session")
def tiny_model(stack_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of the real architecture, made in the stack."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    script = Path(__file__).with_name("tiny_model.py")
    subprocess.run([stack_python, "-I", script, folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def ask_worker(stack_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Runs the worker over jobs; the response as JSON has it."""

    def ask(jobs: list[dict[str, Any]], *, options: tuple[str, ...] = ("-I",)) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp("worker")
        request, response = folder / "request.json", folder / "response.json"
        request.write_text(json.dumps({"schema": 1, "threads": None, "jobs": jobs}), encoding="utf-8")
        argv = [stack_python, *options, WORKER, request, response]
        env = make_worker_env(folder)
        done = subprocess.run(argv, env=env, cwd=folder, check=False, capture_output=True, timeout=400)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        assert sorted(path.name for path in folder.glob("job*")) == []
        return json.loads(response.read_text(encoding="utf-8"))

    return ask
