"""Asks services of advisories through uv (OSV) and pip-audit (PyPI), which run as programs of their own.

uv comes with this tool and asks OSV one question for all packages: 0.02 s, where pip-audit takes 1 s to start and one
question a package, and adds 18 MB. Both are needed: networks that let through a package index alone serve PyPI's own
advisories, which only pip-audit asks for. `uv audit` wants a project, so it is given one whose lock names the packages.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from provision.errors import ToolError
from provision.model.audit import ServiceAnswer
from provision.model.packages import PackageSettings
from provision.system.run import Completed, run
from provision.system.uv_sources import tell_connection

OSV = "OSV"
PYPI = "PyPI"
_OSV_LIMIT_S = 120.0
_PYPI_LIMIT_S = 600.0
_FOUND = (0, 1)  # nothing known; something known
_LOGIN = re.compile(r"://[^/\s@]{1,500}@")
_ADDRESS = re.compile(r" for url \([^)\s]{1,2000}\)")
# Of uv's variables those that say how to reach the network; a user's project settings are not for ours.
_KEPT_UV = {"UV_HTTP_TIMEOUT", "UV_SYSTEM_CERTS", "UV_NATIVE_TLS", "UV_INSECURE_HOST", "UV_OFFLINE"}


def ask_osv(
    uv: Path,
    packages: Mapping[str, str],
    *,
    env: Mapping[str, str],
    settings: PackageSettings,
    service_url: str | None = None,
) -> ServiceAnswer:
    """What OSV, or the service at `service_url` that speaks its protocol, knows of `packages`.

    Every failure is a value: a uv without `audit`, a service that does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="provision-audit-") as folder:
        work = Path(folder)
        (work / "pyproject.toml").write_text(_render_project(packages), encoding="utf-8")
        (work / "uv.lock").write_text(_render_uv_lock(packages), encoding="utf-8")
        argv = [str(uv), "audit", "--frozen", "--no-config", "--output-format", "json"]
        argv += ["--preview-features", "audit-command,json-output"]
        argv += ["--service-url", service_url] if service_url else []
        return _ask(OSV, argv, _build_env(env, settings), work, _OSV_LIMIT_S)


def ask_pypi(
    packages: Mapping[str, str],
    *,
    env: Mapping[str, str],
    settings: PackageSettings,
    service_url: str | None = None,
) -> ServiceAnswer:
    """What PyPI knows of `packages`, or with `service_url` the OSV service there. Needs pip-audit installed."""
    if importlib.util.find_spec("pip_audit") is None:
        return ServiceAnswer(service=PYPI, reason="PyPI: pip-audit, which asks it, is not installed")
    with tempfile.TemporaryDirectory(prefix="provision-audit-") as folder:
        work = Path(folder)
        lines = "".join(f"{name}=={version}\n" for name, version in packages.items())
        (work / "requirements.txt").write_text(lines, encoding="utf-8")
        argv = [sys.executable, "-m", "pip_audit", "--requirement", "requirements.txt"]
        argv += ["--disable-pip", "--no-deps", "--format", "json", "--progress-spinner", "off"]
        argv += ["--cache-dir", str(work / "cache"), "--timeout", "10"]
        argv += ["--vulnerability-service", "osv" if service_url else "pypi"]
        argv += ["--osv-url", f"{service_url.rstrip('/')}/v1/query"] if service_url else []
        return _ask(OSV if service_url else PYPI, argv, _build_env(env, settings), work, _PYPI_LIMIT_S)


def _ask(service: str, argv: list[str], env: Mapping[str, str], cwd: Path, limit_s: float) -> ServiceAnswer:
    try:
        done = run(argv, timeout_s=limit_s, env=env, cwd=cwd)
    except ToolError as error:
        return ServiceAnswer(service=service, reason=f"{service}: {error.message}")
    if done.exit_code in _FOUND and done.stdout.strip():
        return ServiceAnswer(service=service, text=done.stdout)
    return ServiceAnswer(service=service, reason=f"{service}: {_find_reason(done, limit_s)}")


def _find_reason(done: Completed, limit_s: float) -> str:
    """uv's error with its deepest cause, or the last line of a traceback; without addresses and logins."""
    if done.timed_out:
        return f"no answer within {limit_s:.0f} s"
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    causes = [line.removeprefix("cause: ") for line in lines if line.startswith("cause: ")]
    said = [errors[0], *causes[-1:]] if errors else lines[-1:]
    words = ": ".join(said) or f"the program that asks ended with {done.exit_code}"
    return _LOGIN.sub("://", _ADDRESS.sub("", words))


def _build_env(env: Mapping[str, str], settings: PackageSettings) -> dict[str, str]:
    """The user's environment, with pip's certificate and proxy in the words of uv and of requests."""
    kept = {
        key: value
        for key, value in env.items()
        if not key.startswith(("UV_", "PIP_", "PYTHON")) or key in _KEPT_UV
    }
    kept.pop("VIRTUAL_ENV", None)
    if settings.certificate:
        kept.setdefault("REQUESTS_CA_BUNDLE", settings.certificate)
    kept = tell_connection(kept, settings)
    return {"UV_HTTP_TIMEOUT": "10"} | kept | {"UV_HTTP_RETRIES": "1", "NO_COLOR": "1"}


def _render_project(packages: Mapping[str, str]) -> str:
    needs = "".join(f"  {json.dumps(f'{name}=={version}')},\n" for name, version in packages.items())
    head = '[project]\nname = "provision-audited-stack"\nversion = "0"\nrequires-python = ">=3.11"\n'
    return f"{head}dependencies = [\n{needs}]\n"


def _render_uv_lock(packages: Mapping[str, str]) -> str:
    """A lock that names the packages and no place to get them: nothing is fetched, and no index is asked.

    https://docs.astral.sh/uv/concepts/projects/layout/#the-lockfile
    """
    parts = ['version = 1\nrevision = 3\nrequires-python = ">=3.11"\n']
    for name, version in packages.items():
        parts.append(
            f"[[package]]\nname = {json.dumps(name)}\nversion = {json.dumps(version)}\n"
            'source = { registry = "." }\n'
        )
    needs = "".join(f"  {{ name = {json.dumps(name)} }},\n" for name in packages)
    parts.append(
        '[[package]]\nname = "provision-audited-stack"\nversion = "0"\nsource = { virtual = "." }\n'
        f"dependencies = [\n{needs}]\n"
    )
    return "\n".join(parts)
