"""How variables are set and unset in the shell that somebody types into."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import PurePosixPath

from provision.model.checkup import Shell

_BY_PROGRAM = {"fish": Shell.FISH, "csh": Shell.CSH, "tcsh": Shell.CSH, "pwsh": Shell.POWERSHELL}
# PowerShell adds a folder of the user's to the two that Windows gives to every program.
# https://learn.microsoft.com/powershell/module/microsoft.powershell.core/about/about_psmodulepath
_MACHINE_MODULE_FOLDERS = 2


def find_shell(env: Mapping[str, str], *, system: str) -> Shell:
    """The shell of `env`: SHELL where it is set, else on Windows PowerShell or cmd by PSModulePath.

    Elsewhere PSModulePath is set by PowerShell alone, which SHELL does not tell.
    """
    modules = env.get("PSModulePath", "")
    if env.get("SHELL") and not (modules and system != "Windows"):
        return _BY_PROGRAM.get(PurePosixPath(env["SHELL"]).name, Shell.POSIX)
    if system != "Windows":
        return Shell.POWERSHELL if modules else Shell.POSIX
    if not modules:
        return Shell.POWERSHELL
    return Shell.POWERSHELL if len(modules.split(";")) > _MACHINE_MODULE_FOLDERS else Shell.CMD


def render_word(shell: Shell, word: str) -> str:
    """`word` as one argument, quoted where it holds what the shell would take for its own."""
    match shell:
        case Shell.POWERSHELL | Shell.CMD:
            plain = word and all(character.isalnum() or character in "\\/:._-+=" for character in word)
            mark = "'" if shell is Shell.POWERSHELL else '"'
            return word if plain else f"{mark}{word.replace(mark, mark * 2)}{mark}"
        case Shell.POSIX | Shell.FISH | Shell.CSH:
            return shlex.quote(word)


def render_rename(shell: Shell, old: str, new: str) -> str:
    """The line that gives a file another name."""
    words = f"{render_word(shell, old)} {render_word(shell, new)}"
    return f"move {words}" if shell in (Shell.POWERSHELL, Shell.CMD) else f"mv {words}"


def render_export(shell: Shell, name: str, value: str) -> str:
    """The line that sets a variable for this shell and what it starts. `value` is written as it is."""
    match shell:
        case Shell.FISH:
            return f"set -gx {name} {value}"
        case Shell.CSH:
            return f"setenv {name} {value}"
        case Shell.POWERSHELL:
            return f"$env:{name} = '{value}'"
        case Shell.CMD:
            return f"set {name}={value}"
        case Shell.POSIX:
            return f"export {name}={value}"


def render_unset(shell: Shell, *names: str) -> str:
    """The line that takes variables away from this shell."""
    match shell:
        case Shell.FISH:
            return f"set -e {' '.join(names)}"
        case Shell.CSH:
            return "; ".join(f"unsetenv {name}" for name in names)
        case Shell.POWERSHELL:
            return "Remove-Item " + ", ".join(f"Env:{name}" for name in names)
        case Shell.CMD:
            return " & ".join(f"set {name}=" for name in names)
        case Shell.POSIX:
            return f"unset {' '.join(names)}"
