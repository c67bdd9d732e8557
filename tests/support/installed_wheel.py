"""A wheel made again from what is installed in an environment, so that a test needs no download."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

_NOT_IN_A_WHEEL = {"INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}


def pack_installed(site: Path, name: str, folder: Path, *, tag: str = "py3-none-any") -> Path:
    """The distribution `name` of the site-packages folder `site`, as its RECORD lists it, without scripts and
    compiled files. RECORD is copied as it is: `repack_wheel` writes a right one.
    """
    [info] = site.glob(f"{name}-*.dist-info")
    rows = csv.reader((info / "RECORD").read_text(encoding="utf-8").splitlines())
    files = [path for path, *_ in rows if not path.startswith("..") and not path.endswith(".pyc")]
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{info.name.removesuffix('.dist-info')}-{tag}.whl"
    with zipfile.ZipFile(target, "w") as archive:
        for path in files:
            if Path(path).name not in _NOT_IN_A_WHEEL:
                archive.write(site / path, path)
    return target
