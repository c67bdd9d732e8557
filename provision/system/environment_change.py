"""What is done to and asked of an environment that a user keeps: its own python, and uv for that python."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from provision.errors import ToolError, UsageError
from provision.model.into import InterpreterView
from provision.model.packages import Source
from provision.system.environment_layout import find_kind, inspect_interpreter, load_lenient
from provision.system.run import Completed, run
from provision.system.uv import Uv, check_completed, check_installed

if TYPE_CHECKING:
    import psutil

_ASK_LIMIT_S = 60.0
_CHANGE_LIMIT_S = 3600.0
_END_LIMIT_S = 10.0
_LAST_WORDS = 4000
_TORCH_VERSION = re.compile(r"""^__version__ ?= ?['"]([^'"\s]{1,80})['"]""", re.MULTILINE)

_ASK_SCRIPT = """
import json, os, sys, sysconfig
sites = list(dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib")))
marker = os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
print(json.dumps({
    "version": "%d.%d.%d" % sys.version_info[:3],
    "implementation": sys.implementation.name,
    "prefix": sys.prefix,
    "base_prefix": sys.base_prefix,
    "externally_managed": sys.prefix == sys.base_prefix and os.path.exists(marker),
    "site_dirs": sites,
    "scripts_dir": sysconfig.get_path("scripts"),
}))
"""


def find_prefix(path: Path) -> Path:
    """The environment that `path` names: its folder, or its python. Raises UsageError when it is none.

    A python is not resolved: in a venv it is a link out of it.
    """
    folder = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow the link
    if folder.is_file() and folder.parent.name in ("bin", "Scripts"):
        folder = folder.parent.parent
    elif folder.is_file():
        folder = folder.parent
    if not folder.exists():
        raise UsageError(f"there is no environment at {folder}", hint=f"uv venv {folder}")
    interpreter = inspect_interpreter(folder, find_kind(folder))
    if not interpreter.exists and os.path.lexists(interpreter.path):
        raise UsageError(
            f"{interpreter.path} leads to {os.path.realpath(interpreter.path)}, which is not there",
            hint=f"uv venv --allow-existing {folder}   # leads it to a Python that is there",
        )
    if not interpreter.exists:
        raise UsageError(f"{folder} holds no python", hint="provision apply auto --into FOLDER   # of a venv")
    return folder


def check_not_own(prefix: Path) -> None:
    """Raise UsageError when this very program runs in the environment: nobody could put that back."""
    if os.path.realpath(prefix) == os.path.realpath(sys.prefix):
        raise UsageError(
            f"provision itself runs in {prefix}, and would be changed under its own feet",
            hint="uv venv ~/ocr && provision apply auto --into ~/ocr",
        )


def ask_interpreter(python: Path, *, env: Mapping[str, str]) -> InterpreterView:
    """What an environment's python says of itself. Raises ToolError when it does not run."""
    done = run([str(python), "-I", "-B", "-c", _ASK_SCRIPT], timeout_s=_ASK_LIMIT_S, env=env)
    try:
        if done.exit_code == 0:
            return msgspec.json.decode(done.stdout, type=InterpreterView)
    except msgspec.DecodeError as error:
        raise ToolError(f"{python} answers nonsense: {error}", output=done.stdout[-_LAST_WORDS:]) from error
    raise ToolError(
        f"{python} does not run: {_describe_end(done)}",
        hint=f"{python} -V",
        output=done.stderr[-_LAST_WORDS:],
    )


def load_torch_version(site_dirs: Iterable[Path]) -> str | None:
    """The version that torch's own files have, with its label; None where there is no torch, or it does not say."""
    for site in site_dirs:
        text = load_lenient(site / "torch" / "version.py")
        if text is not None:
            found = _TORCH_VERSION.search(text)
            return found[1] if found else None
    return None


def list_freeze(uv: Uv, python: Path) -> tuple[str, ...]:
    """`uv pip freeze` of the environment. Raises ToolError with uv's words."""
    done = uv.pip(["freeze", "--quiet", "--python", str(python)], timeout_s=_ASK_LIMIT_S)
    check_completed(done, "uv could not list the packages")
    return tuple(done.stdout.splitlines())


def list_incompatible(uv: Uv, python: Path) -> tuple[str, ...]:
    """The sentences of `uv pip check`, one for each requirement that is not met. Raises ToolError."""
    done = uv.pip(["check", "--python", str(python)], timeout_s=_ASK_LIMIT_S)
    found = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    lines = tuple(line for line in found if line.startswith("The package `"))
    if done.exit_code != 0 and not lines:
        check_completed(done, "uv could not check the packages")
    return lines


def remove_packages(uv: Uv, list_path: Path, *, python: Path) -> None:
    """Uninstall what the file names, one a line. Raises ToolError with uv's words."""
    argv = ["uninstall", "--python", str(python), "-r", str(list_path)]
    check_completed(uv.pip(argv, timeout_s=_CHANGE_LIMIT_S), "uv could not remove packages")


def remove_folders(prefix: Path, names: Iterable[str]) -> None:
    """Remove what is left of folders, relative to the prefix. Raises OSError."""
    for name in names:
        if (prefix / name).is_dir() and not (prefix / name).is_symlink():
            shutil.rmtree(prefix / name)


def install_packages(
    uv: Uv,
    list_path: Path,
    *,
    python: Path,
    sources: Iterable[Source],
    torch_source: Source,
    on_line: Callable[[str], None],
) -> None:
    """Install exactly the pins of the file, each file checked against its hashes; all else stays.

    What is there already in a version that satisfies a pin is left: `--reinstall` would fetch all anew, since it
    implies `--refresh`. Raises ToolError with uv's words.
    """
    argv = ["install", "--python", str(python), "--require-hashes", "--no-deps"]
    argv += ["--link-mode", "hardlink", "--only-binary", ":all:"]
    done = uv.pip(
        [*argv, "-r", str(list_path)],
        timeout_s=_CHANGE_LIMIT_S,
        sources=sources,
        torch_index=uv.find_index(torch_source),
        on_line=on_line,
    )
    check_installed(done, "uv could not install the packages")


def end_orphans(token: str, *, python: Path, scripts_dir: Path) -> int:
    """End what a killed run of ours left behind, each in a process group of its own that outlives us.

    That is every uv with `token`, a path of ours, in an argument, which would go on changing the environment; and
    every `python`, the environment's own, that runs a script of `scripts_dir` and whose parent is gone, which would
    compile what it imports. One with a parent belongs to a run that lives. Gives how many there were.
    """
    import psutil

    def is_left(process: psutil.Process) -> bool:
        try:
            program, *arguments = process.cmdline() or [""]
        except psutil.Error:
            return False
        if program == str(python):
            ours = any(Path(word).is_relative_to(scripts_dir) for word in arguments)
            return ours and _is_orphan(process)
        return Path(program).stem == "uv" and any(token in word for word in arguments)

    found = [process for process in psutil.process_iter() if is_left(process)]
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(found, timeout=_END_LIMIT_S)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=_END_LIMIT_S)
    return len(found)


# Who takes in processes whose parent has ended, besides process 1: prctl(2), PR_SET_CHILD_SUBREAPER.
_REAPERS = frozenset({"systemd", "init", "tini", "dumb-init", "docker-init", "catatonit", "launchd"})


def _is_orphan(process: psutil.Process) -> bool:
    import psutil

    try:
        parent = process.parent()
        return parent is None or parent.pid == 1 or parent.name() in _REAPERS
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """While files are put back, Ctrl-C and requests to end wait; the first of them takes effect afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    waiting: list[int] = []
    former = {
        name: signal.signal(getattr(signal, name), lambda number, _frame: waiting.append(number))
        for name in names
    }
    try:
        yield
    finally:
        for name, handler in former.items():
            # None: a handler that is not Python's own, which cannot be set again.
            signal.signal(getattr(signal, name), signal.SIG_DFL if handler is None else handler)
        if waiting:
            signal.raise_signal(waiting[0])


def _describe_end(done: Completed) -> str:
    if done.timed_out:
        return f"did not answer within {done.elapsed_s:.0f} s"
    return f"died of {done.signal}" if done.signal else f"ended with exit code {done.exit_code}"
