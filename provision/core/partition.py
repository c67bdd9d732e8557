"""The fewest stacks that serve a set of models: exact, with a resolver's word for what goes together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import TypeVar

from msgspec import Struct
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from provision.model.catalogue import ModelSpec

_Proof = TypeVar("_Proof")
# Kinds of models that need different things; models that need the same count once. 3^12 steps take a second.
EXACT_KINDS = 12


class Need(Struct, frozen=True, kw_only=True):
    """What one model asks of the packages beside it: a range of versions by canonical name."""

    model: str
    ranges: dict[str, SpecifierSet]


class Refused(Struct, frozen=True, kw_only=True):
    """A resolver's reason why a set of models has no common environment."""

    reason: str


class Separation(Struct, frozen=True, kw_only=True):
    """Why `model` does not share a stack with `other`, in one sentence."""

    model: str
    other: str
    reason: str


class Group(Struct, frozen=True, kw_only=True):
    """Models that share a stack. `preferred` says that the profile's own pins suit all of them."""

    models: tuple[str, ...]
    preferred: bool


def build_need(model: ModelSpec) -> Need:
    """The ranges that `model` names. Markers are left to the resolver."""
    ranges: dict[str, SpecifierSet] = {"transformers": SpecifierSet(model.transformers)}
    for text in model.packages:
        requirement = Requirement(text)
        name = str(canonicalize_name(requirement.name))
        ranges[name] = ranges.get(name, SpecifierSet()) & requirement.specifier
    return Need(model=model.key, ranges=ranges)


def can_meet(ranges: Sequence[SpecifierSet]) -> bool:
    """Whether some final release can lie in all of `ranges`; which exist is not asked.

    Ranges that meet do so at an end of one of them, or just above it. Pre-releases between two ends are not seen.
    """
    together = SpecifierSet()
    for part in ranges:
        together &= part
    ends = [Version("0"), *(_read_end(specifier.version) for specifier in together)]
    return any(together.contains(version, prereleases=True) for end in ends for version in _list_near(end))


def find_clash(need: Need, other: Need) -> str | None:
    """The package whose ranges for two models have nothing in common; None when there is none."""
    for name, wanted in need.ranges.items():
        if name in other.ranges and not can_meet([wanted, other.ranges[name]]):
            return f"{need.model} needs {name} {wanted}, {other.model} needs {name} {other.ranges[name]}"
    return None


def choose_groups(
    needs: Sequence[Need],
    pins: Mapping[str, str],
    prove: Callable[[Group], _Proof | Refused],
) -> tuple[tuple[tuple[Group, _Proof], ...], tuple[Separation, ...]] | Refused:
    """The fewest groups that `prove` accepts, each with its proof, the group with the profile's pins first.

    `pins` are those, as ranges by package. Among equally few, more models get them, since they were verified.
    `prove` is asked for chosen groups only; what it refuses is never proposed again, alone or within more models,
    until a choice stands. Refused when a model has no environment even alone. With more than EXACT_KINDS kinds of
    models the groups are good, not proved fewest.
    """
    refused: dict[frozenset[str], str] = {}
    proofs: dict[Group, _Proof] = {}
    while True:
        groups = _divide(needs, pins, refused)
        for group in groups:
            if group in proofs:
                continue
            answer = prove(group)
            if isinstance(answer, Refused):
                if not group.preferred and _is_one_kind(group, needs):
                    return answer
                refused[_tag(group)] = answer.reason
                break
            proofs[group] = answer
        else:
            chosen = tuple((group, proofs[group]) for group in groups)
            return chosen, explain_separation(needs, groups, refused)


def _is_one_kind(group: Group, needs: Sequence[Need]) -> bool:
    """Whether the models of `group` all ask for the same, so that dividing them helps none."""
    kinds = _collect_kinds([need for need in needs if need.model in group.models])
    return len(kinds) == 1


def explain_separation(
    needs: Sequence[Need], groups: Sequence[Group], refused: Mapping[frozenset[str], str]
) -> tuple[Separation, ...]:
    """For each model outside the first group, what keeps it from there."""
    by_model = {need.model: need for need in needs}
    found = []
    for group in groups[1:]:
        for model in group.models:
            found.append(_separate(by_model, model, groups[0], refused))
    return tuple(found)


def _separate(
    by_model: Mapping[str, Need], model: str, first: Group, refused: Mapping[frozenset[str], str]
) -> Separation:
    for other in first.models:
        if reason := find_clash(by_model[model], by_model[other]):
            return Separation(model=model, other=other, reason=reason)
    words = (reason for tag, reason in refused.items() if model in tag and len(tag - {_PINNED}) > 1)
    reason = next(words, "its packages and theirs were not resolved together")
    return Separation(model=model, other=first.models[0], reason=f"{model}: {reason}")


def _divide(
    needs: Sequence[Need], pins: Mapping[str, str], refused: Mapping[frozenset[str], str]
) -> tuple[Group, ...]:
    """The best division as far as is known: `refused` are sets that the resolver has ruled out."""
    kinds = _collect_kinds(needs)

    def read(mask: int) -> list[Need]:
        return [need for index, kind in enumerate(kinds) if mask >> index & 1 for need in kind]

    @cache
    def judge(mask: int) -> Group | None:
        members = read(mask)
        models = tuple(need.model for need in needs if need in members)
        for preferred in (True, False):
            group = Group(models=models, preferred=preferred)
            tag = _tag(group)
            if any(bad <= tag for bad in refused):
                continue
            if _goes_together(members, pins if preferred else {}):
                return group
        return None

    order = {need.model: position for position, need in enumerate(needs)}
    masks = _cover(len(kinds), judge) if len(kinds) <= EXACT_KINDS else _cover_greedily(len(kinds), judge)
    groups = [
        judge(mask) or Group(models=tuple(n.model for n in read(mask)), preferred=False) for mask in masks
    ]
    return tuple(sorted(groups, key=lambda g: (not g.preferred, -len(g.models), order[g.models[0]])))


def _collect_kinds(needs: Sequence[Need]) -> list[list[Need]]:
    kinds: list[list[Need]] = []
    for need in needs:
        for kind in kinds:
            if kind[0].ranges == need.ranges:
                kind.append(need)
                break
        else:
            kinds.append([need])
    return kinds


def _goes_together(members: Sequence[Need], pins: Mapping[str, str]) -> bool:
    ranges: dict[str, list[SpecifierSet]] = {name: [SpecifierSet(pin)] for name, pin in pins.items()}
    for need in members:
        for name, wanted in need.ranges.items():
            ranges.setdefault(name, []).append(wanted)
    return all(len(wanted) == 1 or can_meet(wanted) for wanted in ranges.values())


def _cover(count: int, judge: Callable[[int], Group | None]) -> list[int]:
    """The least number of masks that are jointly all kinds, then the most models on the profile's pins."""

    @cache
    def best(left: int) -> tuple[int, int, tuple[int, ...]]:
        if left == 0:
            return 0, 0, ()
        lowest = left & -left
        options = []
        for mask in _list_parts(left & ~lowest):
            group = judge(mask | lowest)
            # One kind alone must stand somewhere, even where it is known not to resolve: the resolver says why.
            if group is None and mask:
                continue
            stacks, score, rest = best(left & ~(mask | lowest))
            pinned = len(group.models) if group is not None and group.preferred else 0
            options.append((1 + stacks, score - pinned, (mask | lowest, *rest)))
        return min(options)

    return list(best((1 << count) - 1)[2])


def _cover_greedily(count: int, judge: Callable[[int], Group | None]) -> list[int]:
    """Each kind goes to the first mask that takes it."""
    masks: list[int] = []
    for index in range(count):
        for position, mask in enumerate(masks):
            if judge(mask | 1 << index) is not None:
                masks[position] = mask | 1 << index
                break
        else:
            masks.append(1 << index)
    return masks


def _list_parts(mask: int) -> Iterator[int]:
    """Every subset of `mask`, itself and nothing among them."""
    part = mask
    while True:
        yield part
        if part == 0:
            return
        part = (part - 1) & mask


_PINNED = "\0pinned"


def _tag(group: Group) -> frozenset[str]:
    """A set of models, marked where it was asked with the profile's pins: without them more may resolve."""
    return frozenset((*group.models, _PINNED)) if group.preferred else frozenset(group.models)


def _read_end(text: str) -> Version:
    return Version(text.removesuffix(".*"))


def _list_near(end: Version) -> tuple[Version, ...]:
    """A version and the one just above it that is not its post-release."""
    release = ".".join(str(part) for part in end.release)
    epoch = f"{end.epoch}!" if end.epoch else ""
    return end, Version(f"{epoch}{release}.0.1")
