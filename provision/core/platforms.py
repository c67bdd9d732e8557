"""The platform that a profile is judged for, and whose minimum counts for the driver."""

from __future__ import annotations

from msgspec import Struct

from provision.model.facts import ConditionId, Facts, Vendor

ASSUMED = "linux-x86_64"
_ARM = frozenset({ConditionId.AARCH64, ConditionId.JETSON, ConditionId.DGX_SPARK})
_WINDOWS = frozenset({ConditionId.WINDOWS, ConditionId.WDDM, ConditionId.WDDM_DRIVER_VERSION})


class Platform(Struct, frozen=True, kw_only=True):
    """`key` as in the tables of profiles, `linux-x86_64`; `assumed` when nothing told it.

    `windows_driver`: the driver's version is one of Windows, on Windows and in WSL.
    """

    key: str
    assumed: bool = False
    windows_driver: bool = False


def find_platform(facts: Facts) -> Platform:
    """What the host says, else what the conditions give away, else Linux on x86_64, said to be assumed."""
    host = facts.host
    conditions = {condition.id for condition in facts.conditions}
    in_wsl = host.wsl is not None or bool(conditions & {ConditionId.WSL, ConditionId.WSL1})
    if host.system and host.machine:
        return Platform(key=host.platform, windows_driver=in_wsl or host.system == "Windows")
    if host.system == "Darwin" or ConditionId.MACOS in conditions or facts.vendor is Vendor.APPLE:
        return Platform(key="macos-arm64")
    if host.system == "Windows" or (conditions & _WINDOWS and not in_wsl):
        return Platform(key="windows-amd64", windows_driver=True)
    if conditions & _ARM:
        return Platform(key="linux-aarch64", windows_driver=in_wsl)
    if host.system not in ("", "Linux"):
        return Platform(key=f"{host.system.lower()}-x86_64", assumed=True)
    return Platform(key=ASSUMED, assumed=not in_wsl, windows_driver=in_wsl)
