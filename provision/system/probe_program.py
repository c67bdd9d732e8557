"""Programs that tell something of the machine: where they are found, and what asking one of them gave."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from provision.errors import ToolError
from provision.model.facts import Outcome, Reading
from provision.system.run import Completed

TEXT_LIMIT = 4 * 1024 * 1024
_ERROR_LIMIT = 2000
_PROCESS_NAME = re.compile(r"(<process_name>[^<\s]*)[^<]*")


class Runner(Protocol):
    """`provision.system.run.run`, as far as it is needed here."""

    def __call__(
        self, argv: Sequence[str], *, timeout_s: float, env: Mapping[str, str], max_output_bytes: int
    ) -> Completed: ...


class Program(Struct, frozen=True, kw_only=True):
    """The file to run; without one, `error` says why what lies there cannot be."""

    path: Path | None
    error: str = ""


class Question(Struct, frozen=True, kw_only=True):
    """What to ask for the reading `source`: a program by name, where it is trusted to be, its arguments.

    `trusted` are paths below the root of the system, in order; after them comes PATH.
    """

    source: str
    name: str
    trusted: tuple[str, ...]
    arguments: tuple[str, ...] = ()


def find_program(question: Question, env: Mapping[str, str], *, system_root: Path) -> Program:
    """The program at a trusted place, else the first on PATH that can be executed.

    Relative entries of PATH are passed over: a folder that happens to be current must not supply it.
    """
    trusted = [system_root / path for path in question.trusted]
    folders = [Path(entry) for entry in env.get("PATH", "").split(os.pathsep) if entry]
    files = [*trusted, *(folder / question.name for folder in folders if folder.is_absolute())]
    present = [path for path in files if is_file(path)]
    for path in present:
        if os.access(path, os.X_OK):
            return Program(path=path)
    return Program(path=None, error=f"{present[0]} is not executable" if present else "")


def is_file(path: Path) -> bool:
    """False also for what may not be looked at: PATH may name other people's folders."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def ask_questions(
    questions: Iterable[Question],
    env: Mapping[str, str],
    *,
    run: Runner,
    timeout_s: float,
    system_root: Path,
) -> tuple[Reading, ...]:
    """A reading for each question, in order. All are asked at the same time: a hung one costs its limit once.

    A program that is not there is ABSENT at no cost, one that may not be executed has FAILED.
    """
    found = [(question, find_program(question, env, system_root=system_root)) for question in questions]
    if all(program.path is None for _, program in found):
        return tuple(_build_unasked(question, program) for question, program in found)
    from concurrent.futures import ThreadPoolExecutor

    def answer(question: Question, program: Program) -> Reading:
        if program.path is None:
            return _build_unasked(question, program)
        path = str(program.path)
        argv = [path, *question.arguments]
        return ask_program(question.source, argv, env, run=run, timeout_s=timeout_s, origin=path)

    with ThreadPoolExecutor(len(found)) as pool:
        return tuple(pool.map(lambda pair: answer(*pair), found))


def ask_program(
    source: str, argv: list[str], env: Mapping[str, str], *, run: Runner, timeout_s: float, origin: str
) -> Reading:
    """Runs `argv`; whatever comes of it is a reading, also that it cannot be started."""
    try:
        done = run(argv, timeout_s=timeout_s, env=env, max_output_bytes=TEXT_LIMIT)
    except (OSError, ValueError, ToolError) as error:
        said = _clean(str(error))[:_ERROR_LIMIT]
        return Reading(source=source, outcome=Outcome.FAILED, origin=origin, error=said)
    outcome = Outcome.OK if done.exit_code == 0 else Outcome.FAILED
    return Reading(
        source=source,
        outcome=Outcome.TIMEOUT if done.timed_out else outcome,
        origin=origin,
        text=_clean(done.stdout)[:TEXT_LIMIT],
        error=_clean(done.stderr)[:_ERROR_LIMIT],
        exit_code=done.exit_code,
        elapsed_s=round(done.elapsed_s, 4),
        limit_s=timeout_s,
    )


def _build_unasked(question: Question, program: Program) -> Reading:
    outcome = Outcome.FAILED if program.error else Outcome.ABSENT
    return Reading(source=question.source, outcome=outcome, error=program.error)


def _clean(text: str) -> str:
    """Text that fits into JSON. Of other programs only the name is kept: their arguments may hold secrets."""
    return _PROCESS_NAME.sub(r"\1", text.encode(errors="replace").decode())
