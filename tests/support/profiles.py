"""The profiles and builds that ship, loaded as the tool does."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from provision.core.drivers import attach_drivers
from provision.core.profiles import order_profiles
from provision.core.yaml_text import convert, parse_yaml
from provision.model.profile import DriverTable, Profile, TorchBuild, TorchBuilds
from provision.system.resources import load_profile_texts

FOLDER = Path(__file__).parents[2] / "profiles"
_T = TypeVar("_T")


def load_data(name: str, kind: type[_T]) -> _T:
    path = FOLDER / f"{name}.yaml"
    return convert(parse_yaml(path.read_text("utf-8"), where=name), kind, where=name)


DRIVERS = load_data("drivers", DriverTable)
BUILDS: dict[str, TorchBuild] = {
    build.name: build for build in attach_drivers(load_data("torch", TorchBuilds).builds, DRIVERS)
}
PROFILES: tuple[Profile, ...] = order_profiles(
    load_data(path.stem, Profile) for path, _ in load_profile_texts(FOLDER)
)
