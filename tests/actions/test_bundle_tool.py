"""This tool's own wheel is built and packed by real uv from an index that gives no dates."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest
from msgspec.structs import replace

from provision.actions.bundle import plan_bundle
from provision.actions.bundle_tool import collect_tool
from provision.actions.knowledge import load_knowledge
from tests.support.reports import Recorder
from tests.support.sources import make_context
from tests.support.wheels import build_wheel, serve_index

ROOT = Path(__file__).parents[2]
WHEEL = "provision-0.1.0-py3-none-any.whl"
# A build backend of one module: https://peps.python.org/pep-0517/#build-wheel
BACKEND = f"""\
import pathlib
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    pathlib.Path(wheel_directory, "{WHEEL}").write_bytes(b"a wheel")
    return "{WHEEL}"
"""
PROJECT = """\
[project]
name = "provision"
version = "0.1.0"
[build-system]
requires = ["backend"]
build-backend = "backend"
"""


def test_what_has_no_date_is_taken_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheels, source = tmp_path / "wheels", tmp_path / "source"
    ctx = replace(make_context(tmp_path, {"PROVISION_CACHE_DIR": str(tmp_path / "kept")}), data_dir=ROOT)
    profile = load_knowledge(ctx).get_profile("cpu")
    build_wheel(wheels, "torch", f"{load_knowledge(ctx).builds[profile.torch].torch}+cpu")
    build_wheel(wheels, "backend", "1.0", source=BACKEND)
    build_wheel(wheels, "needed", "2.0")
    for name, version in profile.packages.items():
        build_wheel(wheels, name, version)
    source.mkdir()
    (source / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    monkeypatch.setattr(metadata, "requires", lambda _name: ["needed"])
    with serve_index(tmp_path / "served", wheels) as url:
        ctx = replace(ctx, env={**ctx.env, "PIP_INDEX_URL": url})
        plan = plan_bundle(ctx, "cpu", ["tiny_qwen2_vl"])
        told = Recorder()
        ctx = replace(ctx, data_dir=source, reporter=told)
        parts = collect_tool(ctx, plan.stacks[0], None, tmp_path / "kept", plan.exclude_newer)
    assert plan.exclude_newer == "2026-11-14T00:00:00Z"
    assert [part.member.name for part in parts] == [f"tool/{WHEEL}", "tool/needed-2.0-py3-none-any.whl"]
    assert parts[0].content == b"a wheel"
    assert [line for line in told.lines if line.startswith("warn: ")] == [
        f"warn: the source of {name} does not say when files were uploaded: "
        "for provision itself the newest are taken, however young"
        for name in ("backend", "needed")
    ]
