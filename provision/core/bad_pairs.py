"""Which known bad pairs a set of versions contains, on which machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from provision.model.environment import BadPair
from provision.model.facts import Facts


def find_bad_pairs(versions: Mapping[str, str], facts: Facts, pairs: Iterable[BadPair]) -> Iterator[BadPair]:
    """The pairs that `versions`, by canonical name, contain and that matter for the machine of `facts`."""
    return (pair for pair in pairs if _is_present(pair, versions) and _is_here(pair, facts))


def accepts(specifier: SpecifierSet, version: str | None) -> bool:
    """Whether a version is in range; one that cannot be read is not refused."""
    try:
        return version is None or specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return True


def _is_present(pair: BadPair, versions: Mapping[str, str]) -> bool:
    for name, wanted in pair.packages.items():
        try:
            if not SpecifierSet(wanted).contains(Version(versions[name]), prereleases=True):
                return False
        except (KeyError, InvalidSpecifier, InvalidVersion):
            return False
    return True


def _is_here(pair: BadPair, facts: Facts) -> bool:
    system = {"Darwin": "macos"}.get(facts.host.system, facts.host.system.lower())
    if pair.when.systems and system not in pair.when.systems:
        return False
    if pair.when.capability is None:
        return True
    wanted = SpecifierSet(pair.when.capability)
    known = [gpu.best_compute_capability for gpu in facts.gpus if gpu.best_compute_capability]
    return any(accepts(wanted, capability) for capability in known)
