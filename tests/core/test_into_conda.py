"""Conda prefixes as conda lays them out: what it installed is never torn apart, what pip added may change."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.core.into import build_into_plan
from provision.core.into_environment import check_changes, check_environment
from provision.errors import UsageError
from provision.model.environment import EnvironmentKind, EnvironmentReport
from provision.model.into import InterpreterView, IntoPlan
from provision.model.packages import StackLock, Wheel
from provision.system.environment import inspect_environment
from tests.support.environments import Environment, write
from tests.support.machines import LINUX


@pytest.fixture
def conda(tmp_path: Path) -> Environment:
    """A prefix of Python 3.12; numpy as conda-forge installs it, with a RECORD that binds nobody."""
    made = Environment(tmp_path)
    (made.prefix / "pyvenv.cfg").unlink()
    write(
        made.prefix / "conda-meta" / "numpy-1.26.4-py312heda63a1_0.json",
        '{"name": "numpy", "version": "1.26.4", "channel": "conda-forge", "files": []}',
    )
    write(made.prefix / "conda-meta" / "history", "==> 2026-11-21 12:00:00 <==\n")
    made.install("numpy", "1.26.4", installer="conda")
    made.install("transformers", "4.51.3", installer="pip")
    return made


def plan_change(conda: Environment, **versions: str) -> tuple[EnvironmentReport, IntoPlan]:
    report = inspect_environment(conda.prefix)
    wheels = tuple(Wheel(name=name, version=version, hashes=()) for name, version in versions.items())
    plan = build_into_plan(
        report,
        LINUX,
        StackLock(text="", sha256="0", wheels=wheels),
        lambda _version: (False, "not verified"),
        profile="cpu",
        models=("m",),
        tag="cu130",
    )
    return report, plan


def test_what_pip_installed_changes_and_what_conda_did_stays(conda: Environment) -> None:
    report, plan = plan_change(conda, torch="2.11.0", transformers="5.22.2", numpy="1.26.4")
    view = InterpreterView(
        version="3.12.11",
        implementation="cpython",
        prefix=report.prefix,
        base_prefix=report.prefix,
        externally_managed=False,
        site_dirs=(str(conda.site),),
        scripts_dir=str(conda.prefix / "bin"),
    )
    assert report.kind is EnvironmentKind.CONDA
    check_environment(report, view)
    check_changes(report, plan)
    assert [change.name for change in plan.changes] == ["torch", "transformers"]


def test_torch_of_conda_forge_is_left_to_conda(conda: Environment) -> None:
    conda.install("torch", "2.5.1", installer="conda")
    report, plan = plan_change(conda, torch="2.11.0")
    with pytest.raises(UsageError) as refusal:
        check_changes(report, plan)
    assert refusal.value.message == (
        f"torch 2.5.1 in {conda.prefix} was installed by conda, which keeps its own list of files; a Python "
        "installer would tear it apart"
    )
    assert refusal.value.hint == (
        f"conda remove --force --prefix {conda.prefix} pytorch   # then run this again"
    )


def test_torch_of_the_channel_pytorch_has_an_egg_info_and_is_left_too(conda: Environment) -> None:
    info = conda.site / "torch-2.5.1-py3.12.egg-info"
    write(info / "PKG-INFO", "Metadata-Version: 2.1\nName: torch\nVersion: 2.5.1\n")
    report, plan = plan_change(conda, torch="2.11.0")
    with pytest.raises(UsageError, match="torch 2.5.1 in .* was installed by conda"):
        check_changes(report, plan)


def test_another_package_of_condas_names_the_version_to_install(conda: Environment) -> None:
    report, plan = plan_change(conda, torch="2.11.0", numpy="2.4.6")
    with pytest.raises(UsageError) as refusal:
        check_changes(report, plan)
    assert refusal.value.hint == f"conda install --prefix {conda.prefix} numpy=2.4.6   # then run this again"
