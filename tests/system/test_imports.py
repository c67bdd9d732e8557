"""Imports by another interpreter: what an installed distribution holds, and what comes of importing it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from provision.errors import ToolError
from provision.system.imports import ImportedPackage, run_imports
from provision.system.resources import find_data_dir, find_imports
from provision.system.stack_folder import find_interpreter
from provision.system.uv import find_uv
from tests.support.wheels import build_wheel

SCRIPT = find_imports(find_data_dir())


@pytest.fixture
def interpreter(tmp_path: Path) -> Path:
    """An environment with one good distribution and one whose module raises."""
    wheels = tmp_path / "wheels"
    build_wheel(wheels, "good", "1.5")
    build_wheel(wheels, "bad", "2.0")
    venv = tmp_path / "venv"
    uv = str(find_uv())
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(venv)], check=True)
    python = find_interpreter(venv)
    subprocess.run(
        [
            *(uv, "pip", "install", "-q", "--offline", "--no-index", "--find-links", str(wheels)),
            *("--python", str(python), "good", "bad"),
        ],
        check=True,
        env={**os.environ, "UV_CACHE_DIR": str(tmp_path / "cache")},
    )
    [module] = venv.rglob("site-packages/bad/__init__.py")
    module.unlink()
    module.write_text("import nothing_of_that_name\n")
    return python


def test_versions_and_errors_are_told(interpreter: Path, tmp_path: Path) -> None:
    report = run_imports(interpreter, ["good", "bad", "absent"], script=SCRIPT, env={}, cwd=tmp_path)
    good, bad, absent = report.packages
    assert (good.name, good.version, good.error) == ("good", "1.5", None)
    assert good.import_s is not None
    assert bad == ImportedPackage(
        name="bad", error="ModuleNotFoundError: No module named 'nothing_of_that_name'"
    )
    assert absent.error is not None
    assert absent.error.startswith("PackageNotFoundError: ")
    assert (report.cuda, report.architectures) == (None, ())


def test_an_interpreter_that_ends_otherwise_is_told(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import sys; sys.exit('out of luck')")
    with pytest.raises(ToolError, match=r"could not import torch and ended with exit code 1$") as caught:
        run_imports(Path(sys.executable), ["torch"], script=script, env={}, cwd=tmp_path)
    assert caught.value.output == "out of luck\n"
