import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.core.parse.probe_json import parse_probe_json, render_probe_json
from provision.errors import BadFileError
from provision.model.facts import Outcome, Probe, Reading

PROBE = Probe(
    created="2026-11-21T12:00:00+00:00",
    readings=(Reading(source="nvml", outcome=Outcome.ABSENT, error="none"),),
)
TEXT = """{
  "schema": 1,
  "created": "2026-11-21T12:00:00+00:00",
  "readings": [
    {
      "source": "nvml",
      "outcome": "absent",
      "origin": "",
      "text": "",
      "error": "none",
      "exit_code": null,
      "elapsed_s": 0.0,
      "limit_s": null
    }
  ]
}
"""


def test_render():
    assert render_probe_json(PROBE) == TEXT


def test_parse():
    assert parse_probe_json(TEXT, "saved.json") == PROBE


@given(st.text(), st.text(), st.sampled_from(Outcome))
def test_round_trip(source, text, outcome):
    probe = Probe(created="", readings=(Reading(source=source, outcome=outcome, text=text),))
    assert parse_probe_json(render_probe_json(probe), "saved.json") == probe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "saved.json: this is no saved probe: Input data was truncated"),
        ('{"x":' + "[" * 100_000, "saved.json: this is no saved probe: it is nested too deeply"),
        ("[]", "saved.json: Expected `object`, got `array`"),
        ("{}", "saved.json: Object missing required field `schema`"),
        ('{"schema": 2}', "saved.json: schema: this version reads 1, not 2"),
        ('{"schema": "1"}', "saved.json: schema: Expected `int`, got `str`"),
        (TEXT.replace("absent", "asleep"), "saved.json: readings[0].outcome: Invalid enum value 'asleep'"),
        (TEXT.replace('"text"', '"txet"'), "saved.json: readings[0]: Object contains unknown field `txet`"),
        (
            TEXT.replace("null", '"nine"', 1),
            "saved.json: readings[0].exit_code: Expected `int | null`, got `str`",
        ),
        ("\ud800", "saved.json: this is no saved probe: it is not UTF-8"),
    ],
)
def test_bad_file(text, message):
    with pytest.raises(BadFileError) as caught:
        parse_probe_json(text, "saved.json")
    assert caught.value.message == message
    assert caught.value.hint == "provision detect --save-probe FILE"
