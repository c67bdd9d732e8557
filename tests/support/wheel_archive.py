"""Wheels as bytes: tiny ones of given modules, and real ones in which a file and the version are changed."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # so that the same content gives the same bytes


def pack_wheel(
    name: str,
    version: str,
    modules: Mapping[str, str],
    *,
    requires: tuple[str, ...] = (),
    requires_python: str | None = None,
    entry_points: str = "",
    tag: str = "py3-none-any",
) -> tuple[str, bytes]:
    """File name and bytes of a wheel with `modules` (text by path); the same input gives the same bytes."""
    info = f"{name}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    metadata += [f"Requires-Python: {requires_python}"] if requires_python else []
    metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
    files = {**modules, f"{info}/METADATA": "\n".join(metadata) + "\n"}
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n"
    if entry_points:
        files[f"{info}/entry_points.txt"] = entry_points
    encoded = {path: text.encode() for path, text in files.items()}
    return f"{name}-{version}-{tag}.whl", _pack(encoded, f"{info}/RECORD")


def repack_wheel(source: Path, folder: Path, *, version: str, changes: Mapping[str, bytes]) -> Path:
    """A copy of `source` in `folder` that says to be `version` and whose files `changes` (by path) replace.

    RECORD is written anew for all files. A changed path that the wheel does not have is a mistake: KeyError.
    """
    name, former, tag = source.name.removesuffix(".whl").split("-", maxsplit=2)
    with zipfile.ZipFile(source) as archive:
        files = {item: archive.read(item) for item in archive.namelist() if not item.endswith("/")}
    for path, content in changes.items():
        if path not in files:
            raise KeyError(path)
        files[path] = content
    old_info, info = f"{name}-{former}.dist-info", f"{name}-{version}.dist-info"
    del files[f"{old_info}/RECORD"]
    files = {
        info + path.removeprefix(old_info) if path.startswith(f"{old_info}/") else path: content
        for path, content in files.items()
    }
    header = f"\nVersion: {former}\n".encode()
    files[f"{info}/METADATA"] = files[f"{info}/METADATA"].replace(
        header, f"\nVersion: {version}\n".encode(), 1
    )
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}-{version}-{tag}.whl"
    target.write_bytes(_pack(files, f"{info}/RECORD"))
    return target


def _pack(files: Mapping[str, bytes], record_path: str) -> bytes:
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            writer.writerow((path, f"sha256={digest}", len(content)))
            archive.writestr(zipfile.ZipInfo(path, _LONG_AGO), content, zipfile.ZIP_DEFLATED)
        writer.writerow((record_path, "", ""))
        archive.writestr(zipfile.ZipInfo(record_path, _LONG_AGO), rows.getvalue(), zipfile.ZIP_DEFLATED)
    return data.getvalue()
