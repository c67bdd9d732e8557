"""The wheel carries what the tool needs where it is installed without the repository."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
EMBEDDED = "smoke/embedded"
# Of each embedded model, unpacked: it comes along with every installation.
MOST_BYTES = 6_000_000


def list_tracked(folder: str) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and "training" not in path.parts
    }


def test_the_wheel_holds_profiles_worker_and_embedded_models_and_no_training(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(argv, cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    names = set(sizes)
    data = {name.removeprefix("provision/_data/") for name in names if name.startswith("provision/_data/")}
    assert data == list_tracked("profiles") | list_tracked("smoke")
    assert {name for name in names if name.startswith("provision/") and "_data" not in name} == list_tracked(
        "provision"
    )
    embedded = {"tiny_qwen2_vl", "tiny_qwen3_vl", "tiny_got_ocr2"}
    assert {path.name for path in (ROOT / EMBEDDED).iterdir()} == embedded
    for model in embedded:
        folder = f"provision/_data/{EMBEDDED}/{model}/"
        assert f"{folder}model.safetensors" in names
        assert sum(size for name, size in sizes.items() if name.startswith(folder)) <= MOST_BYTES, model
