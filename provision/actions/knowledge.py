"""Loads what ships as data: profiles, torch builds, the catalogue of models."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from msgspec import Struct
from packaging.version import InvalidVersion, Version

from provision.actions.context import Context
from provision.core.architecture import GpuNames
from provision.core.drivers import attach_drivers
from provision.core.profiles import order_profiles
from provision.core.yaml_text import convert, parse_yaml
from provision.errors import BadFileError
from provision.model.catalogue import Catalogue
from provision.model.environment import KnownPairs
from provision.model.flash_attention import FlashKnowledge
from provision.model.profile import DriverTable, Profile, TorchBuild, TorchBuilds
from provision.system.resources import load_profile_texts, load_text

_T = TypeVar("_T")


class Knowledge(Struct, frozen=True, kw_only=True):
    """Profiles, those for GPUs first, and the torch builds that they name, with the drivers of their CUDA."""

    profiles: tuple[Profile, ...]
    builds: dict[str, TorchBuild]

    def get_profile(self, name: str) -> Profile:
        """The profile called `name`, which must exist."""
        return next(profile for profile in self.profiles if profile.name == name)


def load_knowledge(ctx: Context) -> Knowledge:
    """Read and check every profile. One of the user's replaces ours of the same name.

    Raises BadFileError with file, key path and reason.
    """
    by_name = _load_builds(ctx.data_dir / "profiles")
    texts = load_profile_texts(ctx.data_dir / "profiles")
    if ctx.profiles_dir is not None:
        texts += load_profile_texts(ctx.profiles_dir)
    profiles: dict[str, Profile] = {}
    for path, text in texts:
        profile = _load(path, text, Profile)
        _check_profile(path, profile, by_name)
        profiles[profile.name] = profile
    return Knowledge(profiles=order_profiles(profiles.values()), builds=by_name)


def load_catalogue(ctx: Context) -> Catalogue:
    """Read and check the catalogue of models. Raises BadFileError with file, key path and reason."""
    path = ctx.data_dir / "profiles" / "models.yaml"
    return _load(path, load_text(path), Catalogue)


def load_known_pairs(ctx: Context) -> KnownPairs:
    """Which versions belong together, and which are known not to."""
    path = ctx.data_dir / "profiles" / "bad_pairs.yaml"
    return _load(path, load_text(path), KnownPairs)


def load_flash_knowledge(ctx: Context) -> FlashKnowledge:
    """What is known of flash-attn: its wheels, the architectures in them, the Hub's kernels."""
    path = ctx.data_dir / "profiles" / "flash_attn.yaml"
    return _load(path, load_text(path), FlashKnowledge)


def load_gpu_names(ctx: Context) -> GpuNames:
    """The rules by which a name or a PCI id tells the architecture."""
    path = ctx.data_dir / "profiles" / "gpus.yaml"
    return _load(path, load_text(path), GpuNames)


def _load_builds(folder: Path) -> dict[str, TorchBuild]:
    torch_path, drivers_path = folder / "torch.yaml", folder / "drivers.yaml"
    builds = _load(torch_path, load_text(torch_path), TorchBuilds).builds
    table = _load(drivers_path, load_text(drivers_path), DriverTable)
    for build in builds:
        if build.cuda is not None and build.cuda not in {row.cuda for row in table.cuda}:
            raise BadFileError(
                f"{torch_path}: build {build.name}: cuda: {drivers_path.name} has no drivers for {build.cuda}",
                hint=f"known: {', '.join(row.cuda for row in table.cuda)}",
            )
    return {build.name: build for build in attach_drivers(builds, table)}


def _load(path: Path, text: str, kind: type[_T]) -> _T:
    return convert(parse_yaml(text, where=str(path)), kind, where=str(path))


def _check_profile(path: Path, profile: Profile, builds: dict[str, TorchBuild]) -> None:
    if profile.torch not in builds:
        raise BadFileError(
            f"{path}: torch: there is no build {profile.torch!r} in torch.yaml",
            hint=f"known: {', '.join(builds)}",
        )
    for package, version in profile.packages.items():
        try:
            Version(version)
        except InvalidVersion as error:
            raise BadFileError(
                f"{path}: packages.{package}: {version!r} is no version", hint=f'{package}: "1.2.3"'
            ) from error
    if "transformers" not in profile.packages:
        raise BadFileError(f"{path}: packages: transformers is not pinned", hint='transformers: "5.22.2"')
    if profile.name != path.stem:
        raise BadFileError(
            f"{path}: name: {profile.name!r} must be the file's own name", hint=f"name: {path.stem}"
        )
