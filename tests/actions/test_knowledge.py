"""What is loaded of the data that ships, and what is refused of data that does not hold together."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from provision.actions.context import Context
from provision.actions.knowledge import load_knowledge
from provision.errors import BadFileError
from tests.support.profiles import BUILDS, FOLDER, PROFILES
from tests.support.sources import make_context


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    """A context whose data are a copy of ours."""
    shutil.copytree(FOLDER, tmp_path / "data" / "profiles")
    return replace(make_context(tmp_path, {}), data_dir=tmp_path / "data")


def test_profiles_in_order_and_builds_with_their_drivers(ctx: Context) -> None:
    knowledge = load_knowledge(ctx)
    assert knowledge.profiles == PROFILES
    assert knowledge.builds == BUILDS
    assert [profile.name for profile in knowledge.profiles][-4:] == ["rocm", "xpu", "apple", "cpu"]
    versions = {
        name: build.drivers and build.drivers.minimum.linux.version
        for name, build in knowledge.builds.items()
    }
    assert versions == {
        "torch-2.11-cu130": "580.65.06",
        "torch-2.10-cu128": "525.60.13",
        "torch-2.14-cu126": "525.60.13",
        "torch-2.11-rocm7.2": None,
        "torch-2.13-xpu": None,
        "torch-2.13-cpu": None,
    }


def test_a_cuda_version_without_drivers_is_refused(ctx: Context) -> None:
    path = ctx.data_dir / "profiles" / "torch.yaml"
    path.write_text(path.read_text("utf-8").replace('cuda: "12.6"', 'cuda: "12.7"'), encoding="utf-8")
    with pytest.raises(BadFileError) as caught:
        load_knowledge(ctx)
    assert caught.value.message == (
        f"{path}: build torch-2.14-cu126: cuda: drivers.yaml has no drivers for 12.7"
    )
    assert caught.value.hint == "known: 12.6, 12.8, 13.0, 13.2"


def test_a_profile_of_the_users_replaces_ours(ctx: Context, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    text = (FOLDER / "blackwell.yaml").read_text("utf-8")
    (own / "blackwell.yaml").write_text(text.replace("dtype: bfloat16", "dtype: float32"), encoding="utf-8")
    knowledge = load_knowledge(replace(ctx, profiles_dir=own))
    assert knowledge.get_profile("blackwell").dtype == "float32"
    assert [profile.name for profile in knowledge.profiles] == [profile.name for profile in PROFILES]
