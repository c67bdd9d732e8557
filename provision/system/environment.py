"""Looks into a Python environment by reading its files; starts no python."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from provision.model.environment import (
    EnvironmentKind,
    EnvironmentReport,
    InstalledDistribution,
    Overwrite,
    Shadow,
)
from provision.system.environment_layout import (
    find_base_sites,
    find_kind,
    find_user_site,
    inspect_interpreter,
    list_names,
    list_site_dirs,
    load_path_files,
)
from provision.system.installed import Found, list_leftovers, load_distributions
from provision.system.stack_folder import load_manifest
from provision.system.torch_files import find_library_folders, inspect_torch, is_cuda_library, load_build


def inspect_environment(
    prefix: Path,
    *,
    verify_files: bool = False,
    env: Mapping[str, str] | None = None,
    front_dirs: Sequence[Path] = (),
) -> EnvironmentReport:
    """What the environment at `prefix` holds: a venv, a conda prefix or any other. Never raises for what it finds.

    Every listed file's size is compared, with `verify_files` its hash too, which reads all of it. `env` is the
    user's environment, for PYTHONPATH, LD_LIBRARY_PATH and the user's own site-packages. `front_dirs` are
    folders that programs are started in: what lies there is imported first.
    """
    env = env or {}
    kind = find_kind(prefix)
    if kind is EnvironmentKind.NONE:
        problem = "it is no Python environment" if prefix.is_dir() else "there is no such folder"
        return EnvironmentReport(prefix=str(prefix), kind=kind, problem=problem)
    interpreter = inspect_interpreter(prefix, kind)
    own = list_site_dirs(prefix)
    found = [item for site in own for item in load_distributions(site, check_files=True, verify=verify_files)]
    path_files = [file for site in own for file in load_path_files(site)]
    added = [Path(folder) for file in path_files for folder in file.folders]
    further = [site for site in (*added, *find_base_sites(interpreter)) if site not in own]
    user_site = find_user_site(env, kind, interpreter)
    outside = [item for site in further for item in load_distributions(site, check_files=False, verify=False)]
    named = [Path(part) for part in env.get("PYTHONPATH", "").split(os.pathsep) if part]
    fronts = [*front_dirs, *named, *([user_site] if user_site else [])]
    return EnvironmentReport(
        prefix=str(prefix),
        kind=kind,
        interpreter=interpreter,
        site_dirs=tuple(str(site) for site in (*own, *further)),
        distributions=tuple(_add_build(item) for item in (*found, *outside)),
        leftovers=tuple(
            str((site / name).relative_to(prefix)) for site in own for name in list_leftovers(site)
        ),
        overwrites=_find_overwrites(found),
        shadows=_find_shadows(found, fronts),
        path_files=tuple(path_files),
        user_site_dir=str(user_site) if user_site else None,
        user_site_packages=_name_packages(user_site) if user_site else (),
        torch=inspect_torch([*own, *further]),
        libraries=_list_libraries(found),
        library_folders=tuple(find_library_folders(env, prefix)),
        managed=load_manifest(prefix) is not None,
        files=sum(len(item.rows) for item in found),
        verified=verify_files,
    )


def _add_build(found: Found) -> InstalledDistribution:
    build = load_build(found.distribution, (row.path for row in found.rows))
    return replace(found.distribution, build=build) if build else found.distribution


def _name_packages(site: Path) -> tuple[str, ...]:
    installed = load_distributions(site, check_files=False, verify=False)
    return tuple(item.distribution.name for item in installed)


def _list_libraries(found: Iterable[Found]) -> tuple[str, ...]:
    """CUDA libraries that wheels bring: those of NVIDIA's own packages, and torch's copies of them."""
    names = {
        row.path.rpartition("/")[2]
        for item in found
        if item.distribution.name == "torch" or item.distribution.name.startswith("nvidia-")
        for row in item.rows
        if row.path.startswith(("torch/lib/", "nvidia/"))
    }
    return tuple(sorted(name for name in names if is_cuda_library(name)))


def _find_overwrites(found: Sequence[Found]) -> tuple[Overwrite, ...]:
    """Pairs of distributions of one folder that list the same file with different content."""
    owners: dict[tuple[str, str], tuple[str, str]] = {}
    counts: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], str] = {}
    for item in found:
        name, site = item.distribution.name, item.distribution.site_dir
        for row in item.rows:
            if not row.digest:
                continue
            owner, digest = owners.setdefault((site, row.path), (name, row.digest))
            if owner != name and digest != row.digest:
                counts[owner, name] += 1
                first.setdefault((owner, name), row.path)
    return tuple(Overwrite(names=names, path=first[names], count=count) for names, count in counts.items())


def _find_shadows(found: Sequence[Found], fronts: Iterable[Path]) -> tuple[Shadow, ...]:
    """Installed modules that a folder in front of site-packages has too; namespace packages do not count."""
    own = {item.distribution.site_dir for item in found}
    candidates = {
        path: path.name.removesuffix(".py")
        for folder in fronts
        if str(folder) not in own
        for name in list_names(folder)
        if (path := folder / name).suffix == ".py" or (path / "__init__.py").is_file()
    }
    if not candidates:
        return ()
    modules = {
        row.path.removesuffix(".py").removesuffix("/__init__"): item.distribution.name
        for item in found
        for row in item.rows
        if row.path.endswith(".py") and row.path.count("/") == row.path.endswith("/__init__.py")
    }
    return tuple(
        Shadow(name=modules[module], path=str(path))
        for path, module in candidates.items()
        if module in modules
    )
