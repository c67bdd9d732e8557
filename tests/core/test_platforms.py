"""The platform of a machine, from its host, its conditions, or assumed."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from provision.core.platforms import Platform, find_platform
from provision.model.facts import Condition, ConditionId, Host, Vendor
from tests.support.machines import LINUX, make_facts

NOTHING = Host(system="", release="", machine="", python_version="")


@pytest.mark.parametrize(
    ("host", "conditions", "expected"),
    [
        (LINUX, (), Platform(key="linux-x86_64")),
        (replace(LINUX, wsl=2), (), Platform(key="linux-x86_64", windows_driver=True)),
        (
            replace(LINUX, system="Windows", machine="AMD64"),
            (),
            Platform(key="windows-amd64", windows_driver=True),
        ),
        (replace(LINUX, system="Darwin", machine="arm64"), (), Platform(key="macos-arm64")),
        (NOTHING, (), Platform(key="linux-x86_64", assumed=True)),
        (NOTHING, (ConditionId.WINDOWS,), Platform(key="windows-amd64", windows_driver=True)),
        (NOTHING, (ConditionId.WDDM,), Platform(key="windows-amd64", windows_driver=True)),
        (NOTHING, (ConditionId.WDDM, ConditionId.WSL), Platform(key="linux-x86_64", windows_driver=True)),
        (NOTHING, (ConditionId.MACOS,), Platform(key="macos-arm64")),
        (NOTHING, (ConditionId.JETSON,), Platform(key="linux-aarch64")),
        (replace(NOTHING, system="FreeBSD"), (), Platform(key="freebsd-x86_64", assumed=True)),
        (replace(NOTHING, system="Linux"), (), Platform(key="linux-x86_64", assumed=True)),
    ],
)
def test_find_platform(host: Host, conditions: tuple[ConditionId, ...], expected: Platform) -> None:
    told = tuple(Condition(id=item, message="") for item in conditions)
    assert find_platform(make_facts(host=host, conditions=told)) == expected


def test_an_apple_gpu_is_in_a_mac() -> None:
    assert find_platform(make_facts(vendor=Vendor.APPLE, host=NOTHING)) == Platform(key="macos-arm64")
