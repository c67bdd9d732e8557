"""Imports run one way: cli -> actions -> {core, system} -> model -> errors; `smoke/` knows nothing of us."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "errors": set(),
    "model": {"errors", "model"},
    "core": {"errors", "model", "core"},
    "system": {"errors", "model", "system"},
    "actions": {"errors", "model", "core", "system", "actions"},
    "cli": {"errors", "model", "core", "system", "actions", "cli"},
}
# What the pure layers may not touch, wherever the name comes from.
IMPURE = {
    "os",
    "subprocess",
    "time",
    "socket",
    "requests",
    "tempfile",
    "shutil",
    "psutil",
    "uv",
    "huggingface_hub",
}
HEAVY = {"torch", "transformers", "PIL", "numpy"}


def list_imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


def list_modules() -> list[Path]:
    return sorted((ROOT / "provision").rglob("*.py"))


@pytest.mark.parametrize("path", list_modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    layer = path.relative_to(ROOT / "provision").parts[0].removesuffix(".py")
    if layer in ("__init__", "__main__"):
        return
    used = {name.split(".")[1] for name in list_imports(path) if name.startswith("provision.")}
    layers = {name for name in used if name in ALLOWED}
    assert layers <= ALLOWED[layer]


@pytest.mark.parametrize("layer", ["model", "core", "errors.py"])
def test_pure_layers_touch_nothing_outside(layer: str) -> None:
    folder = ROOT / "provision" / layer
    for path in [folder] if folder.is_file() else sorted(folder.rglob("*.py")):
        top = {name.split(".")[0] for name in list_imports(path)}
        assert not top & (IMPURE | HEAVY), path


def test_click_and_rich_are_used_by_the_cli_only() -> None:
    for path in list_modules():
        if path.parent.name != "cli":
            assert not {name.split(".")[0] for name in list_imports(path)} & {"click", "rich"}, path


def test_only_run_starts_processes() -> None:
    for path in list_modules():
        if path.name != "run.py":
            assert "subprocess" not in list_imports(path), path


def test_only_the_cli_reads_the_environment() -> None:
    for path in list_modules():
        if path.parent.name != "cli":
            assert "os.environ" not in path.read_text(encoding="utf-8"), path


def test_the_tool_never_imports_what_belongs_to_a_stack() -> None:
    for path in list_modules():
        assert not {name.split(".")[0] for name in list_imports(path)} & HEAVY, path


def test_the_worker_knows_nothing_of_the_tool() -> None:
    for path in sorted((ROOT / "smoke").rglob("*.py")):
        assert not {name for name in list_imports(path) if name.split(".")[0] == "provision"}, path
