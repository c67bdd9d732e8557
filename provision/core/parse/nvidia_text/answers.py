"""What the forms of `nvidia-smi` have in common: its way of writing an answer, and of writing none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from provision.core.parse.conditions import build_wsl
from provision.core.parse.plain_conditions import build_plain
from provision.model.facts import Condition, ConditionId, Gpu

# The versions that stand in a header may be followed by a remark: `13.3 [Deprecated; ...]`.
_LEADING_VERSION = re.compile(r"\s{0,40}(\d{1,4}(?:\.\d{1,6}){1,3})(?![\w.])")
_BUS_ID = re.compile(r"([0-9A-Fa-f]{4,8}):[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]")
_PRODUCT = re.compile(
    r"(?:NVIDIA|GeForce|Tesla|Quadro|TITAN|GRID|Orin|Thor|Xavier|NVS|Graphics Device"
    r"|[GR]TX|A100|CMP \d|P10[46])\b.{0,80}"
)
_WARNING = re.compile(r"^ {0,8}WARNING: \S", re.MULTILINE)
_SMALL_WORDS = {"with", "(nvgpu)", "..."}
# Linux's driver branches are numbered in fives since 495 (510, 515 ... 610); every other number is Windows'.
# An observation over the versions of https://www.nvidia.com/en-us/drivers/unix/, no documented rule.
_FIRST_BRANCH_IN_FIVES = 500


def read_version(text: str | None) -> str | None:
    """The dotted version that a text begins with; None for "N/A" and everything else."""
    match = _LEADING_VERSION.match(text or "")
    return None if match is None else match[1]


def is_product(text: str) -> bool:
    """Whether a text is the name of a product of NVIDIA's, as its driver prints it."""
    return _PRODUCT.fullmatch(text.strip()) is not None


def is_product_alone(text: str) -> bool:
    """Whether a text is such a name and can be nothing else, such as the beginning of a sentence."""
    words = text.split()
    plain = all(word[:1].isupper() or word[:1].isdigit() or word in _SMALL_WORDS for word in words)
    numbered = any(character.isdigit() for character in text)
    return is_product(text) and plain and numbered and 2 <= len(words) <= 9 and text[-1:] not in ".!?,;:"


def is_windows_version(driver: str | None) -> bool:
    """Whether a driver's version can only be one for Windows."""
    major = int(driver.split(".")[0]) if driver else 0
    return major >= _FIRST_BRANCH_IN_FIVES and major % 5 != 0


def judge_warning(text: str) -> Iterator[ConditionId]:
    """`WARNING: infoROM is corrupted at gpu ...` and the like, which the program prints for one GPU."""
    if _WARNING.search(text):
        yield ConditionId.WARNING_LINE


def build_all(ids: Iterable[ConditionId]) -> tuple[Condition, ...]:
    """Each condition once, in the order given."""
    return tuple(
        build_wsl(2) if condition_id is ConditionId.WSL else build_plain(condition_id)
        for condition_id in dict.fromkeys(ids)
    )


def judge_form(gpus: Sequence[Gpu]) -> Iterator[ConditionId]:
    """What the names, the addresses and the UUIDs look like."""
    names = [gpu.name or "" for gpu in gpus]
    if any(name.endswith("...") for name in names):
        yield ConditionId.NAME_TRUNCATED
    if any(name.startswith("GeForce") for name in names):
        yield ConditionId.NAME_WITHOUT_NVIDIA_PREFIX
    domains = [match[1] for gpu in gpus if (match := _BUS_ID.fullmatch(gpu.pci_bus_id or ""))]
    if any(int(domain, 16) for domain in domains):
        yield ConditionId.NONZERO_PCI_DOMAIN
    if any(len(domain) == 4 for domain in domains):
        yield ConditionId.SHORT_BUS_ID
    if any(gpu.uuid in {"GPU-", ""} for gpu in gpus):
        yield ConditionId.EMPTY_UUID
