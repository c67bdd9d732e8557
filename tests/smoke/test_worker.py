"""The worker in a stack's interpreter: models that read, models that are broken, models that die."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from provision.core.page_text import build_grid_page
from provision.model.smoke import JobOutcome, JobResult, WorkerResponse
from tests.smoke.conftest import EMBEDDED, LINES, ROOT, WORKER, make_job, make_remote_model, make_worker_env
from tests.support.weights import INF, NAN, copy_broken

LAYER = "model.language_model.layers"
PAGE = build_grid_page(Random())
FORK_BOMB = """
child = subprocess.Popen(["sleep", "300"])
print("started", child.pid, flush=True)
time.sleep(300)
"""


@pytest.fixture(scope="module")
def picture(stack_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page as a picture file."""
    path = tmp_path_factory.mktemp("pages") / "page.png"
    code = "import sys; sys.path.insert(0, sys.argv[1]); from smoke.pages.grid import render_grid\n"
    code += "render_grid(sys.argv[3:]).save(sys.argv[2])"
    subprocess.run([stack_python, "-I", "-c", code, ROOT, path, *LINES], check=True)
    return path


def break_model(tiny: Path, base: Path) -> list[dict[str, Any]]:
    """Jobs for copies of `tiny` with bad weights."""
    down = "model.layers.1.mlp.down_proj.weight"
    overflowing = copy_broken(tiny, base / "q", "model.layers.0.self_attn.q_proj.weight", 1e24)
    overflowing = copy_broken(overflowing, base / "overflow", "model.layers.0.self_attn.k_proj.weight", 1e24)
    return [
        make_job("nan", copy_broken(tiny, base / "nan", down, NAN, count=1)),
        make_job("inf", copy_broken(tiny, base / "inf", "visual.blocks.1.mlp.fc1.bias", INF, count=3)),
        make_job("overflow", overflowing),
        make_job("short", cut_tensor(tiny, base / "short", "model.norm.weight")),
    ]


def cut_tensor(source: Path, target: Path, tensor: str) -> Path:
    """A copy whose file does not name `tensor` any more."""
    copy_broken(source, target, tensor, 1.0)
    path = target / "model.safetensors"
    data = path.read_bytes()
    # A name of the same length leaves every offset as it is.
    path.write_bytes(data.replace(f'"{tensor}"'.encode(), f'"{"x" * len(tensor)}"'.encode()))
    return target


def kill_model(base: Path) -> list[dict[str, Any]]:
    """Jobs for models whose own code ends its process, one way or the other."""
    code = {
        "segfault": "print('last words', flush=True); os.kill(os.getpid(), signal.SIGSEGV)",
        "oom": "os.kill(os.getpid(), signal.SIGKILL)",
        "exit": "os._exit(3)",
        "hang": FORK_BOMB,
        "flood": "[print('x' * 1000) for _ in range(20000)]; os._exit(4)",
    }
    jobs = [
        make_job(name, make_remote_model(base / name, text), trust_remote_code=True)
        for name, text in code.items()
    ]
    return [job | {"time_limit_s": 3.0} if job["model"] == "hang" else job for job in jobs]


@pytest.fixture(scope="module")
def response(
    ask_worker: Callable[..., dict[str, Any]],
    tiny_model: Path,
    picture: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """One request with all jobs: those that die stand before those that have to live."""
    base = tmp_path_factory.mktemp("jobs")
    lines = {"lines": list(PAGE.lines), "image_path": None}
    pages = [{"name": "first", **lines}, {"name": "second", **lines}]
    jobs = [
        *kill_model(base),
        *break_model(tiny_model, base),
        make_job("untrusted", base / "exit"),
        make_job("unknown-family", tiny_model, family="phlogiston"),
        make_job("missing", base / "nowhere"),
        make_job("no-model", tmp_path_factory.mktemp("empty")),
        make_job("no-device", tiny_model, device="cuda:99"),
        make_job("too-long", tiny_model, pages=[{"name": "p", "lines": ["x" * 33], "image_path": None}]),
        make_job("sdpa", EMBEDDED, max_new_tokens=160, pages=pages),
        make_job("eager", EMBEDDED, max_new_tokens=160, attention="eager"),
        make_job(
            "picture",
            EMBEDDED,
            max_new_tokens=160,
            dtype="float32",
            pages=[{"name": "png", "lines": [], "image_path": str(picture)}],
        ),
    ]
    answer = ask_worker(jobs)
    assert [result["model"] for result in answer["results"]] == [job["model"] for job in jobs]
    return answer


@pytest.fixture
def result(response: dict[str, Any]) -> Callable[[str], JobResult]:
    """The result of a model."""
    by_model = {entry["model"]: entry for entry in response["results"]}
    return lambda model: msgspec.convert(by_model[model], JobResult)


pytestmark = pytest.mark.stack


def test_the_answer_is_what_the_tool_expects_key_by_key(response):
    decoded = msgspec.convert(response, WorkerResponse)
    assert drop_defaults(msgspec.to_builtins(decoded)) == drop_defaults(response)
    assert decoded.versions is not None
    assert decoded.versions.python.startswith("3.")
    assert decoded.import_s > 0


def drop_defaults(value: Any) -> Any:
    """The same without what is empty: the worker leaves such keys out, the tool fills them in."""
    if isinstance(value, dict):
        kept = {key: drop_defaults(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, "", [], {})}
    return [drop_defaults(item) for item in value] if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize(
    ("model", "attention", "text"), [("sdpa", "sdpa", PAGE.text), ("eager", "eager", "\n".join(LINES))]
)
def test_the_embedded_model_reads_letter_for_letter(result, model, attention, text):
    done = result(model)
    assert [page.text for page in done.pages] == [text] * len(done.pages)
    assert (done.outcome, done.stage, done.fault) == (JobOutcome.RAN, "done", None)
    assert (done.dtype, done.attention, done.device, done.start_method) == (
        "bfloat16",
        attention,
        "cpu",
        "fork",
    )
    assert done.numeric_fault is None
    assert (done.exit_code, done.signal) == (None, None)


def test_a_healthy_job_is_measured(result):
    done = result("sdpa")
    first, second = done.pages
    assert (first.name, second.name) == ("first", "second")
    assert first.new_tokens == second.new_tokens == len(PAGE.text) + 1
    assert 0 < first.first_token_s < first.generate_s
    assert first.tokens_per_s == pytest.approx(
        (first.new_tokens - 1) / (first.generate_s - first.first_token_s), rel=0.2
    )
    assert 0 < done.load_s < done.elapsed_s
    assert 2_000_000 < done.parameters < 2_300_000
    assert (done.loading.missing_keys, done.loading.unexpected_keys) == ((), ())
    assert done.peak_memory_kind == "rss"
    assert 50e6 < done.base_memory_bytes < done.peak_memory_bytes < 4e9
    assert done.device_name


def test_a_picture_is_read_and_dtype_is_that_of_the_model(result):
    done = result("picture")
    assert [page.text for page in done.pages] == ["\n".join(LINES)]
    assert done.dtype == "float32"


def test_a_nan_weight_is_named_with_the_module(result):
    done = result("nan")
    assert done.outcome is JobOutcome.RAN
    assert [(page.text, page.nonfinite_token) for page in done.pages] == [("!" * 24, 0)]
    fault = done.numeric_fault
    assert (fault.module, fault.module_class, fault.tensor) == (
        f"{LAYER}.1.mlp.down_proj",
        "Linear",
        "output",
    )
    assert (fault.dtype, fault.previous_module) == ("bfloat16", f"{LAYER}.1.mlp.up_proj")
    assert fault.nonfinite_share == pytest.approx(1 / 64)
    assert 0 < fault.previous_max_abs < 100
    assert [msgspec.to_builtins(weight) for weight in fault.parameters] == [
        {"name": f"{LAYER}.1.mlp.down_proj.weight", "dtype": "bfloat16", "nonfinite": 1, "values": 64 * 128}
    ]


def test_an_inf_weight_in_the_vision_part_is_named(result):
    fault = result("inf").numeric_fault
    assert (fault.module, fault.tensor) == ("model.visual.blocks.1.mlp.fc1", "output")
    assert fault.nonfinite_share == pytest.approx(3 / 128)
    assert [(weight.name, weight.nonfinite) for weight in fault.parameters] == [
        ("model.visual.blocks.1.mlp.fc1.bias", 3)
    ]


def test_an_overflow_between_modules_is_named_by_the_module_around_it(result):
    fault = result("overflow").numeric_fault
    attention = f"{LAYER}.0.self_attn"
    assert (fault.module, fault.module_class) == (attention, "Qwen2VLAttention")
    assert fault.tensor == f"input of {attention}.o_proj"
    assert fault.previous_module == f"{attention}.v_proj"
    assert fault.parameters == ()


def test_weights_that_are_missing_and_unknown_are_reported(result):
    done = result("short")
    assert done.loading.missing_keys == ("model.language_model.norm.weight",)
    assert done.loading.unexpected_keys == ("x" * len("model.norm.weight"),)
    assert done.loading.mismatched_keys == ()


@pytest.mark.parametrize(("model", "name"), [("segfault", "SIGSEGV"), ("oom", "SIGKILL")])
def test_death_by_a_signal(result, model, name):
    done = result(model)
    assert (done.outcome, done.signal, done.exit_code) == (JobOutcome.CRASHED, name, None)
    assert done.stage == "loading the processor"
    assert (done.fault.type, done.fault.message) == (
        name,
        f"the process died of {name}, at: loading the processor",
    )


def test_the_last_words_of_a_crash_and_where_it_stood_are_kept(result):
    log = result("segfault").fault.log
    assert log.startswith("last words\nFatal Python error: Segmentation fault")
    assert 'configuration_boom.py", line' in log


def test_death_by_an_exit_code(result):
    done = result("exit")
    assert (done.outcome, done.exit_code, done.signal) == (JobOutcome.CRASHED, 3, None)
    assert done.fault.message == "the process ended with exit code 3, at: loading the processor"


def test_the_time_limit_ends_the_job_and_what_it_started(result):
    done = result("hang")
    assert (done.outcome, done.stage) == (JobOutcome.TIMEOUT, "loading the processor")
    assert done.fault.message == "not done within 3 s, at: loading the processor"
    assert 3.0 <= done.elapsed_s < 30
    assert 'configuration_boom.py", line' in done.fault.log
    pid = int(done.fault.log.split()[1])
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text("utf-8")


def test_a_flood_of_output_is_bounded(result):
    done = result("flood")
    assert (done.outcome, done.exit_code) == (JobOutcome.CRASHED, 4)
    assert 0 < len(done.fault.log) <= 8192
    assert set(done.fault.log) == {"x", "\n"}


@pytest.mark.parametrize(
    ("model", "kind", "message"),
    [
        (
            "unknown-family",
            "UnknownFamilyError",
            "there is no model family 'phlogiston'; known: got_ocr, qwen_vl",
        ),
        ("missing", "FileNotFoundError", "there is no folder /.*/nowhere"),
        ("no-model", "FileNotFoundError", "/.* holds no config.json, so it is no model"),
        ("too-long", "ValueError", "line 1 has 33 characters, .*"),
    ],
)
def test_what_cannot_be_done_is_said(result, model, kind, message):
    done = result(model)
    assert (done.outcome, done.fault.type) == (JobOutcome.ERROR, kind)
    assert re.fullmatch(message, done.fault.message)
    assert done.fault.traceback.startswith("Traceback (most recent call last):")


def test_code_of_a_model_that_is_not_trusted_does_not_run(result):
    done = result("untrusted")
    assert (done.outcome, done.fault.type, done.exit_code) == (JobOutcome.ERROR, "ValueError", None)
    assert result("exit").exit_code == 3


def test_a_device_that_is_not_there_is_tried_from_a_fresh_interpreter_too(result):
    done = result("no-device")
    assert (done.outcome, done.stage, done.start_method) == (
        JobOutcome.ERROR,
        "reaching the device",
        "spawn",
    )
    assert done.fork_fault.type == done.fault.type


NO_FORK = "del os.fork"
HANGING_FORK = """
runpy.run_path(sys.argv[0], run_name="worker")
sys.modules["smoke.child"].FORK_LIMIT_S = 1.0
os.register_at_fork(after_in_child=lambda: time.sleep(300))
"""


@pytest.mark.parametrize(
    ("prelude", "fault"),
    [
        pytest.param(NO_FORK, None, id="no-fork"),
        pytest.param(HANGING_FORK, "not on its device after 1 s, at: starting", id="hanging-fork"),
    ],
)
def test_where_forking_does_not_work_a_fresh_interpreter_reads(stack_python, tmp_path, prelude, fault):
    code = f"import os, runpy, sys, time; sys.argv = sys.argv[1:]\n{prelude}\n"
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"
    request, response = tmp_path / "request.json", tmp_path / "response.json"
    jobs = [make_job("embedded", EMBEDDED, max_new_tokens=160)]
    request.write_text(json.dumps({"schema": 1, "jobs": jobs}), encoding="utf-8")
    argv = [stack_python, "-I", "-c", code, WORKER, request, response]
    subprocess.run(argv, check=True, env=make_worker_env(tmp_path), cwd=tmp_path, timeout=300)
    [done] = json.loads(response.read_bytes())["results"]
    assert (done["outcome"], done["start_method"]) == ("ran", "spawn")
    assert done.get("fork_fault", {}).get("message") == fault
    assert done["pages"][0]["text"] == "\n".join(LINES)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_the_worker_is_the_end_of_its_jobs(stack_python, tmp_path, number):
    code = "open(os.environ['HOME'] + '/pid', 'w').write(str(os.getpid())); time.sleep(300)"
    model = make_remote_model(tmp_path / "model", code)
    request = tmp_path / "request.json"
    jobs = [make_job("hang", model, trust_remote_code=True)]
    request.write_text(json.dumps({"schema": 1, "jobs": jobs}), encoding="utf-8")
    argv = [stack_python, "-I", WORKER, request, tmp_path / "response.json"]
    with subprocess.Popen(argv, env=make_worker_env(tmp_path), cwd=tmp_path) as worker:
        wait_for((tmp_path / "pid").exists, 120)
        time.sleep(0.2)
        pid = (tmp_path / "pid").read_text(encoding="utf-8")
        worker.send_signal(number)
    wait_for(
        lambda: not Path("/proc", pid).exists() or " Z " in Path("/proc", pid, "stat").read_text("utf-8"), 5
    )
    assert not (tmp_path / "response.json").exists()


def wait_for(condition: Callable[[], bool], limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_users_python_path_and_folder_do_not_leak_in(stack_python, tmp_path):
    for name in ("torch", "transformers", "smoke", "PIL"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('leaked')", encoding="utf-8")
    request, response = tmp_path / "request.json", tmp_path / "response.json"
    request.write_text('{"schema": 1, "jobs": []}', encoding="utf-8")
    env = make_worker_env(tmp_path) | {"PYTHONPATH": str(tmp_path)}
    subprocess.run([stack_python, "-I", WORKER, request, response], check=True, env=env, cwd=tmp_path)
    answer = json.loads(response.read_bytes())
    assert (answer["results"], answer["versions"]["torch"][:2]) == ([], "2.")
