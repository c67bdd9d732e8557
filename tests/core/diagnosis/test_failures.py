"""The data: every cause is found from its logs, first of all, and nothing is found where nothing is known."""

import json
import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from provision.core.diagnosis.cleaning import clean_line
from provision.core.diagnosis.digest import normalize
from provision.core.diagnosis.matching import describe_bad_sign
from provision.model.failure import Confidence
from tests.core.diagnosis.failures import FAILURES, REFERENCE, UNKNOWN_LOGS, find_causes

OWN_LOGS = [
    pytest.param(failure.id, log.text, id=f"{failure.id}-{number}")
    for failure in FAILURES
    for number, log in enumerate(failure.logs)
]
OTHERS = yaml.safe_load(REFERENCE.read_text(encoding="utf-8")) if REFERENCE.exists() else []
# The same text stands there under two causes: then either is right.
CAUSES_OF = {
    log["text"]: {e["id"] for e in OTHERS if any(other["text"] == log["text"] for other in e["logs"])}
    for entry in OTHERS
    for log in entry["logs"]
}
OTHER_LOGS = [
    pytest.param(entry["id"], log["text"], id=f"{entry['id']}-{number}")
    for entry in OTHERS
    for number, log in enumerate(entry["logs"])
]
COMMANDS = {"detect", "profiles", "plan", "apply", "smoke", "doctor", "generations", "diagnose"}
NOISE = "".join(f"2026-11-21 12:00:{n:02} INFO page {n} of 60, 345.2 tokens/s\n" for n in range(60))


def test_ids_are_unique_and_all_causes_are_known():
    ids = [failure.id for failure in FAILURES]
    assert len(set(ids)) == len(ids) >= 98
    assert {entry["id"] for entry in OTHERS} <= set(ids)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.id)
def test_the_data_makes_sense(failure):
    known = {other.id for other in FAILURES}
    assert [describe_bad_sign(sign) for sign in failure.signs if describe_bad_sign(sign)] == []
    assert set(failure.outranks) <= known - {failure.id}
    assert failure.cures
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", cure.date) for cure in failure.cures)
    forms = ("https://", "run here: ", "checked here: ")
    assert [cure.basis for cure in failure.cures if not cure.basis.startswith(forms)] == []
    assert all(source.startswith("https://") for source in failure.sources)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.id)
def test_cures_name_commands_that_exist(failure):
    named = [match[1] for cure in failure.cures for match in re.finditer(r"\bprovision ([a-z]+)\b", cure.do)]
    assert set(named) <= COMMANDS


@pytest.mark.parametrize(("cause", "log"), OWN_LOGS)
def test_own_logs(cause, log):
    """The cause comes first, and each line of evidence begins as the line of the log that it names."""
    first = find_causes(log)[0]
    assert first.id == cause
    lines = log.split("\n")
    assert first.evidence
    for shown in first.evidence:
        assert normalize(shown.text.removeprefix("\u2026"))[:20] in normalize(
            clean_line(lines[shown.line - 1])
        )


@pytest.mark.parametrize(("cause", "log"), OWN_LOGS)
def test_own_logs_in_noise(cause, log):
    """Far from both ends and with Windows line ends: the same cause."""
    assert find_causes(NOISE + log.replace("\n", "\r\n") + "\r\n" + NOISE)[0].id == cause


@pytest.mark.parametrize(("cause", "log"), OWN_LOGS)
def test_own_logs_as_a_collector_keeps_them(cause, log):
    lines = [json.dumps({"log": f"{line}\n", "stream": "stderr"}) for line in log.splitlines()]
    assert find_causes("\n".join(lines))[0].id == cause


@pytest.mark.parametrize(("cause", "log"), OWN_LOGS)
def test_own_logs_in_colour(cause, log):
    lines = [f"\x1b[31mERROR\x1b[0m {line}\x1b[K" for line in log.splitlines()]
    assert find_causes("\n".join(lines))[0].id == cause


@pytest.mark.skipif(not OTHERS, reason="no reference logs beside this checkout")
@pytest.mark.parametrize("log", CAUSES_OF, ids=lambda log: min(CAUSES_OF[log]))
def test_other_peoples_logs(log):
    assert find_causes(log)[0].id in CAUSES_OF[log]


@pytest.mark.parametrize("path", sorted(UNKNOWN_LOGS.glob("*.txt")), ids=lambda path: path.stem)
def test_what_is_not_known_is_said_to_be_so(path):
    assert [cause.id for cause in find_causes(path.read_bytes())] == []


def test_there_are_enough_unknown_logs():
    assert len(list(UNKNOWN_LOGS.glob("*.txt"))) >= 24


@given(st.binary(max_size=4000))
@settings(max_examples=60, deadline=None)
def test_random_bytes_are_no_failure(data):
    assert [cause.id for cause in find_causes(data) if cause.confidence is Confidence.HIGH] == []


@given(
    st.sampled_from([parameter.values for parameter in OWN_LOGS]),
    st.integers(min_value=0, max_value=4000),
    st.integers(min_value=0, max_value=60),
    st.binary(max_size=8),
)
@settings(max_examples=200, deadline=None)
def test_a_damaged_log_never_breaks_anything(sample, at, length, insert):
    _, log = sample
    data = log.encode()
    for cause in find_causes(data[:at] + insert + data[at + length :]):
        assert cause.evidence
        assert all(line.line >= 1 for line in cause.evidence)
