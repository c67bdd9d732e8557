"""A small bundle: two wheels that are none, a lock, and a model of two files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from msgspec.structs import replace

from provision.core.bundle import render_manifest
from provision.model.bundle import (
    BundledModel,
    BundledStack,
    BundledWheel,
    BundleManifest,
    BundleTarget,
    Member,
)
from provision.system.bundle_writer import write_bundle

WHEELS = {
    "torch": ("2.13.0", "wheels/torch-2.13.0-py3-none-any.whl", b"torch" * 300),
    "numpy": ("2.4.6", "wheels/numpy-2.4.6-py3-none-any.whl", b""),
}
WEIGHTS = {"weights/tiny/config.json": b"{}", "weights/tiny/model.safetensors": bytes(range(256)) * 10}


def hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def render_lock() -> str:
    return "".join(
        f"{name}=={version} \\\n    --hash=sha256:{hash_of(data)}\n"
        for name, (version, _, data) in sorted(WHEELS.items())
    )


def build_contents() -> dict[str, bytes]:
    """The content of each member by its name, in the archive's order."""
    wheels = {member: data for _, member, data in WHEELS.values()}
    return {"README.txt": b"read me\n", "locks/main.txt": render_lock().encode()} | WEIGHTS | wheels


def build_manifest(**changes: object) -> BundleManifest:
    """The list of the small bundle, with changes."""
    contents = build_contents()
    stack = BundledStack(
        name="main",
        models=("tiny",),
        requirements=("numpy",),
        torchvision_needed=False,
        torch="2.13.0",
        torchvision=None,
        tag="cpu",
        lock_sha256=hash_of(contents["locks/main.txt"]),
        wheels=tuple(
            BundledWheel(name=name, version=version, member=member)
            for name, (version, member, _) in WHEELS.items()
        ),
    )
    manifest = BundleManifest(
        provision="0.1.0",
        created="2026-11-21T12:00:00+00:00",
        target=BundleTarget(profile="cpu", platform="linux-x86_64", python="3.12"),
        models=("tiny",),
        stacks=(stack,),
        weights=(BundledModel(key="tiny", revision="a" * 40, repo_id="owner/tiny"),),
        members=tuple(
            Member(name=name, size_bytes=len(data), sha256=hash_of(data)) for name, data in contents.items()
        ),
    )
    return replace(manifest, **changes)


def write_small_bundle(path: Path, manifest: BundleManifest | None = None) -> tuple[bytes, BundleManifest]:
    """Write it, and give its list as bytes and as data."""
    manifest = manifest or build_manifest()
    head = render_manifest(manifest)
    contents = build_contents()
    write_bundle(path, head, [(item, contents[item.name]) for item in manifest.members], lambda _: None)
    return head, manifest
