"""`provision diagnose` from the command line, and what our own failures are explained with."""

import json
import re
from pathlib import Path

import pytest

from provision.cli.main import run

Capture = pytest.CaptureFixture[str]

AMPERE = "RuntimeError: FlashAttention only supports Ampere GPUs or newer.\n"
SMI_5090 = """\
GPU 0: NVIDIA GeForce RTX 5090 (UUID: GPU-00000000-1111-2222-3333-444444444444)
"""
SMI_2080 = """\
GPU 0: NVIDIA GeForce RTX 2080 Ti (UUID: GPU-00000000-1111-2222-3333-444444444444)
"""


def diagnose(capsys: Capture, *arguments: str) -> dict:
    assert run(["diagnose", *arguments, "--output", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_a_cause_with_its_line_and_cure(tmp_path: Path, capsys: Capture) -> None:
    log = write(tmp_path, "a.log", "start\nFailed to initialize NVML: Driver/library version mismatch\n")
    envelope = diagnose(capsys, log)
    assert (envelope["command"], envelope["status"]) == ("diagnose", "ok")
    (cause,) = envelope["data"]["causes"]
    assert cause["id"] == "nvml-driver-library-mismatch"
    assert cause["confidence"] == "high"
    assert cause["evidence"] == [
        {"line": 2, "text": "Failed to initialize NVML: Driver/library version mismatch"}
    ]
    assert cause["cure"]
    assert all(set(folk) == {"claim", "why"} for folk in cause["not_this"])


def test_the_same_message_on_two_machines(tmp_path: Path, capsys: Capture) -> None:
    log = write(tmp_path, "a.log", AMPERE)
    first = {}
    for name, smi in (("new", SMI_5090), ("old", SMI_2080)):
        paste = write(tmp_path, f"{name}.txt", smi)
        first[name] = diagnose(capsys, log, "--paste", paste)["data"]["causes"][0]["id"]
    assert first == {"new": "flash-attn-lacks-gpu-arch", "old": "fa2-needs-ampere"}


def test_nothing_known_fits(tmp_path: Path, capsys: Capture) -> None:
    log = write(tmp_path, "a.log", "one\ntwo\n")
    assert run(["diagnose", log]) == 1
    assert capsys.readouterr().out == (
        "nothing that is known fits these 2 lines\n\n"
        "hint: provision detect --save-probe machine.json   # and send it with the whole log, from its first line\n"
    )


@pytest.mark.parametrize("data", [b"", b"\0" * 100, bytes(range(256)) * 40, b"\xff\xfe" + b"\x00\xd8" * 50])
def test_bytes_that_are_no_log(tmp_path: Path, capsys: Capture, data: bytes) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(data)
    assert run(["diagnose", str(path)]) == 1
    assert capsys.readouterr().out.startswith("nothing that is known fits")


def test_no_such_file_and_a_folder(tmp_path: Path, capsys: Capture) -> None:
    assert run(["diagnose", str(tmp_path / "none.log")]) == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/none.log: No such file or directory\n"
        "\nhint: provision diagnose -   # reads standard input\n"
    )
    assert run(["diagnose", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}: Is a directory\n")


def test_a_person_reads_cause_cure_and_what_not_to_do(tmp_path: Path, capsys: Capture) -> None:
    log = write(tmp_path, "a.log", "start\nFailed to initialize NVML: Driver/library version mismatch\n")
    assert run(["diagnose", log]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("nvml-driver-library-mismatch  (high confidence)  ")
    assert lines[1] == "  line 2: Failed to initialize NVML: Driver/library version mismatch"
    assert "  cure" in lines
    assert "  not this" in lines


def test_what_is_only_possible_is_said_to_be_so(tmp_path: Path, capsys: Capture) -> None:
    log = write(
        tmp_path, "a.log", "The following generation flags are not valid and may be ignored: ['top_p'].\n"
    )
    assert "send" in diagnose(capsys, log)["data"]
    assert run(["diagnose", log]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "possible only: this fits the lines, but other causes make them too"
    assert lines[2].startswith("generation-flags-ignored-notice  (low confidence)  ")


def test_cures_name_checks_that_exist(capsys: Capture) -> None:
    assert run(["doctor", "--list"]) == 0
    listed = set(capsys.readouterr().out.split())
    text = (Path(__file__).parents[2] / "profiles" / "failures.yaml").read_text(encoding="utf-8")
    named = set(re.findall(r"provision doctor --only ([\w.-]+)", text))
    assert named
    assert named <= listed


NO_SHM = "OSError: [Errno 28] No space left on device: '/dev/shm/psm_4f1c'\n"
NO_DISK = "OSError: [Errno 28] No space left on device: '/srv/huggingface/hub/blobs/4f1c.incomplete'\n"
SHARD = """\
Some weights of the model were not initialized from the checkpoint and are newly initialized: ['lm_head.weight']
answer: !!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!
"""
HALF = "loading with dtype=torch.float16\nanswer: !!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!\n"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (NO_SHM, "shared-memory-too-small"),
        (NO_DISK, "disk-full-cache-or-tmp"),
        (SHARD, "weights-missing-or-misnamed"),
        (HALF, "fp16-nan-exclamation-output"),
    ],
)
def test_one_message_of_two_causes(tmp_path: Path, capsys: Capture, text: str, cause: str) -> None:
    log = write(tmp_path, "a.log", text)
    assert diagnose(capsys, log)["data"]["causes"][0]["id"] == cause


def test_one_stream_cannot_be_both(capsys: Capture) -> None:
    assert run(["diagnose", "-", "--paste", "-"]) == 2
    assert capsys.readouterr().err == (
        "error: the log and --paste cannot both be standard input\n\nhint: provision diagnose LOG\n"
    )
