"""The deep checks on the CPU: what is right passes, and each way of being wrong is seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from provision.core.deep_checks import DEEP_CHECKS
from tests.smoke.conftest import ROOT

DEEP = ROOT / "smoke" / "deep.py"
ENV = {"PATH": os.environ["PATH"]}


def ask(python: Path | str, folder: Path, checks: tuple[str, ...], device: str = "cpu") -> dict[str, Any]:
    request = {"schema": 1, "device": device, "check_timeout_s": 60, "checks": checks}
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
    argv = [str(python), "-I", str(DEEP), str(folder / "request.json"), str(folder / "response.json")]
    done = subprocess.run(argv, check=False, env=ENV, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads((folder / "response.json").read_text(encoding="utf-8"))
    return answer


def test_an_interpreter_without_torch(tmp_path: Path) -> None:
    answer = ask(sys.executable, tmp_path, tuple(DEEP_CHECKS))
    result = answer["results"][0]
    assert (result["id"], result["outcome"]) == ("deep.import", "error")
    assert result["detail"] == "ModuleNotFoundError: No module named 'torch'"
    assert (answer["device"], answer["done"], answer["running"]) == (None, True, None)


@pytest.mark.parametrize("text", ["", "{}", '{"checks": [], "device": "cpu", "check_timeout_s": "x"}'])
def test_a_request_that_makes_no_sense(tmp_path: Path, text: str) -> None:
    (tmp_path / "request.json").write_text(text, encoding="utf-8")
    argv = [sys.executable, "-I", str(DEEP), str(tmp_path / "request.json"), str(tmp_path / "response.json")]
    done = subprocess.run(argv, check=False, env=ENV, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{tmp_path / 'request.json'}: ")


@pytest.mark.stack
def test_every_check_on_the_cpu(stack_python: Path, tmp_path: Path) -> None:
    answer = ask(stack_python, tmp_path, tuple(DEEP_CHECKS))
    outcomes = {result["id"]: result["outcome"] for result in answer["results"]}
    assert outcomes == {
        "deep.import": "ok",
        "deep.device": "ok",
        "deep.native-code": "skipped",
        "deep.matmul-bf16": "ok",
        "deep.cudnn": "skipped",
        "deep.sdpa-flash": "ok",
        "deep.sdpa-efficient": "unavailable",
        "deep.sdpa-cudnn": "unavailable",
        "deep.sdpa-math": "ok",
    }
    figures = {result["id"]: result.get("figures", {}) for result in answer["results"]}
    assert figures["deep.sdpa-math"]["served"] == ["plain", "causal", "mask", "gqa"]
    # Rounding to bf16 alone gives 1.7e-3: a limit that is far from it would let faults through.
    assert 1e-3 < figures["deep.matmul-bf16"]["relative_error"] < 2.5e-3


@pytest.mark.stack
@pytest.mark.parametrize("device", ["xpu", "mps"])
def test_a_device_that_the_checks_do_not_know(stack_python: Path, tmp_path: Path, device: str) -> None:
    """What the CPU computes would say nothing of it."""
    answer = ask(stack_python, tmp_path, tuple(DEEP_CHECKS), device=device)
    reason = f"these checks know GPUs of NVIDIA and AMD and the CPU, not torch's {device}"
    assert (answer["device"], answer["done"]) == (device, True)
    assert [(item["id"], item["outcome"], item["detail"]) for item in answer["results"][1:]] == [
        (name, "skipped", reason) for name in list(DEEP_CHECKS)[1:]
    ]


@pytest.mark.stack
def test_a_gpu_that_is_not_there(stack_python: Path, tmp_path: Path) -> None:
    answer = ask(stack_python, tmp_path, ("deep.device", "deep.matmul-bf16"), device="cuda")
    assert [(item["id"], item["outcome"]) for item in answer["results"]] == [
        ("deep.device", "wrong"),
        ("deep.matmul-bf16", "skipped"),
    ]
    assert answer["results"][1]["detail"] == "cuda cannot be computed on"


SPOILED = """
import sys
sys.path.insert(0, {root!r})
import torch
from smoke import deep_checks
real = deep_checks.functional.scaled_dot_product_attention
def spoil(query, key, value, **options):
    computed = real(query, key, value, **options)
    {how}
    return computed
spoil.__doc__ = real.__doc__
deep_checks.functional.scaled_dot_product_attention = spoil
result = deep_checks.CHECKS["deep.sdpa-math"]("cpu")
print(result["outcome"], result["detail"])
"""


@pytest.mark.stack
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("pass", "ok attention by plain operators, plain, causal, mask, gqa: relative error "),
        (
            "computed[0, 0, 5, 5] = float('nan')",
            "wrong attention by plain operators, plain, causal, mask, gqa: values",
        ),
        (
            "computed[0, 3, 100, 7] += 0.5",
            "wrong attention by plain operators, plain, causal, mask, gqa: one value",
        ),
        ("options.pop('is_causal', None); computed = real(query, key, value, **options)", "wrong attention"),
        ("computed = computed * 1.02", "wrong attention"),
        (
            "raise RuntimeError('No available kernel. Aborting.')",
            "unavailable attention by plain operators: ",
        ),
    ],
)
def test_attention_that_is_wrong(stack_python: Path, how: str, said: str) -> None:
    code = SPOILED.format(root=str(ROOT), how=how)
    done = subprocess.run(
        [str(stack_python), "-c", code], check=False, env=ENV, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.startswith(said), done.stderr
