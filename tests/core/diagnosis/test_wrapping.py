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
