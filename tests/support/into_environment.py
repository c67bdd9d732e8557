"""A venv of a user's, of small real wheels that real uv installed, and the profile's newer ones beside it.

As a program it changes the venv: `python -m tests.support.into_environment ROOT ENV WHEELS [GO]`. With GO it makes
ROOT/planned when it has its plan, and waits for the file GO before it changes anything.
"""

from __future__ import annotations

import hashlib
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from provision.actions import into_verify
from provision.actions.context import Context
from provision.actions.into import apply_into
from provision.actions.package_policy import ANY_AGE, build_policy
from provision.actions.plan import NetworkSupply, Request
from provision.cli.main import _terminate
from provision.errors import ProvisionError
from provision.model.into import IntoPlan
from provision.model.smoke import SmokeResult, Verdict
from provision.system.uv import find_uv
from tests.support.reports import Recorder
from tests.support.smoke_results import build_result
from tests.support.wheels import build_wheel

REPOSITORY = Path(__file__).parents[2]
PYTHON = Path(getattr(sys, "_base_executable", sys.executable))
# What the worker's importer reads of torch.
TORCH = """import types
__version__ = "{version}"
version = types.SimpleNamespace(cuda={cuda!r}, hip=None)
_C = types.SimpleNamespace()
"""
DIRECT_URL = '{"url": "https://wheels.test/torch-2.7.0-py3-none-any.whl", "archive_info": {}}'
OLD = (
    *("torch==2.7.0", "transformers==4.51.3", "flash-attn", "nvidia-cublas-cu12", "torchaudio"),
    *("pillow==11.0.0", "einops", "foreign"),
)


def build_wheels(folder: Path) -> Path:
    """What is installed before, and what profile cpu pins."""
    old = TORCH.format(version="2.7.0+cu126", cuda="12.6")
    new = TORCH.format(version="2.13.0+cpu", cuda=None)
    build_wheel(folder, "torch", "2.7.0", requires=("nvidia-cublas-cu12==12.6.4.1",), source=old)
    build_wheel(folder, "nvidia_cublas_cu12", "12.6.4.1", source="#" * 2_000_000)
    build_wheel(folder, "transformers", "4.51.3", requires=("pillow",))
    build_wheel(folder, "flash_attn", "2.7.3", requires=("torch", "einops"))
    build_wheel(folder, "torchaudio", "2.7.0", requires=("torch==2.7.0",))
    build_wheel(folder, "pillow", "11.0.0")
    build_wheel(folder, "einops", "0.8.0")
    build_wheel(folder, "foreign", "1.0", requires=("pillow<12", "einops"))
    build_wheel(folder, "torch", "2.13.0+cpu", source=new)
    build_wheel(folder, "transformers", "5.22.2", requires=("pillow", "added_one"))
    build_wheel(folder, "accelerate", "1.15.0", requires=("torch",))
    build_wheel(folder, "added_one", "1.0")
    build_wheel(folder, "pillow", "13.0.0")
    return folder


def make_environment(prefix: Path, wheels: Path, *packages: str) -> Path:
    """A venv with the old wheels, compiled modules, an edited file and a link."""
    uv, python = str(find_uv()), str(prefix / "bin" / "python")
    run([uv, "venv", "--quiet", "--python", str(PYTHON), str(prefix)], prefix)
    install = [uv, "pip", "install", "--quiet", "--no-index", "--find-links", str(wheels), "--no-deps"]
    run([*install, "--python", python, *OLD, *packages], prefix)
    run([python, "-I", "-c", "import torch, transformers, foreign"], prefix)
    site = find_site(prefix)
    edited = site / "transformers" / "__init__.py"
    edited.write_text("# edited by its owner\n", encoding="ascii")
    (site / "torch" / "notes.txt").write_text("not in any RECORD\n", encoding="ascii")
    (site / "torch-2.7.0.dist-info" / "direct_url.json").write_text(DIRECT_URL, encoding="ascii")
    (site / "torch" / "__init__.py").chmod(0o600)
    (site / "einops" / "latest.py").symlink_to("__init__.py")
    return prefix


def run(argv: Sequence[str], prefix: Path) -> None:
    """Run a program with uv's cache beside the venv."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(prefix.parent),
        "UV_CACHE_DIR": str(prefix.parent / "cache"),
    }
    subprocess.run(argv, check=True, capture_output=True, env=env)


def find_site(prefix: Path) -> Path:
    """Its site-packages."""
    return next(prefix.glob("lib/python3*/site-packages"))


def read_state(prefix: Path) -> dict[str, tuple[object, ...]]:
    """Everything below a folder: hashes, modes and times of files, targets of links, modes of folders."""
    state: dict[str, tuple[object, ...]] = {}
    for path in sorted(prefix.rglob("*")):
        found = path.lstat()
        name = path.relative_to(prefix).as_posix()
        if stat.S_ISLNK(found.st_mode):
            state[name] = ("link", str(path.readlink()))
        elif stat.S_ISDIR(found.st_mode):
            state[name] = ("folder", found.st_mode)
        else:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            state[name] = (digest, found.st_mode, found.st_mtime_ns)
    return state


def make_context(root: Path, wheels: Path, **env: str) -> Context:
    """The tool in an application's folder, with the wheels as its only source; uv's cache lies beside it."""
    cache = {"UV_CACHE_DIR": str(root.parent / "cache"), "XDG_CACHE_HOME": str(root.parent / "cache-home")}
    sources = {"PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1", "PROVISION_GPU_VENDOR": "none"}
    return Context(
        root=root,
        env={"PATH": os.environ["PATH"], "HOME": str(root.parent)} | cache | sources | env,
        now=lambda: datetime(2026, 11, 21, 12, tzinfo=UTC),
        random=Random(0),
        reporter=Recorder(),
        python=PYTHON,
        data_dir=REPOSITORY,
    )


def make_request(ctx: Context, *models: str) -> Request:
    """Profile cpu; folders of wheels tell no dates."""
    return Request(profile="cpu", models=models, supply=NetworkSupply(policy=build_policy(ctx, ANY_AGE)))


def make_result(model: str, verdict: Verdict, reason: str) -> SmokeResult:
    """What a smoke of one model would answer."""
    return build_result(model, stack="into", verdict=verdict, reason=reason, torch="2.13.0+cpu")


def answer_smoke(
    verdict: Verdict, reason: str = "read every character"
) -> Callable[..., tuple[SmokeResult, ...]]:
    """Stands for `smoke_stack`: these environments hold no torch that could compute."""

    def smoke(_ctx: Context, _profile: Any, _stack: str, _python: Path, subjects: Sequence[Any]) -> Any:
        return tuple(make_result(subject.key, verdict, reason) for subject in subjects)

    return smoke


def main() -> None:
    """Change the venv, as a process that can be killed or asked to end; its smoke takes a second."""
    root, environment, wheels = (Path(argument) for argument in sys.argv[1:4])
    go = Path(sys.argv[4]) if len(sys.argv) > 4 else None

    def agree(_plan: IntoPlan) -> None:
        (root / "planned").touch()
        while go is not None and not go.exists():
            time.sleep(0.0005)

    def smoke(*arguments: Any) -> Any:
        time.sleep(1)
        return answer_smoke(Verdict.PASS)(*arguments)

    into_verify.smoke_stack = smoke
    signal.signal(signal.SIGTERM, _terminate)
    ctx = make_context(root, wheels)
    try:
        apply_into(ctx, make_request(ctx), environment, agree=agree)
    except ProvisionError as error:
        print(error.message, file=sys.stderr)
        sys.exit(int(error.exit_code))


if __name__ == "__main__":
    main()
