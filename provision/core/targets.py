"""The machine that is planned for where it is not this one: its platform, its Python, the wheels that fit it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from provision.model.facts import Facts, Host

if TYPE_CHECKING:
    from packaging.tags import Tag

_ASSUMED_SYSTEM = "Linux"
_ASSUMED_MACHINE = "x86_64"
# uv's name of a platform, and its wheel tags, best first: https://docs.astral.sh/uv/reference/cli/#uv-pip-compile
# glibc 2.28 and macOS 14 are what wheels of torch 2.11 and newer ask for.
_PLATFORMS = {
    "linux-x86_64": (
        "x86_64-manylinux_2_28",
        ("manylinux_2_28_x86_64", "manylinux2014_x86_64", "linux_x86_64"),
    ),
    "linux-aarch64": (
        "aarch64-manylinux_2_28",
        ("manylinux_2_28_aarch64", "manylinux2014_aarch64", "linux_aarch64"),
    ),
    "windows-amd64": ("x86_64-pc-windows-msvc", ("win_amd64",)),
    "macos-arm64": (
        "aarch64-apple-darwin",
        ("macosx_14_0_arm64", "macosx_11_0_arm64", "macosx_11_0_universal2"),
    ),
}
# manylinux numbers between 2.17 and 2.28 are all older than 2.28, so wheels of each do.
_GLIBC_MINORS = range(28, 16, -1)


class Target(Struct, frozen=True, kw_only=True):
    """`platform` as in profiles, `linux-aarch64`; `python` as in 3.12; `uv_platform` is uv's word for it."""

    platform: str
    python: str
    uv_platform: str


def complete_host(facts: Facts, here: Host) -> tuple[Facts, tuple[str, ...]]:
    """Facts of another machine with what its text left open, and one sentence for each assumption."""
    host, assumed = facts.host, []
    if not host.system:
        assumed.append(f"the text does not name a system: {_ASSUMED_SYSTEM} is assumed")
        host = replace(host, system=_ASSUMED_SYSTEM)
    if not host.machine:
        machine = {"Windows": "AMD64", "Darwin": "arm64"}.get(host.system, _ASSUMED_MACHINE)
        assumed.append(f"the text does not name a processor: {machine} is assumed")
        host = replace(host, machine=machine)
    if not host.python_version:
        assumed.append(f"the text does not name a Python: {here.python_version} as here is assumed")
        host = replace(host, python_version=here.python_version)
    return replace(facts, host=host), tuple(assumed)


def choose_target(host: Host, here: Host) -> Target | None:
    """What to resolve for; None when `host` runs what this machine runs, or a platform that uv has no word for."""
    python = ".".join(host.python_version.split(".")[:2])
    same = host.platform == here.platform and here.python_version.startswith(f"{python}.")
    if same or host.platform not in _PLATFORMS:
        return None
    return Target(platform=host.platform, python=python, uv_platform=_PLATFORMS[host.platform][0])


def list_tags(target: Target) -> Iterator[Tag]:
    """The wheel tags that `target` takes, best first."""
    from packaging.tags import compatible_tags, cpython_tags

    major, minor = (int(part) for part in target.python.split("."))
    platforms = list(_list_platforms(target.platform))
    yield from cpython_tags((major, minor), platforms=platforms)
    yield from compatible_tags((major, minor), interpreter=f"cp{major}{minor}", platforms=platforms)


def _list_platforms(platform: str) -> Iterator[str]:
    names = _PLATFORMS[platform][1]
    if platform.startswith("linux-"):
        machine = platform.removeprefix("linux-")
        yield from (f"manylinux_2_{minor}_{machine}" for minor in _GLIBC_MINORS)
    yield from names
