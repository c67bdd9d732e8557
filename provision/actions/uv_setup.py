"""uv with what the user's pip configuration names, for one run of ours."""

from __future__ import annotations

from pathlib import Path

from provision.actions.context import Context
from provision.core.pip_settings import parse_package_settings
from provision.core.targets import Target
from provision.model.packages import PackageSettings
from provision.system.pip_files import load_pip_files
from provision.system.uv import Uv, find_uv


def load_package_settings(ctx: Context) -> PackageSettings:
    """What the user's pip configuration and environment name."""
    return parse_package_settings(load_pip_files(ctx.env), ctx.env, base=str(Path.cwd()))


def build_uv(ctx: Context, settings: PackageSettings, folder: Path, target: Target | None = None) -> Uv:
    """uv as this run uses it. `folder` lies outside any project, so that none's settings are read."""
    asked = None if target is None else (target.uv_platform, target.python)
    return Uv(binary=find_uv(), env=ctx.env, settings=settings, cwd=folder, target=asked)
