import pytest

from provision.core.diagnosis.log import read_log
from provision.core.diagnosis.ranking import diagnose
from provision.core.diagnosis.wrapping import unwrap_lines
from provision.model.failure import Confidence
from tests.core.diagnosis.failures import FAILURES, LITERALS, NAMES, find_machine
from tests.core.diagnosis.test_failures import OWN_LOGS


def wrap(text: str, width: int) -> str:
    parts = [line[i : i + width] for line in text.split("\n") for i in range(0, max(len(line), 1), width)]
    return "\n".join(parts)


def number(*lines: str) -> list[tuple[int, str]]:
    return list(enumerate(lines, start=1))


def test_full_lines_are_joined_to_what_follows_them() -> None:
    lines = number("short", "a" * 100, "b" * 100, "c", "short again")
    assert unwrap_lines(lines) == [(1, "short"), (2, "a" * 100 + "b" * 100 + "c"), (5, "short again")]


@pytest.mark.parametrize("lines", [number(), number("a" * 59, "b" * 59), number("a" * 101, "b"), number("")])
def test_no_width_shows(lines: list[tuple[int, str]]) -> None:
    assert unwrap_lines(lines) is None


def test_one_full_line_is_enough_at_a_usual_width() -> None:
    assert unwrap_lines(number("a" * 80, "b")) == [(1, "a" * 80 + "b")]


def test_lines_that_are_nearly_all_full_were_not_wrapped() -> None:
    row = "00000010  48 8b 05 00 00 00 00 ff  d0 48 83 c4 08 c3 00 00  |H........H......|"
    assert unwrap_lines([(n, row) for n in range(1, 26_001)]) is None
    assert unwrap_lines(number(*[row] * 8)) == [(1, row * 8)]


def test_a_joined_line_is_no_longer_than_some_thousand_characters() -> None:
    """2 MiB in which every fifth line is short, and 2 MiB of one passage: neither takes a noticeable time."""
    lines = number(*["a" * 80, "b" * 80, "c" * 80, "d" * 80, "e"] * 6500)
    assert unwrap_lines(lines) == [
        (5 * n + 1, "a" * 80 + "b" * 80 + "c" * 80 + "d" * 80 + "e") for n in range(6500)
    ]
    joined = unwrap_lines(number(*["a" * 80] * 26_000, *["b"] * 3000))
    assert joined is not None
    assert joined[:2] == [(1, "a" * 4000), (51, "a" * 4000)]
    assert joined[520:522] == [(26_001, "b"), (26_002, "b")]


@pytest.mark.parametrize("width", [80, 100])
def test_most_logs_survive_a_console(width: int) -> None:
    lost = []
    for parameter in OWN_LOGS:
        cause, log = parameter.values
        digest = read_log([wrap(log, width).encode()], LITERALS)
        machine = find_machine(digest.text, NAMES)
        causes = diagnose(digest, FAILURES, machine)
        if not causes and digest.unwrapped is not None:
            causes = diagnose(digest.unwrapped, FAILURES, machine)
        # Where a path is broken, a vaguer sign may be what is left.
        if not causes or (causes[0].id != cause and causes[0].confidence is Confidence.HIGH):
            lost.append(cause)
    assert len(lost) <= len(OWN_LOGS) // 50, lost
