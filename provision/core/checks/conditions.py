"""Conditions of the machine as checks ask for them. Ids that no check asks for change nothing."""

from __future__ import annotations

from provision.model.facts import ConditionId, Facts, Vendor

# Sources that ask NVIDIA's driver. Listings of the bus, of Windows' devices and the like name a card without it.
_DRIVER_SOURCES = ("nvml", "nvidia-smi", "collect-env", "cuda-", "sglang-check-env")


def find_messages(facts: Facts, *ids: ConditionId) -> list[str]:
    """The sentences of the conditions among `ids`, in the facts' order, each once."""
    return list(dict.fromkeys(condition.message for condition in facts.conditions if condition.id in ids))


def has_condition(facts: Facts, *ids: ConditionId) -> bool:
    """Whether one of `ids` holds."""
    return any(condition.id in ids for condition in facts.conditions)


def say_why_not_nvidia(facts: Facts) -> str | None:
    """Why a check about NVIDIA's driver has nothing to look at; None when it has.

    A machine of which it is unknown whether there is a GPU is looked at when something of NVIDIA's spoke.
    """
    if facts.vendor in (Vendor.NVIDIA, Vendor.MIXED) or facts.driver is not None:
        return None
    if facts.vendor is None:
        return None if facts.conditions else "whether there is an NVIDIA GPU is unknown"
    return "no NVIDIA GPU here"


def hears_driver(facts: Facts) -> bool:
    """Whether NVIDIA's driver itself spoke for a GPU: a card on the bus proves nothing about the driver."""
    if not facts.gpus or facts.vendor not in (Vendor.NVIDIA, Vendor.MIXED):
        return False
    return facts.gpu_source is not None and facts.gpu_source.startswith(_DRIVER_SOURCES)
