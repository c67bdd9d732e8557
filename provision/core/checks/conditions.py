"""Conditions of the machine as checks ask for them. Ids that no check asks for change nothing."""

from __future__ import annotations

from provision.model.facts import ConditionId, Facts, Vendor

# What keeps a driver from answering and has no check of its own.
SILENT = (
    ConditionId.GPU_NOT_ANSWERING,
    ConditionId.GPU_UNKNOWN,
    ConditionId.NO_DEVICE,
    ConditionId.NVML_ERROR,
    ConditionId.NVML_TIMEOUT,
    ConditionId.NVML_UNKNOWN_ERROR,
    ConditionId.NVIDIA_SMI_TIMEOUT,
    ConditionId.NVIDIA_SMI_BROKEN,
)
# What has one.
TOLD_APART = (
    ConditionId.DRIVER_MISMATCH,
    ConditionId.DRIVER_NOT_LOADED,
    ConditionId.NO_DRIVER_INSTALLED,
    ConditionId.NOUVEAU,
    ConditionId.GPU_LOST,
    ConditionId.NVML_LIBRARY_MISSING,
    ConditionId.WSL_DRIVER_INSIDE,
    ConditionId.WSL1,
    ConditionId.DEVICE_NODES_MISSING,
    ConditionId.DEVICE_NODES_DENIED,
    ConditionId.MIG_NO_INSTANCES,
    ConditionId.VFIO_PASSTHROUGH,
)
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


def find_troubles(facts: Facts) -> list[str]:
    """The sentences that say why no driver answers; that a program failed only where nothing says more."""
    # A list of the bus without a GPU says that there is none, not that one is silent.
    silent = [one for one in SILENT if facts.vendor is not None or one is not ConditionId.NO_DEVICE]
    told = find_messages(facts, *TOLD_APART, *silent)
    return told or find_messages(
        facts,
        ConditionId.NVIDIA_SMI_NOT_FOUND,
        ConditionId.COMPUTE_CAP_FIELD_INVALID,
        ConditionId.ERROR,
    )


def names_no_gpu(facts: Facts) -> bool:
    """Whether nothing is known of a GPU and nothing says why: a text about something else, or cut before it."""
    return not facts.gpus and facts.vendor is not Vendor.NONE and not find_troubles(facts)
