"""An environment of a user's, made once and copied, and how it is changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from provision.actions import into_verify
from provision.actions.into import ChangedEnvironment, apply_into
from provision.model.smoke import Verdict
from tests.support.into_environment import (
    answer_smoke,
    build_wheels,
    make_context,
    make_environment,
    make_request,
)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheels(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Path:
    return make_environment(tmp_path_factory.mktemp("pristine") / "venv", wheels)


@pytest.fixture
def environment(tmp_path: Path, pristine: Path) -> Path:
    return shutil.copytree(pristine, tmp_path / "venv", symlinks=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    return tmp_path / "app"


@pytest.fixture(autouse=True)
def _read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(into_verify, "smoke_stack", answer_smoke(Verdict.PASS))


def change(root: Path, wheels: Path, environment: Path, **options: object) -> ChangedEnvironment:
    """Apply into `environment`, agreed to."""
    ctx = make_context(root, wheels)
    return apply_into(ctx, make_request(ctx), environment, **options)  # type: ignore[arg-type]
