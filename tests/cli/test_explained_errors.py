"""What fails under our own commands is explained as any log would be."""

import json
import sys
from pathlib import Path

import pytest

from provision.cli.main import run

Capture = pytest.CaptureFixture[str]

WORKER = """\
#!/bin/sh
echo "ImportError: /srv/venv/lib/torch/lib/../../nvidia/cusparse/lib/libcusparse.so.12: undefined symbol:" >&2
echo "__nvJitLinkComplete_12_4, version libnvJitLink.so.12" >&2
exit 1
"""


@pytest.fixture
def broken_python(tmp_path: Path) -> str:
    """An interpreter that dies as one does in whose way another CUDA's libraries lie."""
    path = tmp_path / "python"
    path.write_text(WORKER)
    path.chmod(0o755)
    return str(path)


def smoke(tmp_path: Path, python: str, *options: str) -> int:
    return run(["smoke", "--python", python, "--root", str(tmp_path / "app"), *options])


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_the_cause_stands_under_the_error(tmp_path: Path, broken_python: str, capsys: Capture) -> None:
    assert smoke(tmp_path, broken_python) == 4
    said = capsys.readouterr().err
    assert "and left no answer\n" in said
    assert "\nnvjitlink-symbol-ld-library-path  (high confidence)  " in said
    assert said.index("nvjitlink-symbol") < said.index("hint: provision doctor")


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_scripts_find_it_in_the_envelope(tmp_path: Path, broken_python: str, capsys: Capture) -> None:
    assert smoke(tmp_path, broken_python, "--output", "json") == 4
    (error,) = json.loads(capsys.readouterr().out)["errors"]
    assert [cause["id"] for cause in error["causes"]] == ["nvjitlink-symbol-ld-library-path"]
    assert error["causes"][0]["cure"]
