"""NVIDIA driver versions, and the drivers that belong to a torch build by its CUDA version."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace
from packaging.version import InvalidVersion, Version

from provision.model.facts import Gpu
from provision.model.profile import DriverTable, TorchBuild

# Jetson's drivers are numbered apart: 540.4.0 with JetPack 6, 580.00 with JetPack 7. Only their branch compares.
_JETSON = frozenset({"5.3", "6.2", "7.2", "8.7", "11.0"})


def attach_drivers(builds: Iterable[TorchBuild], table: DriverTable) -> tuple[TorchBuild, ...]:
    """The builds with the drivers of their CUDA version; None for builds without CUDA, or unknown to the table."""
    by_cuda = {row.cuda: row for row in table.cuda}
    return tuple(replace(build, drivers=by_cuda.get(build.cuda or "")) for build in builds)


def parse_driver_version(text: str | None) -> Version | None:
    """A version in NVIDIA's own form, 580.95.05 or 591.86; None for anything else.

    Windows' form, 32.0.15.7602, has four parts and orders differently.
    """
    try:
        version = Version(text or "")
    except InvalidVersion:
        return None
    return version if len(version.release) <= 3 else None


def is_older(driver: Version, minimum: str, gpu: Gpu) -> bool:
    """Does the driver of `gpu` come before `minimum`? On a Jetson by its branch alone."""
    needed = Version(minimum)
    if gpu.best_compute_capability in _JETSON:
        return driver.major < needed.major
    return driver < needed
