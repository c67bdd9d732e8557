"""Whether an environment may be changed in place, and whether it is right afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from packaging.version import Version

from provision.core.into import list_own
from provision.errors import UsageError
from provision.model.environment import OTHER_INSTALLERS, EnvironmentKind, EnvironmentReport
from provision.model.into import ChangeKind, InterpreterView, IntoPlan
from provision.model.profile import TorchBuild

_MAKE_VENV = "uv venv ~/ocr && provision apply auto --into ~/ocr"


def check_environment(report: EnvironmentReport, view: InterpreterView) -> None:
    """Raise UsageError for what must not be changed: a system's python, a stack of ours, another python's folder."""
    where = report.prefix
    if report.managed:
        raise UsageError(
            f"{where} is a stack that provision built; stacks are never changed in place",
            hint="provision apply auto   # builds a new one beside it",
        )
    if view.externally_managed:
        raise UsageError(
            f"{where} belongs to the operating system (EXTERNALLY-MANAGED), whose own programs use it",
            hint=_MAKE_VENV,
        )
    if report.kind is EnvironmentKind.PREFIX or (
        report.kind is EnvironmentKind.VENV and view.prefix == view.base_prefix
    ):
        raise UsageError(
            f"{where} is a Python installation of its own, neither a venv nor a conda prefix", hint=_MAKE_VENV
        )
    if view.implementation != "cpython":
        raise UsageError(f"{where} runs {view.implementation}; torch has wheels for CPython", hint=_MAKE_VENV)


def check_python(view: InterpreterView, build: TorchBuild, where: str) -> None:
    """Raise UsageError when the build has no wheels for the environment's Python."""
    if build.python is None:
        return
    oldest, newest = (Version(text) for text in build.python)
    found = Version(".".join(view.version.split(".")[:2]))
    if not oldest <= found <= newest:
        raise UsageError(
            f"torch {build.torch} has wheels for Python {oldest} to {newest}, and {where} has {view.version}",
            hint=f"uv venv --python {newest} ~/ocr   # an environment of a newer Python",
        )


def check_changes(report: EnvironmentReport, plan: IntoPlan) -> None:
    """Raise UsageError when a package that would change cannot be taken out without tearing something apart."""
    own = list_own(report)
    for change in plan.list_changes(ChangeKind.CHANGE, ChangeKind.REPAIR, ChangeKind.REMOVE):
        item = own[change.name]
        installer = (item.installer or "").lower()
        if installer in OTHER_INSTALLERS or (report.kind is EnvironmentKind.CONDA and item.listed is None):
            program = installer or "conda"
            wanted = f"={change.after.partition('+')[0]}" if change.after else ""
            verb = "remove --force" if change.after is None or change.name == "torch" else "install"
            target = f"{_CONDA_NAMES.get(change.name, change.name)}{'' if verb != 'install' else wanted}"
            raise UsageError(
                f"{change.name} {change.before} in {report.prefix} was installed by {program}, which keeps its own "
                "list of files; a Python installer would tear it apart",
                hint=f"{program} {verb} --prefix {report.prefix} {target}   # then run this again",
            )
        if item.editable:
            raise UsageError(
                f"{change.name} {change.before} in {report.prefix} is an editable installation of yours, and the "
                f"profile needs {change.name} {change.after}",
                hint=f"uv pip uninstall --python {report.prefix} {change.name}   # then run this again",
            )
        if item.listed is None:
            raise UsageError(
                f"{change.name} {change.before} in {report.prefix} has no RECORD: nobody knows which files are its",
                hint=f"pip install --force-reinstall --no-deps {change.name}=={change.before}   # writes one",
            )


# What conda calls it where that is not PyPI's name.
_CONDA_NAMES = {"torch": "pytorch"}


def check_scope(paths: Sequence[str]) -> None:
    """Raise UsageError for a path that a RECORD lists outside of its environment."""
    for path in paths:
        if path.startswith("..") or PurePath(path).is_absolute():
            raise UsageError(
                f"a RECORD lists {path}, which lies outside of the environment",
                hint="provision doctor --into ENV --only stack.files",
            )


def judge_torch(*, torch: str | None, cuda: str | None, hip: str | None, plan: IntoPlan) -> str | None:
    """Why the torch that was imported is not the planned one; None when it is. `cuda` and `hip` as torch has them."""
    if (torch or "").partition("+")[0] != plan.torch.partition("+")[0]:
        return f"torch {torch or 'of no version'} is imported, and torch {plan.torch} was installed"
    found = f"CUDA {cuda}" if cuda else "ROCm" if hip else "no GPU"
    wanted = _name_tag(plan.tag)
    return None if found == wanted else f"torch {torch} is built for {found}, not for {wanted}"


def _name_tag(tag: str) -> str:
    if tag.startswith("cu") and tag[2:].isdecimal():
        return f"CUDA {tag[2:-1]}.{tag[-1]}"
    return "ROCm" if tag.startswith("rocm") else "no GPU"
