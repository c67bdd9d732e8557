"""The data that ships: whole, sourced, consistent, and what docs/profiles.md says of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.version import Version

from provision.core.architecture import choose_architecture
from provision.core.compiled_code import Runs, judge_code
from provision.core.drivers import parse_driver_version
from provision.core.profiles_table import BEGIN, END, render_profiles_table
from provision.model.facts import Vendor
from provision.model.profile import EvidenceStatus, Profile
from tests.support.profiles import BUILDS, DRIVERS, PROFILES

DOC = Path(__file__).parents[2] / "docs" / "profiles.md"
REGENERATE = """docs/profiles.md differs from the data. To write it anew, in the repository's root:
python -c 'from tests.core.test_profiles_data import regenerate; regenerate()'"""


def list_figures() -> Iterator[tuple[str, str, EvidenceStatus, str, str]]:
    """(whose, what, status, source, date) of everything that is claimed."""
    for holder in (*PROFILES, *BUILDS.values()):
        for item in holder.evidence:
            yield holder.name, item.claim, item.status, item.source, item.date
    for profile in PROFILES:
        if (last := profile.last_driver) is not None:
            yield profile.name, "last driver", last.status, last.source, last.date
    for build in BUILDS.values():
        for platform, carried in build.architectures.items():
            yield build.name, platform, carried.status, carried.source, carried.date
    for row in DRIVERS.cuda:
        for pair in (row.minimum, row.recommended):
            for driver in (pair.linux, pair.windows):
                yield row.cuda, str(driver.version), driver.status, driver.source, driver.date


def regenerate() -> None:
    text = DOC.read_text("utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    table = render_profiles_table(PROFILES, BUILDS).rstrip("\n")
    DOC.write_text(f"{before}{table}{after}", encoding="utf-8")


def test_the_documentation_is_the_data() -> None:
    text = DOC.read_text("utf-8")
    written = text[text.index(BEGIN) : text.index(END) + len(END)]
    assert written == render_profiles_table(PROFILES, BUILDS).rstrip("\n"), REGENERATE


def test_every_figure_names_its_source_and_date() -> None:
    figures = list(list_figures())
    assert len(figures) > 80
    for whose, what, status, source, date in figures:
        assert source.strip(), (whose, what)
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", date), (whose, what)
        assert status in EvidenceStatus


def test_a_driver_is_unknown_exactly_where_it_is_said_to_be() -> None:
    for row in DRIVERS.cuda:
        for driver in (
            row.minimum.linux,
            row.minimum.windows,
            row.recommended.linux,
            row.recommended.windows,
        ):
            assert (driver.version is None) is (driver.status is EvidenceStatus.UNKNOWN)
            assert driver.version is None or parse_driver_version(driver.version) is not None
        for minimum, own in (
            (row.minimum.linux.version, row.recommended.linux.version),
            (row.minimum.windows.version, row.recommended.windows.version),
        ):
            assert minimum is not None
            assert own is None or Version(minimum) <= Version(own)


def test_no_compute_capability_is_in_two_profiles() -> None:
    """Except in those that are only taken by their name."""
    usual = [profile for profile in PROFILES if not profile.on_request]
    listed = [item for profile in usual for item in profile.match.compute_capability]
    assert sorted(listed) == sorted(set(listed))
    assert all(choose_architecture(item) for item in listed)


@pytest.mark.parametrize(
    "profile",
    [profile for profile in PROFILES if profile.match.vendor is Vendor.NVIDIA],
    ids=lambda profile: profile.name,
)
def test_the_wheels_of_an_nvidia_profile_carry_code_for_its_devices(profile: Profile) -> None:
    """On at least one platform, for every capability; Orin is the one that is known to have none."""
    build = BUILDS[profile.torch]
    platforms = profile.match.platforms or tuple(build.architectures)
    for capability in profile.match.compute_capability:
        runs = {judge_code(capability, build.architectures[platform]) for platform in platforms}
        assert (Runs.NATIVE in runs) is (profile.name != "jetson-orin")
    assert (profile.cure is not None) is (profile.name == "jetson-orin")
    assert build.drivers is not None


def test_amds_profile_takes_only_what_the_wheel_carries() -> None:
    [rocm] = [profile for profile in PROFILES if profile.match.vendor is Vendor.AMD]
    carried = BUILDS[rocm.torch].architectures["linux-x86_64"].targets
    assert set(carried) - set(rocm.match.arch) == {"gfx900", "gfx906"}
    assert set(rocm.match.arch) <= set(carried)


def test_flash_attn_is_explained_by_capability() -> None:
    too_old = "flash-attn 2 needs compute capability 8.0 or newer"
    refused = {profile.name for profile in PROFILES if profile.flash_attn.reason == too_old}
    assert refused == {"turing", "volta", "pascal", "maxwell"}


def test_float32_only_where_bf16_is_slower_than_that() -> None:
    dtypes = {profile.name: profile.dtype for profile in PROFILES}
    assert {name for name, dtype in dtypes.items() if dtype == "float32"} == {"pascal", "maxwell"}
    assert {dtype for name, dtype in dtypes.items() if name not in ("pascal", "maxwell")} == {"bfloat16"}
