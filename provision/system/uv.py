"""uv, the program that resolves, creates environments and installs: argument lists in, outcomes out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from provision.errors import DownloadError, ToolError
from provision.model.packages import PackageSettings, Source, SourceKind
from provision.system.run import Completed, run
from provision.system.uv_sources import combine, isolate, name_indexes, name_only, tell_connection

# uv's exit codes: 1 is "no solution", 2 is everything that kept it from looking.
_NO_SOLUTION = 1
_COMPILE_LIMIT_S = 300.0
_SYNC_LIMIT_S = 3600.0
_ASK_LIMIT_S = 30.0
# The sources, which are among the settings, and what would bend a resolution behind our back.
_NOT_PASSED_ON = {
    *("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX"),
    *("UV_TORCH_BACKEND", "UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE", "UV_RESOLUTION", "UV_PRERELEASE"),
    *("UV_INDEX_STRATEGY", "UV_NO_BINARY", "UV_PROJECT", "UV_WORKING_DIRECTORY", "VIRTUAL_ENV"),
    *("UV_EXCLUDE_NEWER", "UV_EXCLUDE_NEWER_PACKAGE"),
}
# How uv tells of a file that it could not have, or that is another than was locked.
_DOWNLOAD = re.compile(r"Failed to (?:download|fetch)|Hash mismatch|Request failed")
_REFUSED = re.compile(r"returned a 40[13] ")
_INSTALL_UV = "python -m pip install --upgrade uv"


class Resolution(Struct, frozen=True, kw_only=True):
    """What came of a resolution. `text` is None unless it succeeded; `error` is uv's first sentence."""

    text: str | None
    lacks: bool
    error: str
    output: str
    elapsed_s: float


def find_uv() -> Path:
    """The uv that was installed with this tool. Raises ToolError when it is missing."""
    try:
        from uv import find_uv_bin

        return Path(find_uv_bin())
    except (ImportError, FileNotFoundError) as error:
        raise ToolError(f"uv is not installed beside provision: {error}", hint=_INSTALL_UV) from error


# What torch's own wheels need of the same build, and no other index has.
_FROM_TORCH_INDEX = ("torch", "torchvision", "triton-rocm", "triton-xpu")


class Uv(Struct, frozen=True, kw_only=True):
    """uv with the environment and the user's package settings that every call shares.

    `cwd` should be a folder outside any project, or uv would read that project's settings. `target` is what
    to resolve for where it is not this machine: uv's name of the platform, and the Python as in "3.12".
    """

    binary: Path
    env: Mapping[str, str]
    settings: PackageSettings
    cwd: Path
    target: tuple[str, str] | None = None

    def ask(self, source: Source, requirements: Sequence[str], *, python: Path) -> Resolution:
        """Does `source` alone have these requirements? Dependencies are not looked at. Tries twice, 30 s.

        The answer is in pip's format, without hashes: a folder's wheel of gigabytes is not read for it.
        """
        argv = [*self._compile_argv(python), "--quiet", "--no-deps", *isolate(source)]
        env = self._build_env() | name_only(source) | {"UV_HTTP_RETRIES": "1", "UV_HTTP_TIMEOUT": "10"}
        return self._compile(argv, _render_project(requirements), env, timeout_s=_ASK_LIMIT_S)

    def compile(
        self,
        requirements: Sequence[str],
        *,
        python: Path,
        sources: Iterable[Source],
        torch_source: Source,
        exclude_newer: str | None = None,
        any_age: Iterable[str] = (),
    ) -> Resolution:
        """Resolve `requirements` with everything they need, torch and torchvision from `torch_source`.

        Files uploaded after `exclude_newer`, an ISO date and time, are not taken, but for the packages
        `any_age`. The answer is a `pylock.toml`.
        """
        project = _render_project(requirements, torch_index=self.find_index(torch_source))
        argv = [*self._compile_argv(python), "--format", "pylock.toml"]
        # A uv.toml of the user's may say otherwise, for projects of theirs.
        argv += ["--resolution", "highest", "--prerelease", "if-necessary-or-explicit"]
        if exclude_newer is not None:
            argv += ["--exclude-newer", exclude_newer]
            argv += [f"--exclude-newer-package={name}=false" for name in sorted(set(any_age))]
        argv += combine(sources, no_index=self.settings.no_index)
        env = self._build_env() | name_indexes(sources, no_index=self.settings.no_index)
        return self._compile(argv, project, env, timeout_s=_COMPILE_LIMIT_S)

    def create_venv(self, folder: Path, *, python: Path) -> None:
        """An empty environment at `folder`, which must not exist. Raises ToolError with uv's words."""
        argv = [str(self.binary), "venv", "--quiet", "--no-project", "--relocatable"]
        argv += ["--python", str(python), str(folder)]
        check_completed(
            self._run(argv, self._build_env(), timeout_s=_ASK_LIMIT_S), "uv could not create an environment"
        )

    def sync(
        self,
        lock_path: Path,
        *,
        python: Path,
        sources: Iterable[Source],
        torch_source: Source,
        on_line: Callable[[str], None],
    ) -> None:
        """Make the environment of `python` hold exactly the lock, every file checked against its hashes.

        Raises DownloadError when a file cannot be had as it was locked, ToolError with uv's words for all else.
        """
        argv = ["sync", "--python", str(python), "--require-hashes", "--strict"]
        argv += ["--link-mode", "hardlink", "--only-binary", ":all:"]
        # The hashes bind every file, so all sources may be looked through for the one that has it.
        completed = self.pip(
            [*argv, str(lock_path)],
            timeout_s=_SYNC_LIMIT_S,
            sources=sources,
            torch_index=self.find_index(torch_source),
            on_line=on_line,
        )
        check_installed(completed, "uv could not install the locked packages")

    def pip(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        sources: Iterable[Source] | None = None,
        torch_index: str | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Completed:
        """`uv pip` with `argv`, and the user's sources where some are given. How it ends is for the caller to judge."""
        whole, env = [str(self.binary), "pip", *argv], self._build_env()
        if sources is not None:
            sources = tuple(sources)
            whole += combine(sources, no_index=self.settings.no_index)
            env |= name_indexes(sources, no_index=self.settings.no_index, torch_index=torch_index)
        return self._run(whole, env, timeout_s=timeout_s, on_line=on_line)

    def find_index(self, source: Source) -> str | None:
        """The address of a source that is an index, None for a folder.

        The default index is uv's own knowledge, and uv is asked for it. Raises ToolError with uv's words.
        """
        if source.kind is SourceKind.FIND_LINKS:
            return None
        if source.location is not None:
            return source.location
        (self.cwd / "pyproject.toml").write_text(_render_project([]), encoding="utf-8")
        argv = [str(self.binary), "pip", "compile", "pyproject.toml", "--quiet", "--no-header"]
        done = self._run([*argv, "--emit-index-url"], self._build_env(), timeout_s=_ASK_LIMIT_S)
        check_completed(done, "uv does not say which its default index is")
        options = (line.partition(" ") for line in done.stdout.splitlines())
        return next((value for name, _, value in options if name == "--index-url"), None)

    def _compile_argv(self, python: Path) -> list[str]:
        argv = [str(self.binary), "pip", "compile", "pyproject.toml", "--python", str(python)]
        if self.target is not None:
            argv += ["--python-platform", self.target[0], "--python-version", self.target[1]]
        return [*argv, "--only-binary", ":all:", "--no-header", "--no-annotate"]

    def _compile(
        self, argv: list[str], project: str, env: Mapping[str, str], *, timeout_s: float
    ) -> Resolution:
        (self.cwd / "pyproject.toml").write_text(project, encoding="utf-8")
        done = self._run(argv, env, timeout_s=timeout_s)
        ok = done.exit_code == 0
        error = "" if ok else _first_sentence(done, timeout_s)
        return Resolution(
            text=done.stdout if ok else None,
            lacks=done.exit_code == _NO_SOLUTION and _is_answer(done.stderr),
            error=error,
            output=done.stderr,
            elapsed_s=done.elapsed_s,
        )

    def _run(
        self,
        argv: list[str],
        env: Mapping[str, str],
        *,
        timeout_s: float,
        on_line: Callable[[str], None] | None = None,
    ) -> Completed:
        return run(argv, timeout_s=timeout_s, env=env, cwd=self.cwd, on_line=on_line)

    def _build_env(self) -> dict[str, str]:
        """The user's environment, with pip's certificate, proxy and time limit in uv's words.

        uv's own variables for sources are taken out: they are among `settings.sources`, each in its turn.
        """
        env = {key: value for key, value in self.env.items() if key not in _NOT_PASSED_ON}
        env = tell_connection(env, self.settings)
        return env | {"NO_COLOR": "1", "UV_PYTHON_DOWNLOADS": "never"}


def _is_answer(said: str) -> bool:
    """Whether uv judged versions. It ends with the same code for a page it cannot read or may not see."""
    return "No solution found" in said and not _REFUSED.search(said)


def _render_project(requirements: Sequence[str], *, torch_index: str | None = None) -> str:
    """A project file, since only there an index can be tied to the packages that may come from it."""
    lines = ["[project]", 'name = "stack"', 'version = "0"', "dependencies = ["]
    lines += [f"  {_quote(requirement)}," for requirement in requirements]
    lines += ["]"]
    if torch_index is not None:
        lines += ["[[tool.uv.index]]", 'name = "torch"', f"url = {_quote(torch_index)}", "explicit = true"]
        # A source is for packages that are named here, not for what those depend on.
        named = {re.split(r"[=<>~! ;\[]", requirement)[0] for requirement in requirements}
        lines += ["[tool.uv.sources]"]
        lines += [f'{name} = {{ index = "torch" }}' for name in _FROM_TORCH_INDEX if name in named]
    return "\n".join(lines) + "\n"


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def check_installed(completed: Completed, what: str) -> None:
    """Raise DownloadError when uv could not have a file as it was locked, ToolError when it failed otherwise."""
    if completed.exit_code != 0 and _DOWNLOAD.search(completed.stderr):
        raise DownloadError(
            f"{what}: {_first_sentence(completed, _SYNC_LIMIT_S)}",
            hint="provision doctor --network   # shows which sources answer",
        )
    check_completed(completed, what)


def check_completed(completed: Completed, what: str) -> None:
    """Raise ToolError with uv's words when it failed."""
    if completed.exit_code != 0:
        raise ToolError(f"{what}: {_first_sentence(completed, _SYNC_LIMIT_S)}", output=completed.stderr)


def _first_sentence(done: Completed, timeout_s: float) -> str:
    """What uv says first, with the deepest cause: the part that tells an engineer what to look at."""
    if done.timed_out:
        return f"no answer within {timeout_s:.0f} s"
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    causes = [line.removeprefix("cause: ") for line in lines if line.startswith("cause: ")]
    first = errors[0] if errors else (lines[0] if lines else f"exit code {done.exit_code}")
    return f"{first}: {causes[-1]}" if causes else first


def ask_version(binary: Path, *, env: Mapping[str, str]) -> str:
    """uv's own version line. Raises ToolError when it cannot be run."""
    completed = run([str(binary), "--version"], timeout_s=10.0, env=env)
    check_completed(completed, "uv does not run")
    return completed.stdout.strip()
