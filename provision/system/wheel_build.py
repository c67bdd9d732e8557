"""Builds a wheel of a source folder with `uv build`, which fetches what building needs from the user's sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from provision.model.packages import PackageSettings
from provision.system.run import run
from provision.system.uv_sources import combine, name_indexes, tell_connection

_BUILD_LIMIT_S = 300.0
# Of uv's variables those that say where its cache is and how to reach the network. The sources are among the
# settings, and what would bend the choice of a build backend is not the user's project's to say here.
_KEPT_UV = {
    *("UV_CACHE_DIR", "UV_NO_CACHE", "UV_LINK_MODE", "UV_KEYRING_PROVIDER", "UV_OFFLINE"),
    *("UV_HTTP_TIMEOUT", "UV_HTTP_RETRIES", "UV_SYSTEM_CERTS", "UV_NATIVE_TLS", "UV_INSECURE_HOST"),
}


class Built(Struct, frozen=True, kw_only=True):
    """What came of it: the wheel, None where there is none, and what uv said."""

    path: Path | None
    output: str


def build_wheel(
    uv: Path,
    source_dir: Path,
    out_dir: Path,
    *,
    python: Path,
    env: Mapping[str, str],
    settings: PackageSettings,
    exclude_newer: str | None = None,
    any_age: Iterable[str] = (),
) -> Built:
    """A wheel of `source_dir` in the empty folder `out_dir`; a failure is a value. Raises ToolError without uv.

    Of what building needs nothing is taken that was uploaded after `exclude_newer`, an ISO date and time, but of
    the packages `any_age`. Indexes are named in variables: an argument, and a login in it, is for all to read.
    """
    # Not `--quiet`: that would hide which files have no date.
    argv = [str(uv), "build", "--wheel", "--no-config", "--python", str(python)]
    if exclude_newer is not None:
        argv += ["--exclude-newer", exclude_newer]
        argv += [f"--exclude-newer-package={name}=false" for name in sorted(set(any_age))]
    argv += combine(settings.sources, no_index=settings.no_index)
    argv += ["--out-dir", str(out_dir), str(source_dir)]
    done = run(argv, timeout_s=_BUILD_LIMIT_S, env=build_env(env, settings), cwd=out_dir)
    return Built(path=next(out_dir.glob("*.whl"), None), output=done.stderr)


def build_env(env: Mapping[str, str], settings: PackageSettings) -> dict[str, str]:
    """The user's environment with the sources, pip's certificate, proxy and time limit in uv's words."""
    told = {key: value for key, value in env.items() if not key.startswith("UV_") or key in _KEPT_UV}
    told.pop("VIRTUAL_ENV", None)
    told = tell_connection(told, settings)
    told |= name_indexes(settings.sources, no_index=settings.no_index)
    return told | {"UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}
