"""A context, torch builds and wheels for tests that resolve and build with real uv."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from provision.actions.context import Context
from provision.core.models import StackSpec
from provision.model.profile import PlatformBuild, TorchBuild
from tests.support.reports import Recorder
from tests.support.wheels import build_wheel

# Nothing listens on the discard port: a source that does not answer, at once and without leaving the machine.
DEAD = "http://127.0.0.1:9/simple"
SPEC = StackSpec(name="main", models=("m",), requirements=("transformers==5.22.2",), torchvision_needed=False)
PLATFORM = "linux-x86_64"


def make_build(tag: str, index: str = DEAD) -> TorchBuild:
    return TorchBuild(
        name=f"torch-{tag}",
        torch="2.13.0",
        torchvision="0.28.0",
        tag=tag,
        cuda=None if tag == "cpu" else "13.0",
        index=index,
        default_index={PLATFORM: PlatformBuild(tag="cu130")},
    )


def make_context(tmp_path: Path, env: Mapping[str, str]) -> Context:
    shared = {key: os.environ[key] for key in ("PATH",) if key in os.environ}
    return Context(
        root=tmp_path,
        env=shared | {"HOME": str(tmp_path), "UV_CACHE_DIR": str(tmp_path / "cache")} | dict(env),
        now=lambda: datetime(2026, 11, 21, tzinfo=UTC),
        random=Random(0),
        reporter=Recorder(),
        python=Path(getattr(sys, "_base_executable", sys.executable)),
        data_dir=tmp_path,
    )


def make_wheels(folder: Path, *torch: tuple[str, str]) -> Path:
    """transformers, which needs numpy, and the torch packages that are named."""
    build_wheel(folder, "transformers", "5.22.2", requires=("numpy",))
    build_wheel(folder, "numpy", "2.4.6")
    for name, version in torch:
        build_wheel(folder, name, version)
    return folder
