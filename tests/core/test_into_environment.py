"""Which environments are changed in place, and whether torch is what was wanted."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from provision.core.into_environment import (
    check_changes,
    check_environment,
    check_python,
    check_scope,
    judge_torch,
)
from provision.errors import UsageError
from provision.model.environment import EnvironmentKind, EnvironmentReport, InstalledDistribution
from provision.model.into import ChangeKind, InterpreterView, IntoPlan, PackageChange
from tests.support.profiles import BUILDS

VIEW = InterpreterView(
    version="3.12.11",
    implementation="cpython",
    prefix="/env",
    base_prefix="/usr",
    externally_managed=False,
    site_dirs=("/env/lib/python3.12/site-packages",),
    scripts_dir="/env/bin",
)
VENV = EnvironmentReport(prefix="/env", kind=EnvironmentKind.VENV)
CONDA = replace(VENV, kind=EnvironmentKind.CONDA)


def make_plan(*changes: PackageChange, torch: str = "2.11.0", tag: str = "cu130") -> IntoPlan:
    return IntoPlan(
        profile="blackwell",
        models=("m",),
        prefix="/env",
        python="3.12.11",
        torch=torch,
        tag=tag,
        lock_sha256="0",
        changes=changes,
        unchanged=(),
        kept=(),
        conflicts=(),
        warnings=(),
        download_bytes=0,
        attempts=(),
    )


def make_item(name: str, **changes: object) -> InstalledDistribution:
    fields: dict[str, object] = {
        "name": name,
        "version": "2.5.1",
        "site_dir": "/env/lib/python3.12/site-packages",
        "info_name": f"{name}-2.5.1.dist-info",
        "installer": "pip",
        "listed": 3,
    }
    return InstalledDistribution(**(fields | changes))  # type: ignore[arg-type]


def make_change(name: str, after: str | None = "2.11.0") -> PackageChange:
    kind = ChangeKind.CHANGE if after else ChangeKind.REMOVE
    return PackageChange(name=name, kind=kind, before="2.5.1", after=after)


@pytest.mark.parametrize("report", [VENV, CONDA], ids=["venv", "conda"])
def test_a_venv_and_a_conda_prefix_may_be_changed(report: EnvironmentReport) -> None:
    same = replace(VIEW, base_prefix="/env") if report is CONDA else VIEW
    check_environment(report, same)


@pytest.mark.parametrize(
    ("report", "view", "message"),
    [
        (
            replace(VENV, managed=True),
            VIEW,
            "/env is a stack that provision built; stacks are never changed in place",
        ),
        (
            replace(VENV, kind=EnvironmentKind.PREFIX),
            replace(VIEW, base_prefix="/env", externally_managed=True),
            "/env belongs to the operating system (EXTERNALLY-MANAGED), whose own programs use it",
        ),
        (
            replace(VENV, kind=EnvironmentKind.PREFIX),
            replace(VIEW, base_prefix="/env"),
            "/env is a Python installation of its own, neither a venv nor a conda prefix",
        ),
        (
            VENV,
            replace(VIEW, implementation="pypy"),
            "/env runs pypy; torch has wheels for CPython",
        ),
    ],
)
def test_others_are_refused(report: EnvironmentReport, view: InterpreterView, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        check_environment(report, view)
    assert refusal.value.message == message
    assert refusal.value.hint


def test_a_python_without_wheels_is_refused() -> None:
    build = replace(BUILDS["torch-2.11-cu130"], python=("3.10", "3.14"))
    check_python(VIEW, build, "/env")
    check_python(VIEW, replace(build, python=None), "/env")
    with pytest.raises(UsageError) as refusal:
        check_python(replace(VIEW, version="3.9.18"), build, "/env")
    assert refusal.value.message == "torch 2.11.0 has wheels for Python 3.10 to 3.14, and /env has 3.9.18"


@pytest.mark.parametrize(
    ("report", "item", "change", "message", "hint"),
    [
        (
            CONDA,
            make_item("torch", installer="conda"),
            make_change("torch"),
            "torch 2.5.1 in /env was installed by conda, which keeps its own list of files; a Python installer "
            "would tear it apart",
            "conda remove --force --prefix /env pytorch   # then run this again",
        ),
        (
            CONDA,
            make_item("pillow", installer=None, listed=None),
            make_change("pillow", "13.0.0"),
            "pillow 2.5.1 in /env was installed by conda, which keeps its own list of files; a Python installer "
            "would tear it apart",
            "conda install --prefix /env pillow=13.0.0   # then run this again",
        ),
        (
            VENV,
            make_item("transformers", editable=True),
            make_change("transformers", "5.22.2"),
            "transformers 2.5.1 in /env is an editable installation of yours, and the profile needs transformers "
            "5.22.2",
            "uv pip uninstall --python /env transformers   # then run this again",
        ),
        (
            VENV,
            make_item("flash-attn", listed=None),
            make_change("flash-attn", None),
            "flash-attn 2.5.1 in /env has no RECORD: nobody knows which files are its",
            "pip install --force-reinstall --no-deps flash-attn==2.5.1   # writes one",
        ),
    ],
    ids=["conda-torch", "conda-meta", "editable", "no-record"],
)
def test_what_cannot_be_taken_out_whole_is_refused(
    report: EnvironmentReport, item: InstalledDistribution, change: PackageChange, message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as refusal:
        check_changes(replace(report, distributions=(item,)), make_plan(change))
    assert (refusal.value.message, refusal.value.hint) == (message, hint)


def test_what_pip_installed_into_conda_may_change_beside_what_conda_did() -> None:
    items = (make_item("torch"), make_item("numpy", installer="conda", listed=None))
    check_changes(replace(CONDA, distributions=items), make_plan(make_change("torch")))


@pytest.mark.parametrize("path", ["../other/file", "/etc/passwd"])
def test_a_record_that_leads_out_is_refused(path: str) -> None:
    check_scope(["lib/python3.12/site-packages/a.py", "bin/a"])
    with pytest.raises(UsageError) as refusal:
        check_scope([path])
    assert refusal.value.message == f"a RECORD lists {path}, which lies outside of the environment"


@pytest.mark.parametrize(
    ("torch", "cuda", "hip", "wanted", "tag", "problem"),
    [
        ("2.11.0+cu130", "13.0", None, "2.11.0", "cu130", None),
        ("2.13.0+cpu", None, None, "2.13.0+cpu", "cpu", None),
        ("2.11.0+rocm7.2", None, "7.2.1", "2.11.0+rocm7.2", "rocm7.2", None),
        ("2.11.0+xpu", None, None, "2.11.0+xpu", "xpu", None),
        (
            "2.11.0+cu126",
            "12.6",
            None,
            "2.11.0",
            "cu130",
            "torch 2.11.0+cu126 is built for CUDA 12.6, not for CUDA 13.0",
        ),
        (
            "2.13.0+cpu",
            None,
            None,
            "2.13.0",
            "cu130",
            "torch 2.13.0+cpu is built for no GPU, not for CUDA 13.0",
        ),
        ("2.7.0", "12.6", None, "2.11.0", "cu130", "torch 2.7.0 is imported, and torch 2.11.0 was installed"),
        (
            None,
            None,
            None,
            "2.11.0",
            "cu130",
            "torch of no version is imported, and torch 2.11.0 was installed",
        ),
    ],
)
def test_the_torch_that_is_imported_is_the_planned_one(
    torch: str | None, cuda: str | None, hip: str | None, wanted: str, tag: str, problem: str | None
) -> None:
    assert judge_torch(torch=torch, cuda=cuda, hip=hip, plan=make_plan(torch=wanted, tag=tag)) == problem
