"""Which paths of an environment a change may touch, read from the RECORDs of what goes and what comes."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from provision.errors import UsageError
from provision.model.into import Scope
from provision.system.environment_layout import list_names, list_site_dirs
from provision.system.installed import load_distributions

BYTECODE_DIR = "__pycache__"
# uv locks a venv by this file, and makes it where it is missing.
UV_LOCK = ".lock"
MARKER = ".provision-into.json"


def find_scope(
    prefix: Path, *, outgoing: Collection[str], stage: Path, site_dirs: Sequence[Path], scripts_dir: Path
) -> Scope:
    """The scope of removing the distributions `outgoing` and installing what the environment `stage` holds.

    `site_dirs` are where the environment's python installs to. Raises UsageError when a folder that would be
    changed is a link out of the environment.
    """
    unlinked: set[str] = set()
    staying: set[str] = set()
    written: set[str] = set()
    info_dirs: set[str] = set()
    for site in list_site_dirs(prefix):
        for found in load_distributions(site, check_files=False, verify=False):
            rows = _name_all(prefix, site, (row.path for row in found.rows))
            if found.distribution.name not in outgoing:
                staying |= rows
            else:
                unlinked |= rows
                info_dirs |= _name_all(prefix, site, [found.distribution.info_name])
    for stage_site in list_site_dirs(stage):
        for found in load_distributions(stage_site, check_files=False, verify=False):
            for site in site_dirs:
                written |= _name_all(prefix, site, (row.path for row in found.rows))
                info_dirs |= _name_all(prefix, site, [found.distribution.info_name])
    shared = unlinked & staying
    unlinked |= _list_bytecode(prefix, unlinked) | {UV_LOCK}
    _check_links(prefix, unlinked | written)
    swept = {os.path.relpath(folder, prefix) for folder in (*list_site_dirs(prefix), scripts_dir)}
    return Scope(
        unlinked=frozenset(unlinked),
        written=frozenset(written),
        info_dirs=frozenset(info_dirs),
        swept_dirs=tuple(sorted(swept)),
        shared=frozenset(shared),
    )


def _name_all(prefix: Path, site: Path, paths: Iterable[str]) -> set[str]:
    """Paths that are relative to site-packages, `../../../bin/tqdm` among them, relative to the prefix.

    Lexically, since the last part may be a link, and not through `Path`: there are ten thousands.
    """
    base = os.path.relpath(site, prefix)
    return {os.path.normpath(f"{base}/{path}").replace(os.sep, "/") for path in paths}


def _list_bytecode(prefix: Path, paths: Iterable[str]) -> set[str]:
    """Compiled modules, which no RECORD of uv's lists.

    uv removes the bytecode of every folder that it took a file from, and of those above that this left empty:
    https://github.com/astral-sh/uv/blob/main/crates/uv-install-wheel/src/uninstall.rs
    """
    folders: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    caches = [f"{folder}/{BYTECODE_DIR}" for folder in folders]
    return {f"{cache}/{name}" for cache in caches for name in list_names(prefix / cache)}


def _check_links(prefix: Path, paths: Iterable[str]) -> None:
    root = os.path.realpath(prefix)
    for folder in sorted({path.rpartition("/")[0] for path in paths}):
        real = os.path.realpath(prefix / folder)
        if real != root and not real.startswith(root + os.sep):
            raise UsageError(
                f"{prefix / folder} leads out of the environment, to {real}: what lies there is not changed",
                hint=f"ls -l {prefix / folder}",
            )


def find_read_only(prefix: Path, paths: Iterable[str]) -> str | None:
    """The first folder in which a change would need to write and must not; None when there is none."""
    folders = {path.rpartition("/")[0] for path in paths}
    for folder in sorted(folders, key=lambda name: (name.count("/"), name)):
        place = prefix / folder
        if place.is_dir() and not os.access(place, os.W_OK | os.X_OK):
            return str(place)
    return None
