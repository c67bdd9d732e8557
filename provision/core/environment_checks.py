"""The checks of one Python environment, each over what inspection found; the doctor registers them.

`finding = check.run(report, facts, pairs, shell)` for each of ENVIRONMENT_CHECKS.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from provision.core.architecture_check import check_architectures
from provision.core.cuda_family import check_cuda_family
from provision.core.installation_checks import (
    check_duplicates,
    check_files,
    check_foreign_libraries,
    check_interpreter,
    check_interrupted,
    check_isolation,
)
from provision.core.package_checks import check_bad_pairs, check_requirements, check_torch_pair
from provision.model.checkup import Shell
from provision.model.environment import EnvironmentReport, KnownPairs
from provision.model.facts import Facts
from provision.model.finding import Finding, Severity

_Run = Callable[[EnvironmentReport, Facts, KnownPairs, Shell], Finding]


class EnvironmentCheck(Struct, frozen=True, kw_only=True):
    """One check: a stable id, the question that it answers, and the function that answers it."""

    id: str
    question: str
    run: _Run


def _build_check(identity: str, question: str, run: _Run) -> EnvironmentCheck:
    """A check that is skipped where there is no environment to look at; the first one says so as a failure."""

    def run_where_read(
        report: EnvironmentReport, facts: Facts, pairs: KnownPairs, shell: Shell = Shell.POSIX
    ) -> Finding:
        if report.problem is not None and identity != "stack.interpreter":
            return Finding(id=identity, severity=Severity.SKIP, evidence=report.problem)
        return run(report, facts, pairs, shell)

    return EnvironmentCheck(id=identity, question=question, run=run_where_read)


def _drop_pairs(run: Callable[[EnvironmentReport, Facts], Finding]) -> _Run:
    return lambda report, facts, _pairs, _shell: run(report, facts)


def _drop_shell(run: Callable[[EnvironmentReport, Facts, KnownPairs], Finding]) -> _Run:
    return lambda report, facts, pairs, _shell: run(report, facts, pairs)


ENVIRONMENT_CHECKS: tuple[EnvironmentCheck, ...] = (
    _build_check(
        "stack.interpreter",
        "does its python exist, and is it the one that it was made of?",
        _drop_pairs(check_interpreter),
    ),
    _build_check(
        "stack.interrupted-install", "was every installation finished?", _drop_pairs(check_interrupted)
    ),
    _build_check("stack.files", "are all files as they were installed?", _drop_pairs(check_files)),
    _build_check("stack.duplicates", "is every package there once?", _drop_pairs(check_duplicates)),
    _build_check(
        "stack.requirements", "does every package have what it asks for?", _drop_pairs(check_requirements)
    ),
    _build_check(
        "stack.isolation",
        "does it import only what was installed into it?",
        lambda report, _facts, _pairs, shell: check_isolation(report, shell),
    ),
    _build_check(
        "stack.foreign-libraries",
        "does LD_LIBRARY_PATH leave the wheels' CUDA libraries alone?",
        lambda report, _facts, _pairs, shell: check_foreign_libraries(report, shell),
    ),
    _build_check(
        "stack.cuda-family", "is every wheel built for torch's CUDA?", _drop_pairs(check_cuda_family)
    ),
    _build_check(
        "stack.torch-pair",
        "do torch, torchvision and torchaudio belong together?",
        _drop_shell(check_torch_pair),
    ),
    _build_check(
        "stack.architectures", "has torch code for this machine's GPUs?", _drop_pairs(check_architectures)
    ),
    _build_check(
        "stack.bad-pairs", "are there versions that are known to clash?", _drop_shell(check_bad_pairs)
    ),
)
