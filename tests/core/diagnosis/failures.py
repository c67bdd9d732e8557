"""The failures that ship, and how a log is led to them."""

from pathlib import Path

from provision.core.diagnosis.log import read_log
from provision.core.diagnosis.machine import complete_machine, find_machine
from provision.core.diagnosis.matching import list_literals
from provision.core.diagnosis.ranking import diagnose
from provision.core.yaml_text import convert, parse_yaml
from provision.model.failure import Failures
from tests.core.parse.gpu_names import ROOT, SHARED_DATA, load_gpu_names

PATH = ROOT / "profiles" / "failures.yaml"
REFERENCE = SHARED_DATA / "failures.yaml"
UNKNOWN_LOGS = Path(__file__).parents[2] / "data" / "logs" / "unknown"

FAILURES = convert(
    parse_yaml(PATH.read_text(encoding="utf-8"), where=PATH.name), Failures, where=PATH.name
).failures
LITERALS = list_literals(FAILURES)
NAMES = load_gpu_names()


def find_causes(log: str | bytes, facts=None):
    """What the log shows, on a machine of which only the log tells, or `facts` too."""
    data = log.encode() if isinstance(log, str) else log
    digest = read_log([data], LITERALS)
    told = find_machine(digest.text, NAMES)
    return diagnose(digest, FAILURES, complete_machine(told, facts), told)
