"""Devices that one program lists once for each platform or backend: each is counted once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import asdict

from provision.model.facts import Gpu


class Listed(Struct, frozen=True, kw_only=True):
    """A GPU as the platform or backend called `through` lists it."""

    through: str
    gpu: Gpu


def count_once(listed: Iterable[Listed]) -> tuple[Gpu, ...]:
    """As many GPUs of a name as the platform that lists most of them has, in the order of first sight.

    What one platform tells and another does not is put together, by position among those of that name.
    """
    places: dict[tuple[str, int], Gpu] = {}
    seen: Counter[tuple[str, str]] = Counter()
    for item in listed:
        name = item.gpu.name or item.gpu.pci_id or ""
        place = (name, seen[item.through, name])
        seen[item.through, name] += 1
        places[place] = _merge(places[place], item.gpu) if place in places else item.gpu
    return tuple(places.values())


def _merge(first: Gpu, second: Gpu) -> Gpu:
    known = {key: value for key, value in asdict(first).items() if value is not None}
    return Gpu(**{**asdict(second), **known})
