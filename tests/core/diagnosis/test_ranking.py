import pytest

from provision.core.diagnosis.log import read_log
from provision.core.diagnosis.machine import LogMachine
from provision.core.diagnosis.matching import describe_bad_sign, list_literals
from provision.core.diagnosis.ranking import diagnose
from provision.model.failure import Cause, FolkCure, LogLine, Sign
from tests.core.diagnosis.samples import ALL


def run(text, **machine):
    digest = read_log([text.encode()], list_literals(ALL))
    return diagnose(digest, ALL, LogMachine(**machine))


def names(text, **machine):
    return [(cause.id, str(cause.confidence)) for cause in run(text, **machine)]


def test_nothing_fits():
    assert run("everything went well") == ()


def test_a_whole_cause():
    log = (
        "boot\nRTX 5090 with CUDA capability sm_120 is not compatible with the current PyTorch installation."
    )
    assert run(log) == (
        Cause(
            id="too-new",
            title="The title of too-new",
            confidence="high",
            cause="The cause of too-new.",
            evidence=(
                LogLine(
                    line=2,
                    text="RTX 5090 with CUDA capability sm_120 is not compatible with the current PyTorch "
                    "installation.",
                ),
            ),
            cure=("cure too-new",),
            not_this=(FolkCure(claim="reinstall it all", why="it comes back"),),
            sources=("https://example.org/1",),
        ),
    )


def test_what_distinguishes_goes_before_what_is_shared():
    assert names("flash_attn\nno kernel image is available") == [("other-binary", "high"), ("too-new", "low")]


def test_what_outranks_goes_first():
    log = (
        "CUDA capability sm_120 is not compatible with the current PyTorch installation.\n"
        "flash_attn: no kernel image is available"
    )
    assert names(log) == [("too-new", "high"), ("other-binary", "high")]


def test_the_same_message_on_different_machines():
    log = "RuntimeError: FlashAttention only supports Ampere GPUs or newer."
    assert names(log) == [("needs-ampere", "high"), ("old-binary", "medium")]
    assert names(log, capability="7.5") == [("needs-ampere", "high"), ("old-binary", "medium")]
    assert names(log, capability="12.0") == [("old-binary", "high")]
    assert run(log, capability="12.0")[0].machine == ("The card is newer than Ampere.",)


def test_cures_are_those_of_this_machine():
    log = "only supports Ampere GPUs or newer"
    assert run(log, capability="12.0", system="Linux")[0].cure == ("anywhere   # slow", "on Linux")
    # Where the system is not known, what holds everywhere comes first.
    assert run(log, capability="12.0")[0].cure == ("anywhere   # slow", "on Windows", "on Linux")


@pytest.mark.parametrize(
    ("sign", "problem"),
    [
        (Sign(all=("long enough",)), None),
        (Sign(all=("short",)), "no literal fragment of 6 characters or more"),
        (Sign(all=("re:anything at all",)), "no literal fragment of 6 characters or more"),
        (
            Sign(all=("long enough", "re:(")),
            "'re:(' is no regular expression: missing ), unterminated subpattern at position 0",
        ),
    ],
)
def test_signs_that_are_no_use(sign, problem):
    assert describe_bad_sign(sign) == problem
