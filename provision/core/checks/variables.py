"""Variables of the user's environment that change what programs load or see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from provision.core.checks.check import Check, Checkup, Needs
from provision.core.checks.results import Result, failed, passed, warned
from provision.core.shells import render_unset
from provision.core.visible_devices import choose_visible, find_invalid_entry, names_instances
from provision.model.facts import Vendor
from provision.model.finding import Severity

# What it does to a Python other than the one that it was set for.
_PYTHON = {
    "PYTHONHOME": "every Python looks for its own library there",
    "PYTHONPATH": "every Python imports from there first",
}
_TRUE = {"1", "ON", "YES", "TRUE"}


def check_library_path(checkup: Checkup) -> Result:
    """Folders of LD_LIBRARY_PATH with CUDA libraries come before those in the wheels."""
    if checkup.library_folders:
        told = "; ".join(f"{item.path} has {', '.join(item.libraries)}" for item in checkup.library_folders)
        evidence = f"LD_LIBRARY_PATH puts CUDA libraries before those of the wheels: {told}"
        return warned(evidence, render_unset(checkup.place.shell, "LD_LIBRARY_PATH"))
    if checkup.env.get("LD_LIBRARY_PATH"):
        return passed("LD_LIBRARY_PATH names no folder with CUDA libraries")
    return passed("LD_LIBRARY_PATH is not set")


def check_variables(checkup: Checkup) -> Result:
    """Variables that hide GPUs, lead Python astray or keep the Hub out."""
    shell = checkup.place.shell
    hidden = _find_hidden(checkup)
    if hidden is not None and hidden.severity is Severity.FAIL:
        return hidden
    found = dict(_list_remarkable(checkup.env))
    if hidden is not None:
        found["CUDA_VISIBLE_DEVICES"] = hidden.evidence
    if not found:
        return passed("none that changes what a stack loads or sees")
    return warned("; ".join(found.values()), render_unset(shell, *found))


def _find_hidden(checkup: Checkup) -> Result | None:
    """What CUDA_VISIBLE_DEVICES keeps from CUDA programs without being meant to; a GPU left out is meant."""
    value, gpus = checkup.env.get("CUDA_VISIBLE_DEVICES"), checkup.facts.gpus
    if value is None or names_instances(value) or checkup.facts.vendor is not Vendor.NVIDIA or not gpus:
        return None
    if value.strip().startswith("GPU-") and not all(gpu.uuid for gpu in gpus):
        return None
    seen, stop = choose_visible(value, gpus), find_invalid_entry(value, gpus)
    start = f"CUDA_VISIBLE_DEVICES is {value!r}"
    if not seen:
        cure = render_unset(checkup.place.shell, "CUDA_VISIBLE_DEVICES")
        return failed(f"{start}: CUDA programs see no GPU", cure)
    if stop is not None:
        return warned(
            f"{start}: {stop!r} is no GPU here, and what stands after it is not read; "
            f"CUDA programs see {len(seen)} of {len(gpus)} GPUs"
        )
    return None


def _list_remarkable(env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(name, what it does) of every variable that somebody should know of."""
    for name, effect in _PYTHON.items():
        if env.get(name):
            yield name, f"{name} is {env[name]}: {effect}"
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if env.get(name, "").upper() in _TRUE:
            yield name, f"{name} is set: no weights are fetched"
    if env.get("CUDA_LAUNCH_BLOCKING", "").strip() == "1":
        yield "CUDA_LAUNCH_BLOCKING", "CUDA_LAUNCH_BLOCKING is set: every kernel is waited for, which is slow"
    override = env.get("HSA_OVERRIDE_GFX_VERSION")
    if override:
        yield (
            "HSA_OVERRIDE_GFX_VERSION",
            f"HSA_OVERRIDE_GFX_VERSION is {override}: ROCm takes the GPU for another",
        )


CHECKS = (
    Check(
        id="environment.ld-library-path",
        question="Does LD_LIBRARY_PATH put foreign CUDA libraries before those of the wheels?",
        run=check_library_path,
        needs=Needs.HERE,
    ),
    Check(
        id="environment.variables",
        question="Do variables hide the GPU, lead Python astray or keep the Hub out?",
        run=check_variables,
        needs=Needs.HERE,
    ),
)
