"""The whole chain with a real stack: real uv, real torch, a model that reads a picture, config.yaml, faults."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from tests.support.chain import EMBEDDED, ROOT, Chain, copy_model
from tests.support.hub_server import HubServer

pytestmark = pytest.mark.stack
WEIGHT = "model.layers.1.mlp.down_proj.weight"


def read_state(chain: Chain) -> tuple[bytes, str, list[str]]:
    """config.yaml, the active generation and the list of generations: what a failure must not change."""
    state = chain.root / ".provision"
    numbers = sorted(path.name for path in (state / "generations").iterdir())
    return chain.config.read_bytes(), (state / "active").read_text(), numbers


def test_the_first_apply_says_what_it_proved(chain: Chain) -> None:
    assert chain.first is not None
    out = chain.first.stdout
    assert re.search(r"tiny_qwen2_vl +pass +0 +6/6 +bf16 +sdpa ", out)
    assert "tiny_qwen2_vl: pass, read every character, the nonce among them" in out
    assert f"generation 1 is active; {chain.config} says so" in out
    assert "This proves the chain: the embedded model is no production OCR." in out
    assert "provision apply cpu --models qwen_vl_2b" in out


def test_config_yaml_names_what_was_verified(chain: Chain) -> None:
    config = yaml.safe_load(chain.config.read_text(encoding="utf-8"))
    entry = config["models"]["tiny_qwen2_vl"]
    assert Path(entry.pop("model_path"), "config.json").is_file()
    assert entry == {
        "name": "Tiny Qwen2-VL (embedded; proves the chain, no production OCR)",
        "precision": "bf16",
        "torch_dtype": "bfloat16",
        "attn_implementation": "sdpa",
        "use_flash_attention": False,
        "device_map": "cpu",
        "trust_remote_code": False,
        "max_new_tokens": 160,
        "context_length": 2048,
        "status": "production",
        "notes": "proves the chain; no production OCR",
    }
    managed = config["provision"]["models"]["tiny_qwen2_vl"]
    assert (config["provision"]["generation"], config["provision"]["profile"]) == (1, "cpu")
    assert (managed["verdict"], managed["stack"]) == ("pass", "main")
    assert managed["interpreter"] == str(chain.find_stack_interpreter())


def test_a_second_apply_has_nothing_to_do(chain: Chain) -> None:
    before = read_state(chain)
    again = chain.provision("apply", "cpu")
    nothing = "nothing to do: generation 1 (profile cpu, tiny_qwen2_vl) is active and whole"
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, nothing)
    assert read_state(chain) == before
    data = chain.read_json("apply", "cpu")["data"]
    assert (data["changed"], data["generation"], data["steps"]) == (False, 1, [])
    assert chain.provision("plan", "cpu").returncode == 0


def test_each_smoke_draws_its_own_nonce(chain: Chain) -> None:
    results = [chain.read_json("smoke")["data"]["results"][0] for _ in range(2)]
    for result in results:
        assert (result["verdict"], result["cer"], result["keywords_found"]) == ("pass", 0.0, 6)
        assert result["nonce"] in result["text"]
        assert (result["dtype"], result["attention"], result["device"]) == ("bfloat16", "sdpa", "cpu")
        for figure in ("load_s", "first_token_s", "tokens_per_s", "peak_memory_bytes"):
            assert result[figure] > 0, figure
    assert results[0]["nonce"] != results[1]["nonce"]


def test_one_nan_weight_is_found_and_nothing_changes(chain: Chain, tmp_path: Path) -> None:
    before = read_state(chain)
    model = copy_model(tmp_path / "spoiled", spoil=WEIGHT)
    envelope = chain.read_json("smoke", "--model-path", str(model), code=1)
    [result] = envelope["data"]["results"]
    assert (envelope["status"], result["verdict"]) == ("no", "fail")
    assert result["text"].startswith("!!!!")
    fault = result["numeric_fault"]
    assert fault["module"].endswith("layers.1.mlp.down_proj")
    assert [(item["name"].split("layers.")[1], item["nonfinite"]) for item in fault["parameters"]] == [
        ("1.mlp.down_proj.weight", 1)
    ]
    [finding] = envelope["findings"]
    assert (finding["id"], finding["severity"]) == ("smoke.spoiled", "fail")
    assert "layers.1.mlp.down_proj" in finding["evidence"]
    assert read_state(chain) == before


def test_an_untouched_copy_passes(chain: Chain, tmp_path: Path) -> None:
    [result] = chain.read_json("smoke", "--model-path", str(copy_model(tmp_path / "mine")))["data"]["results"]
    assert (result["model"], result["verdict"]) == ("mine", "pass")


def test_an_environment_of_the_users_can_be_smoked(chain: Chain, tmp_path: Path) -> None:
    elsewhere = Chain(tmp_path)
    relative = os.path.relpath(chain.find_stack_interpreter(), tmp_path)
    data = elsewhere.read_json("smoke", "--python", relative)["data"]
    assert [(result["stack"], result["verdict"]) for result in data["results"]] == [("environment", "pass")]
    assert list(tmp_path.iterdir()) == []


def test_an_interpreter_without_torch_is_a_tools_fault(chain: Chain, tmp_path: Path) -> None:
    import sys

    done = chain.provision("smoke", "--python", sys.executable)
    assert done.returncode == 4
    assert (
        "error: stack environment cannot import torch and transformers: ModuleNotFoundError: " in done.stderr
    )


def test_doctor_finds_everything_in_order_and_then_what_was_broken(chain: Chain) -> None:
    healthy = chain.read_json("doctor")
    severities = {finding["id"]: finding["severity"] for finding in healthy["data"]["findings"]}
    assert "fail" not in severities.values()
    assert severities["stack.complete"] == severities["config.valid"] == severities["smoke.verdict"] == "pass"
    text = chain.config.read_text(encoding="utf-8")
    chain.config.write_text(text.replace("precision: bf16", "precision: fp16"), encoding="utf-8")
    [drift] = chain.read_json("doctor", "--only", "config.drift")["data"]["findings"]
    assert drift["severity"] == "warn"
    assert drift["cure"].startswith("provision doctor --fix")
    assert "models.tiny_qwen2_vl.precision is fp16" in drift["evidence"]
    chain.config.write_text(text, encoding="utf-8")


def test_generations_are_listed(chain: Chain) -> None:
    [row] = chain.read_json("generations")["data"]["generations"]
    assert (row["number"], row["active"], row["profile"], row["models"]) == (
        1,
        True,
        "cpu",
        ["tiny_qwen2_vl"],
    )


@pytest.fixture
def copied(chain: Chain, tmp_path: Path) -> Chain:
    """A copy of the application's folder, by hard links, for tests that change it."""
    copy = Chain(tmp_path / "application")
    shutil.copytree(chain.root, copy.root, symlinks=True, copy_function=os.link)
    return copy


def copy_tool(folder: Path) -> Path:
    """The tool without its embedded weights, for PYTHONPATH."""
    for name in ("provision", "profiles", "smoke"):
        ignore = shutil.ignore_patterns("__pycache__", "tiny_qwen2_vl")
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    return folder


def make_profiles(folder: Path, attention: str) -> Path:
    """A folder with a CPU profile of the user's, so that another generation is wanted."""
    folder.mkdir(exist_ok=True)
    text = (ROOT / "profiles" / "cpu.yaml").read_text(encoding="utf-8")
    (folder / "cpu.yaml").write_text(text.replace("attention: [sdpa, eager]", f"attention: [{attention}]"))
    return folder


def wait_for(text: str, process: subprocess.Popen[str]) -> None:
    """Read the progress of a running apply until `text` is said."""
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"{text!r} was never said")


@pytest.mark.parametrize("moment", ["building stack", "letting the models read"])
def test_kill_9_leaves_the_old_generation_and_the_next_apply_finishes(
    copied: Chain, tmp_path: Path, moment: str
) -> None:
    before = read_state(copied)
    for stack in (copied.root / ".provision" / "stacks").iterdir():
        (stack / "provision-stack.json").unlink()
    profiles = make_profiles(tmp_path / "profiles", "eager")
    argv = copied.build_argv("apply", "cpu", "--profiles", str(profiles))
    with subprocess.Popen(
        argv,
        env=copied.build_env(),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as running:
        wait_for(moment, running)
        time.sleep(0.3)
        os.killpg(running.pid, signal.SIGKILL)
    assert read_state(copied) == before
    after = copied.provision("apply", "cpu", "--profiles", str(profiles))
    assert after.returncode == 0, after.stderr
    config, active, numbers = read_state(copied)
    assert (active, numbers) == ("2\n", ["1", "2"])
    assert yaml.safe_load(config)["models"]["tiny_qwen2_vl"]["attn_implementation"] == "eager"


def test_a_running_apply_keeps_others_out(copied: Chain, tmp_path: Path) -> None:
    profiles = make_profiles(tmp_path / "profiles", "eager")
    argv = copied.build_argv("apply", "cpu", "--profiles", str(profiles))
    with subprocess.Popen(
        argv, env=copied.build_env(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as running:
        wait_for("letting the models read", running)
        other = copied.provision("apply", "cpu")
        assert other.returncode == 6
        assert f"is in use by `provision apply cpu` (pid {running.pid}, since " in other.stderr
        assert running.stderr is not None
        running.stderr.read()
    assert running.returncode == 0


def test_a_model_that_fails_leaves_everything_as_it_was(copied: Chain, tmp_path: Path) -> None:
    """A copy of the tool whose embedded weights are spoiled, applied to a folder that works."""
    before = read_state(copied)
    tool = copy_tool(tmp_path / "tool")
    copy_model(tool / "smoke" / "embedded" / "tiny_qwen2_vl", spoil=WEIGHT)
    done = copied.provision("apply", "cpu", PYTHONPATH=str(tool))
    assert done.returncode == 1, done.stderr
    assert "error: no model passed: tiny_qwen2_vl: the text begins '!!!!!!!!!!!!!!!!': " in done.stderr
    assert re.search(r"tiny_qwen2_vl +fail ", done.stdout)
    assert "layers.1.mlp.down_proj" in done.stderr
    assert read_state(copied) == before


def test_a_source_that_does_not_answer_is_a_warning_while_another_serves(
    chain: Chain, tmp_path: Path
) -> None:
    dead = "http://127.0.0.1:9/simple"
    other = Chain(tmp_path)
    done = other.provision("plan", "cpu", PIP_EXTRA_INDEX_URL=dead)
    assert done.returncode == 1, done.stderr
    assert f"warning: {dead} (PIP_EXTRA_INDEX_URL) does not answer: " in done.stderr
    assert "Connection refused" in done.stderr


def test_a_model_of_the_hub_is_fetched_and_reads(copied: Chain, tmp_path: Path) -> None:
    """The catalogue's Qwen2-VL at its commit, from a Hub on loopback that has the tiny weights in its place."""
    revision = "895c3a49bc3fa70a340399125c650a463535e71c"
    with HubServer({"Qwen/Qwen2-VL-2B-Instruct": EMBEDDED}, commit=revision) as hub:
        env = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1"}
        done = copied.provision("apply", "cpu", "--models", "qwen_vl_2b", **env)
        assert done.returncode == 0, done.stderr
        fetched = hub.list_fetched()
    assert "model.safetensors" in fetched
    assert "README.md" not in fetched
    config = yaml.safe_load(copied.config.read_text(encoding="utf-8"))
    assert list(config["models"]) == ["qwen_vl_2b"]
    assert Path(config["models"]["qwen_vl_2b"]["model_path"]).name == revision
    assert config["provision"]["models"]["qwen_vl_2b"]["revision"] == revision
    assert config["provision"]["generation"] == 2
    # The Hub is gone, and nothing has to be asked of it again.
    again = copied.provision("apply", "cpu", **env)
    assert "nothing to do: generation 2 (profile cpu, qwen_vl_2b) is active and whole" in again.stdout


def test_one_model_of_two_fails_and_is_tried_again(copied: Chain, tmp_path: Path) -> None:
    """A tool with spoiled embedded weights; the other model comes whole from the loopback Hub."""
    text = copied.config.read_text(encoding="utf-8")
    mine = text.replace(
        "    precision: bf16\n", "    precision: bf16\n    my_threshold: 0.7  # tuned for weeks\n"
    )
    copied.config.write_text(mine, encoding="utf-8")
    tool = copy_tool(tmp_path / "tool")
    copy_model(tool / "smoke" / "embedded" / "tiny_qwen2_vl", spoil=WEIGHT)
    revision = "895c3a49bc3fa70a340399125c650a463535e71c"
    with HubServer({"Qwen/Qwen2-VL-2B-Instruct": EMBEDDED}, commit=revision) as hub:
        env = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1"}
        done = copied.provision("apply", "cpu", "-m", "tiny_qwen2_vl,qwen_vl_2b", PYTHONPATH=str(tool), **env)
    assert done.returncode == 1, done.stderr
    assert "tiny_qwen2_vl is not configured: the text begins '!!!!!!!!!!!!!!!!': " in done.stdout
    config = yaml.safe_load(copied.config.read_text(encoding="utf-8"))
    assert list(config["provision"]["models"]) == ["qwen_vl_2b"]
    assert list(config["provision"]["excluded"]) == ["tiny_qwen2_vl"]
    assert "    my_threshold: 0.7  # tuned for weeks\n" in copied.config.read_text(encoding="utf-8")
    again = copied.provision("apply", "cpu", **env)
    assert again.returncode == 0, again.stderr
    config = yaml.safe_load(copied.config.read_text(encoding="utf-8"))
    assert sorted(config["provision"]["models"]) == ["qwen_vl_2b", "tiny_qwen2_vl"]
    assert "excluded" not in config["provision"]


def test_what_somebody_altered_is_told_and_repaired(copied: Chain) -> None:
    stacks = copied.root / ".provision" / "stacks"
    [module] = stacks.glob("main-*/lib/python3*/site-packages/transformers/__init__.py")
    module.unlink()
    [finding] = copied.read_json("doctor", "--only", "stack.complete", code=1)["findings"]
    assert "transformers/__init__.py, which is missing" in finding["evidence"]
    assert finding["cure"].startswith("provision doctor --fix")
    repaired = copied.provision("apply", "cpu")
    assert repaired.returncode == 0, repaired.stderr
    assert "warning: the active generation is not whole: stack main: transformers-" in repaired.stderr
    assert module.exists()
    assert copied.read_json("doctor", "--only", "stack.complete")["findings"][0]["severity"] == "pass"


def test_a_hub_that_does_not_answer_changes_nothing(copied: Chain, tmp_path: Path) -> None:
    before = read_state(copied)
    env = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hf")}
    done = copied.provision("apply", "cpu", "--models", "qwen_vl_2b", **env)
    assert done.returncode == 5
    assert "error: Qwen/Qwen2-VL-2B-Instruct at 895c3a49bc3f is not in the cache, and " in done.stderr
    assert read_state(copied) == before


@pytest.mark.parametrize("script", ["sleep 60", "exit 9", "head -c 100000 /dev/urandom"])
def test_detect_answers_in_time_whatever_nvidia_smi_does(tmp_path: Path, script: str) -> None:
    fake = tmp_path / "bin" / "nvidia-smi"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    start = time.monotonic()
    done = Chain(tmp_path).provision("detect", PATH=f"{fake.parent}:{os.environ['PATH']}")
    assert time.monotonic() - start < 6
    assert "Traceback" not in done.stderr + done.stdout
    assert done.returncode == 0
