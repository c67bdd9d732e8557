"""What people paste, through every command that takes it."""

import json
from pathlib import Path

import pytest

from provision.cli.main import run

Capture = pytest.CaptureFixture[str]

TABLE = """\
$ nvidia-smi
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 580.95.05              Driver Version: 580.95.05      CUDA Version: 13.0     |
+-----------------------------------------+------------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |
|                                         |                        |               MIG M. |
|=========================================+========================+======================|
|   0  NVIDIA GeForce RTX 5070 Ti     Off |   00000000:01:00.0  On |                  N/A |
|  0%   39C    P8             21W /  300W |     921MiB /  16303MiB |      2%      Default |
|                                         |                        |                  N/A |
+-----------------------------------------+------------------------+----------------------+
"""


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "smi.txt"
    path.write_text(TABLE)
    return str(path)


def load(capsys: Capture) -> dict:
    return json.loads(capsys.readouterr().out)


def test_detect(table: str, capsys: Capture) -> None:
    assert run(["detect", "--paste", table, "--output", "json"]) == 0
    data = load(capsys)["data"]
    (gpu,) = data["gpus"]
    assert {key: gpu[key] for key in ("name", "memory_mib", "compute_capability", "arch", "uuid")} == {
        "name": "NVIDIA GeForce RTX 5070 Ti",
        "memory_mib": 16303,
        "compute_capability": None,
        "arch": "blackwell",
        "uuid": None,
    }
    assert (data["vendor"], data["driver"], data["cuda_driver_version"]) == ("nvidia", "580.95.05", "13.0")
    assert data["conditions"] == ["compute-capability-by-name"]
    assert data["profile"] == "blackwell"
    # Nothing of this machine is passed off as the other one's.
    assert (data["host"]["system"], data["host"]["memory_bytes"], data["host"]["container"]) == (
        "Linux",
        None,
        None,
    )


def test_profiles(table: str, capsys: Capture) -> None:
    assert run(["profiles", "--paste", table, "--output", "json"]) == 0
    fitting = [row["name"] for row in load(capsys)["data"]["profiles"] if row["fits"]]
    assert fitting == ["blackwell", "cuda12", "cpu"]


def test_a_file_that_is_no_output_of_any_tool(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(bytes(range(256)))
    assert run(["detect", "--paste", str(path), "--output", "json"]) == 0
    data = load(capsys)["data"]
    assert (data["vendor"], data["gpus"], data["conditions"]) == (None, [], ["unrecognised"])


@pytest.mark.parametrize("command", ["detect", "profiles", "plan", "diagnose", "doctor"])
def test_paste_and_probe_do_not_go_together(command: str, table: str, capsys: Capture) -> None:
    assert run([command, "--paste", table, "--probe", table]) == 2
    assert capsys.readouterr().err == (
        "error: --paste and --probe cannot go together\n\nhint: provision detect --paste FILE\n"
    )


def test_no_such_file(tmp_path: Path, capsys: Capture) -> None:
    assert run(["detect", "--paste", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}/none: No such file or directory\n")
