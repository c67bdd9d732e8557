"""Stacks are built aside by real uv, complete only when the manifest says so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from provision.actions.build import build_stack, name_stack_dir
from provision.actions.lock_stack import ResolvedStack, resolve_stack
from provision.errors import DownloadError, ToolError
from provision.system.stack_folder import (
    LOCK_NAME,
    find_interpreter,
    load_manifest,
    save_manifest,
    take_inventory,
)
from provision.system.store import Store
from tests.support.reports import Recorder
from tests.support.sources import PLATFORM, SPEC, make_build, make_context, make_wheels
from tests.support.wheels import build_wheel


@pytest.fixture
def resolved(tmp_path: Path) -> ResolvedStack:
    wheels = make_wheels(tmp_path / "wheels", ("torch", "2.13.0+cpu"))
    ctx = make_context(tmp_path, {"PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1"})
    return resolve_stack(ctx, SPEC, make_build("cpu"), PLATFORM)


@pytest.fixture
def ctx_env(tmp_path: Path) -> dict[str, str]:
    return {"PIP_FIND_LINKS": str(tmp_path / "wheels"), "PIP_NO_INDEX": "1"}


def test_a_stack_holds_exactly_the_lock(
    tmp_path: Path, resolved: ResolvedStack, ctx_env: dict[str, str]
) -> None:
    store = Store(tmp_path)
    manifest = build_stack(make_context(tmp_path, ctx_env), store, resolved)
    folder = name_stack_dir(store, resolved)
    assert folder.name == f"main-{resolved.lock.sha256[:12]}"
    assert [(item.name, item.version) for item in manifest.packages] == [
        ("numpy", "2.4.6"),
        ("torch", "2.13.0+cpu"),
        ("transformers", "5.22.2"),
    ]
    assert (manifest.torch, manifest.torchvision, manifest.tag) == ("2.13.0+cpu", None, "cpu")
    assert (folder / LOCK_NAME).read_text() == resolved.lock.text
    assert load_manifest(folder) == manifest
    assert manifest.files == len([path for path in folder.rglob("lib/*/site-packages/*/*") if path.is_file()])


def test_a_complete_stack_is_kept(tmp_path: Path, resolved: ResolvedStack, ctx_env: dict[str, str]) -> None:
    store, ctx = Store(tmp_path), make_context(tmp_path, ctx_env)
    first = build_stack(ctx, store, resolved)
    marker = name_stack_dir(store, resolved) / "marker"
    marker.touch()
    assert build_stack(ctx, store, resolved) == first
    assert marker.exists()


def test_what_an_interrupted_build_left_is_built_again(
    tmp_path: Path, resolved: ResolvedStack, ctx_env: dict[str, str]
) -> None:
    """uv killed between the metadata of a package and its module leaves a `.dist-info` that looks installed."""
    store, ctx = Store(tmp_path), make_context(tmp_path, ctx_env)
    build_stack(ctx, store, resolved)
    folder = name_stack_dir(store, resolved)
    (folder / "provision-stack.json").unlink()
    [module] = folder.rglob("torch/__init__.py")
    module.unlink()
    with pytest.raises(
        ToolError, match=r"^torch-2\.13\.0\+cpu\.dist-info lists torch/__init__\.py, which is missing"
    ):
        take_inventory(folder)
    assert load_manifest(folder) is None
    build_stack(ctx, store, resolved)
    assert module.exists()
    assert load_manifest(folder) is not None


def test_an_altered_file_is_found_by_its_size(
    tmp_path: Path, resolved: ResolvedStack, ctx_env: dict[str, str]
) -> None:
    store = Store(tmp_path)
    build_stack(make_context(tmp_path, ctx_env), store, resolved)
    [module] = name_stack_dir(store, resolved).rglob("numpy/__init__.py")
    module.unlink()  # a hard link to uv's cache: writing through it would alter the cache
    module.write_text("changed")
    with pytest.raises(ToolError) as caught:
        take_inventory(name_stack_dir(store, resolved))
    assert caught.value.message == ("numpy-2.4.6.dist-info lists numpy/__init__.py with 22 bytes, it has 7")


def test_a_wheel_that_is_not_the_locked_one_is_refused(
    tmp_path: Path, resolved: ResolvedStack, ctx_env: dict[str, str]
) -> None:
    """Somebody replaced a wheel after the lock was made: its hash says so, and nothing complete is left."""
    (tmp_path / "wheels" / "numpy-2.4.6-py3-none-any.whl").unlink()
    build_wheel(tmp_path / "wheels", "numpy", "2.4.6", source="evil = True\n")
    store = Store(tmp_path)
    ctx = make_context(tmp_path, ctx_env | {"UV_CACHE_DIR": str(tmp_path / "cold")})
    with pytest.raises(DownloadError, match="^uv could not install the locked packages: .*numpy==2.4.6"):
        build_stack(ctx, store, resolved)
    assert load_manifest(name_stack_dir(store, resolved)) is None


def test_an_altered_stack_comes_back_when_it_cannot_be_built_again(
    tmp_path: Path, resolved: ResolvedStack, ctx_env: dict[str, str]
) -> None:
    """Somebody installed something into the stack, and the wheels are gone: what worked still works."""
    store, ctx = Store(tmp_path), make_context(tmp_path, ctx_env)
    manifest = build_stack(ctx, store, resolved)
    folder = name_stack_dir(store, resolved)
    [site] = folder.glob("lib/python3*/site-packages")
    extra = site / "extra-1.0.dist-info"
    extra.mkdir()
    (extra / "RECORD").write_text("extra-1.0.dist-info/RECORD,,\n")
    shutil.rmtree(tmp_path / "wheels")
    cold = make_context(tmp_path, ctx_env | {"UV_CACHE_DIR": str(tmp_path / "cold")})
    with pytest.raises(ToolError, match="^uv could not install the locked packages: "):
        build_stack(cold, store, resolved)
    assert load_manifest(folder) == manifest
    assert extra.exists()
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    make_wheels(tmp_path / "wheels", ("torch", "2.13.0+cpu"))
    build_stack(ctx, store, resolved)
    assert not extra.exists()
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_stack_whose_interpreter_is_gone_is_not_complete(
    tmp_path: Path, resolved: ResolvedStack, ctx_env: dict[str, str]
) -> None:
    store = Store(tmp_path)
    manifest = build_stack(make_context(tmp_path, ctx_env), store, resolved)
    folder = name_stack_dir(store, resolved)
    find_interpreter(folder).unlink()
    save_manifest(folder, manifest)
    assert load_manifest(folder) is None


def test_uv_says_what_it_does_while_it_installs(
    tmp_path: Path, resolved: ResolvedStack, ctx_env: dict[str, str]
) -> None:
    ctx = make_context(tmp_path, ctx_env)
    build_stack(ctx, Store(tmp_path), resolved)
    assert isinstance(ctx.reporter, Recorder)
    assert any("Installed 3 packages" in line for line in ctx.reporter.lines)
