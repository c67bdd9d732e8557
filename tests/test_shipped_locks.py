"""The locks that ship: whole, without addresses, and still for what profiles and catalogue ask for."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from provision.core.models import build_requirements
from provision.core.shipped_locks import ShippedLock, parse_shipped_lock, render_shipped_lock
from provision.model.catalogue import Catalogue
from tests.support.profiles import BUILDS, FOLDER, PROFILES, load_data

PATHS = sorted((FOLDER / "locks").glob("*.txt"))


def load(path: Path) -> ShippedLock:
    return parse_shipped_lock(path.read_text(encoding="utf-8"), where=path.name)


@lru_cache
def list_asked(build: str) -> set[frozenset[str]]:
    """What any set of up to four models asks for under any profile with this build."""
    models = load_data("models", Catalogue).models
    return {
        frozenset(requirements)
        for profile in PROFILES
        if profile.torch == build
        for count in range(1, 5)
        for chosen in combinations(models, count)
        for preferred in (True, False)
        for requirements in build_requirements(chosen, profile, preferred=preferred)
    }


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_shipped_lock_is_whole_and_holds_behind_any_mirror(path: Path) -> None:
    text, shipped = path.read_text(encoding="utf-8"), load(path)
    assert "://" not in text
    assert render_shipped_lock(shipped) == text
    assert all(wheel.hashes and wheel.size_bytes for wheel in shipped.lock.wheels)
    assert shipped.terms.platform == "linux-x86_64"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_shipped_lock_is_for_what_a_profile_asks_today(path: Path) -> None:
    shipped = load(path)
    build, held = BUILDS[shipped.build], shipped.lock.versions
    assert shipped.terms.torch.partition("+")[0] == build.torch
    assert held["torch"] == shipped.terms.torch
    assert held.get("torchvision") == shipped.terms.torchvision
    assert build.tag in (shipped.terms.tag, "cpu")
    for text in shipped.terms.requirements:
        requirement = Requirement(text)
        assert requirement.specifier.contains(held[requirement.name], prereleases=True), text
    assert frozenset(shipped.terms.requirements) in list_asked(shipped.build)
