"""Small Python environments on disk, whole or broken in one way."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import yaml

from provision.core.environment_checks import ENVIRONMENT_CHECKS
from provision.core.yaml_text import convert
from provision.model.checkup import Shell
from provision.model.environment import EnvironmentReport, KnownPairs
from provision.model.facts import Facts
from provision.model.finding import Finding

PAIRS_PATH = Path(__file__).parent.parent.parent / "profiles" / "bad_pairs.yaml"


def load_pairs() -> KnownPairs:
    return convert(yaml.safe_load(PAIRS_PATH.read_text(encoding="utf-8")), KnownPairs, where="bad_pairs.yaml")


PAIRS = load_pairs()


def run_check(identity: str, report: EnvironmentReport, facts: Facts, shell: Shell = Shell.POSIX) -> Finding:
    """The finding of one check of the registry."""
    return next(check for check in ENVIRONMENT_CHECKS if check.id == identity).run(
        report, facts, PAIRS, shell
    )


class Environment:
    """A venv of Python 3.12 as uv lays it out, with a base interpreter beside it."""

    def __init__(self, folder: Path, *, system_site_packages: bool = False) -> None:
        self.base = folder / "python"
        self.prefix = folder / "env"
        self.site = self.prefix / "lib" / "python3.12" / "site-packages"
        self.python = self.prefix / "bin" / "python"
        self.site.mkdir(parents=True)
        self.python.parent.mkdir()
        write(self.base / "bin" / "python3.12", "")
        write(self.base / "include" / "python3.12" / "patchlevel.h", '#define PY_VERSION  "3.12.11"\n')
        self.python.symlink_to(self.base / "bin" / "python3.12")
        write(
            self.prefix / "pyvenv.cfg",
            f"home = {self.base / 'bin'}\nimplementation = CPython\nversion_info = 3.12.11\n"
            f"include-system-site-packages = {str(system_site_packages).lower()}\n",
        )

    def install(
        self,
        name: str,
        version: str,
        *,
        files: dict[str, str] | None = None,
        requires: tuple[str, ...] = (),
        installer: str | None = "uv",
        site: Path | None = None,
    ) -> Path:
        """Lay out a distribution with its RECORD; gives the folder of its metadata."""
        site = site or self.site
        module = name.replace("-", "_")
        info = f"{module}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n"
        metadata += "".join(f"Requires-Dist: {line}\n" for line in requires)
        content = {f"{module}/__init__.py": f"# {name}\n"} if files is None else files
        content |= {
            f"{info}/METADATA": f"{metadata}\nRequires-Dist: of the description, not of the headers\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\n",
        }
        if installer:
            content[f"{info}/INSTALLER"] = installer
        record = ""
        for path, text in content.items():
            write(site / path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
            record += f"{path},sha256={digest},{len(text.encode())}\n"
        write(site / info / "RECORD", f"{record}{info}/RECORD,,\n")
        return site / info

    def install_torch(
        self,
        version: str = "2.11.0",
        *,
        label: str = "cu130",
        cuda: str | None = "13.0",
        architectures: str = "sm_75 sm_80 sm_86 sm_90 sm_100 sm_120",
    ) -> Path:
        """torch with what its files say of its build."""
        library = f"\0\0ELF\0{architectures}\0and more\0" if architectures else "\0ELF\0asm_volatile\0"
        about = (
            f"from typing import Optional\n__version__ = '{version}+{label}'\n"
            f"cuda: Optional[str] = {cuda!r}\nhip: Optional[str] = None\n"
        )
        files = {
            "torch/__init__.py": "",
            "torch/version.py": about,
            "torch/lib/libtorch_python.so": library,
        }
        return self.install("torch", version, files=files)

    def install_torchvision(
        self, version: str = "0.26.0", *, torch: str = "2.11.0", label: str = "cu130"
    ) -> Path:
        """torchvision in the words of its wheels."""
        about = f"__version__ = '{version}+{label}'\ngit_version = 'abc'\n"
        files = {"torchvision/__init__.py": "", "torchvision/version.py": about}
        return self.install("torchvision", version, files=files, requires=(f"torch (=={torch})",))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
