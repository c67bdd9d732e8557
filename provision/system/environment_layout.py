"""Where things lie in an environment: its interpreter, its site-packages, and what `.pth` files add to them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from provision.model.environment import EnvironmentKind, Interpreter, PathFile

_MAX_TEXT_BYTES = 1024 * 1024
_PATCHLEVEL = re.compile(r'^#define\s+PY_VERSION\s+"([0-9][^"+]{0,20})\+?"', re.MULTILINE)
_MINOR = re.compile(r"python-?(3\.\d{1,2})")
_DLL = re.compile(r"^python3(\d{1,2})\.dll$", re.IGNORECASE)


def load_lenient(path: Path) -> str | None:
    """The text of a small file, undecodable bytes replaced; None when it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(_MAX_TEXT_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError):
        return None


def list_names(folder: Path) -> list[str]:
    """The names in a folder, sorted; none when it cannot be read."""
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - names are wanted, not a Path each
    except (OSError, ValueError):
        return []


def find_kind(prefix: Path) -> EnvironmentKind:
    """What kind of environment lies at `prefix`."""
    if (prefix / "pyvenv.cfg").is_file():
        return EnvironmentKind.VENV
    if (prefix / "conda-meta").is_dir():
        return EnvironmentKind.CONDA
    return EnvironmentKind.PREFIX if list_site_dirs(prefix) else EnvironmentKind.NONE


def list_site_dirs(prefix: Path) -> list[Path]:
    """The folders of installed packages, in the order of import; a lib64 that is a link to lib counts once."""
    found = [prefix / "Lib" / "site-packages"]
    for library in ("lib", "lib64"):
        for name in list_names(prefix / library):
            if _MINOR.fullmatch(name):
                found += [
                    prefix / library / name / "site-packages",
                    prefix / library / name / "dist-packages",
                ]
        # Debian's packages of Python modules share one folder without a minor version.
        found.append(prefix / library / "python3" / "dist-packages")
    return _keep_distinct(path for path in found if path.is_dir())


def _keep_distinct(paths: Iterable[Path]) -> list[Path]:
    seen: set[str] = set()
    kept = []
    for path in paths:
        real = os.path.realpath(path)
        if real not in seen:
            seen.add(real)
            kept.append(path)
    return kept


def inspect_interpreter(prefix: Path, kind: EnvironmentKind) -> Interpreter:
    """The environment's python, and what pyvenv.cfg says of its base."""
    python = _find_python(prefix)
    config = _load_config(prefix / "pyvenv.cfg") if kind is EnvironmentKind.VENV else {}
    home = config.get("home")
    return Interpreter(
        path=str(python),
        exists=python.exists(),
        version=config.get("version_info") or config.get("version"),
        minor=_find_minor(prefix),
        home=home,
        home_exists=None if home is None else Path(home).is_dir(),
        base_version=_read_version(Path(home), python) if home else _read_version(python.parent, python),
        system_site_packages=config.get("include-system-site-packages", "").lower() == "true",
    )


def _find_python(prefix: Path) -> Path:
    candidates = [prefix / "bin" / "python", prefix / "bin" / "python3"]
    windows = [prefix / "Scripts" / "python.exe", prefix / "python.exe"]
    # A venv for Windows has Scripts, whatever system looks at it; its name matters for the answer.
    ordered = [*windows, *candidates] if (prefix / "Scripts").is_dir() else [*candidates, *windows]
    return next((path for path in ordered if os.path.lexists(path)), ordered[0])


def _load_config(path: Path) -> dict[str, str]:
    config = {}
    for line in (load_lenient(path) or "").splitlines():
        key, separator, value = line.partition("=")
        if separator:
            config[key.strip().lower()] = value.strip()
    return config


def _find_minor(prefix: Path) -> str | None:
    for library in ("lib", "lib64"):
        for name in list_names(prefix / library):
            match = _MINOR.fullmatch(name)
            if match and (prefix / library / name / "site-packages").is_dir():
                return match[1]
    return None


def _read_version(bin_dir: Path, python: Path) -> str | None:
    """The version of the interpreter in `bin_dir`: from its headers, else what its files are called."""
    for folder in (bin_dir.parent / "include", bin_dir / "include"):
        for name in ["", *(name for name in list_names(folder) if _MINOR.match(name))]:
            match = _PATCHLEVEL.search(load_lenient(folder / name / "patchlevel.h") or "")
            if match:
                return match[1]
    dll = next((match for name in list_names(bin_dir) if (match := _DLL.match(name))), None)
    if dll:
        return f"3.{dll[1]}"
    real = _MINOR.fullmatch(os.path.basename(os.path.realpath(python)))  # noqa: PTH119 - a string is at hand
    return real[1] if real and python.exists() else None


def load_path_files(site_dir: Path) -> list[PathFile]:
    """Every `.pth` file of a folder, with the folders that it adds and whether it runs code."""
    found = []
    for name in list_names(site_dir):
        if not name.endswith(".pth") or name.startswith("."):
            continue
        lines = [line.strip() for line in (load_lenient(site_dir / name) or "").splitlines()]
        imports = any(line.startswith(("import ", "import\t")) for line in lines)
        named = [line for line in lines if line and not line.startswith(("#", "import ", "import\t"))]
        folders = tuple(path for line in named if os.path.isdir(path := _join(site_dir, line)))  # noqa: PTH112
        found.append(PathFile(name=name, site_dir=str(site_dir), folders=folders, imports=imports))
    return found


def _join(site_dir: Path, line: str) -> str:
    try:
        return os.path.realpath(site_dir / line)
    except (OSError, ValueError):
        return ""


def find_base_sites(interpreter: Interpreter) -> list[Path]:
    """The folders of the base interpreter that an environment with system-site-packages also imports from."""
    if not interpreter.system_site_packages or not interpreter.home:
        return []
    home = Path(interpreter.home)
    base = home if (home / "Lib").is_dir() else home.parent
    sites = list_site_dirs(base)
    if base == Path("/usr"):
        sites = [*list_site_dirs(base / "local"), *sites]
    return [site for site in sites if _is_of_minor(site, interpreter.minor)]


def _is_of_minor(site: Path, minor: str | None) -> bool:
    match = _MINOR.fullmatch(site.parent.name)
    return match is None or minor is None or match[1] == minor


def find_user_site(env: Mapping[str, str], kind: EnvironmentKind, interpreter: Interpreter) -> Path | None:
    """The user's own site-packages, where this environment imports from it; None where it does not.

    A venv leaves it out unless it takes in the system's packages; PYTHONNOUSERSITE leaves it out everywhere.
    """
    isolated = kind is EnvironmentKind.VENV and not interpreter.system_site_packages
    minor = interpreter.minor or (interpreter.version or interpreter.base_version or "").rpartition(".")[0]
    if isolated or env.get("PYTHONNOUSERSITE") or not minor:
        return None
    if env.get("APPDATA"):
        folder = Path(env["APPDATA"]) / "Python" / f"Python{minor.replace('.', '')}" / "site-packages"
    else:
        base = Path(env.get("PYTHONUSERBASE") or Path(env.get("HOME") or os.devnull) / ".local")
        folder = base / "lib" / f"python{minor}" / "site-packages"
    return folder if folder.is_dir() else None
