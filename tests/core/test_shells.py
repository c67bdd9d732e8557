"""Variables in the syntax of the shell that somebody types into."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from provision.core.shells import find_shell, render_export, render_rename, render_unset, render_word
from provision.model.checkup import Shell

_WINDOWS_MODULES = (
    r"C:\Program Files\WindowsPowerShell\Modules;C:\Windows\system32\WindowsPowerShell\v1.0\Modules"
)


@pytest.mark.parametrize(
    ("env", "system", "shell"),
    [
        ({"SHELL": "/bin/bash"}, "Linux", Shell.POSIX),
        ({"SHELL": "/usr/bin/zsh"}, "Darwin", Shell.POSIX),
        ({"SHELL": "/usr/bin/fish"}, "Linux", Shell.FISH),
        ({"SHELL": "/bin/tcsh"}, "Linux", Shell.CSH),
        ({}, "Linux", Shell.POSIX),
        ({"SHELL": "/bin/bash", "PSModulePath": "/opt/ps/Modules"}, "Linux", Shell.POWERSHELL),
        ({"PSModulePath": _WINDOWS_MODULES}, "Windows", Shell.CMD),
        (
            {"PSModulePath": rf"C:\Users\a\Documents\PowerShell\Modules;{_WINDOWS_MODULES}"},
            "Windows",
            Shell.POWERSHELL,
        ),
        ({"SHELL": "/usr/bin/bash", "PSModulePath": _WINDOWS_MODULES}, "Windows", Shell.POSIX),
        ({}, "Windows", Shell.POWERSHELL),
    ],
)
def test_the_shell_is_told_by_the_environment(env: dict[str, str], system: str, shell: Shell) -> None:
    assert find_shell(env, system=system) is shell


@pytest.mark.parametrize(
    ("shell", "export", "unset"),
    [
        (Shell.POSIX, "export A=1", "unset A B"),
        (Shell.FISH, "set -gx A 1", "set -e A B"),
        (Shell.CSH, "setenv A 1", "unsetenv A; unsetenv B"),
        (Shell.POWERSHELL, "$env:A = '1'", "Remove-Item Env:A, Env:B"),
        (Shell.CMD, "set A=1", "set A= & set B="),
    ],
)
def test_each_shell_has_its_words(shell: Shell, export: str, unset: str) -> None:
    assert render_export(shell, "A", "1") == export
    assert render_unset(shell, "A", "B") == unset


def test_sh_takes_them() -> None:
    lines = f"{render_export(Shell.POSIX, 'A', '1')}; echo $A; {render_unset(Shell.POSIX, 'A', 'B')}; echo ${{A-gone}}"
    sh = shutil.which("sh")
    assert sh is not None
    said = subprocess.run([sh, "-c", lines], capture_output=True, text=True, check=True)
    assert said.stdout == "1\ngone\n"


@pytest.mark.parametrize(
    ("shell", "word", "written"),
    [
        (Shell.POSIX, "/srv/app", "/srv/app"),
        (Shell.POSIX, "/srv/my app", "'/srv/my app'"),
        (Shell.FISH, "/srv/$HOME", "'/srv/$HOME'"),
        (Shell.POWERSHELL, r"C:\app", r"C:\app"),
        (Shell.POWERSHELL, "it's", "'it''s'"),
        (Shell.CMD, r"C:\my app", r'"C:\my app"'),
        (Shell.CMD, "", '""'),
    ],
)
def test_one_argument(shell: Shell, word: str, written: str) -> None:
    assert render_word(shell, word) == written


def test_a_file_gets_another_name() -> None:
    assert render_rename(Shell.POSIX, "a b", "c") == "mv 'a b' c"
    assert render_rename(Shell.CMD, "a b", "c") == 'move "a b" c'
