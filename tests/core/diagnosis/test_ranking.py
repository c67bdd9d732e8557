import pytest
from msgspec.structs import replace

from provision.core.diagnosis.log import read_log
from provision.core.diagnosis.machine import LogMachine
from provision.core.diagnosis.matching import describe_bad_sign, find_sign, list_literals
from provision.core.diagnosis.ranking import diagnose
from provision.model.failure import Cause, Confidence, FolkCure, LogLine, Sign
from tests.core.diagnosis.samples import ALL, AMPERE, build_failure

NOTICE = replace(build_failure("notice", Sign(all=("a harmless notice",))), severity="cosmetic")
UNSURE = replace(AMPERE, signs=(Sign(all=AMPERE.signs[0].all, confidence=Confidence.MEDIUM),))


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


def test_what_only_this_machine_says_yields_to_a_sure_sign():
    digest = read_log([b"FlashAttention only supports Ampere GPUs or newer."], list_literals(ALL))
    here, log = LogMachine(capability="8.9"), LogMachine()
    (cause, other) = diagnose(digest, ALL, here, log)
    assert (cause.id, cause.confidence, cause.machine) == (
        "needs-ampere",
        "medium",
        ("The card is new enough.",),
    )
    assert other.id == "old-binary"
    # An unsure sign yields; where nothing is left, the log is of another machine and speaks for itself.
    (only,) = diagnose(digest, (UNSURE,), here, log)
    assert (only.confidence, only.machine) == ("low", ())
    assert diagnose(digest, (UNSURE,), here) == ()


def test_what_breaks_nothing_comes_last():
    digest = read_log([b"a harmless notice\nno kernel image is available"], list_literals((NOTICE, *ALL)))
    causes = diagnose(digest, (NOTICE, *ALL), LogMachine())
    assert [(cause.id, cause.confidence) for cause in causes] == [
        ("too-new", "low"),
        ("other-binary", "low"),
        ("notice", "high"),
    ]


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
        (Sign(repeats=True), None),
        (Sign(all=("re:anything at all",)), "no literal fragment of 6 characters or more"),
        (
            Sign(all=("long enough", "re:(")),
            "'re:(' is no regular expression: missing ), unterminated subpattern at position 0",
        ),
    ],
)
def test_signs_that_are_no_use(sign, problem):
    assert describe_bad_sign(sign) == problem


def test_a_sign_without_a_literal_is_never_seen():
    digest = read_log([b"anything at all"], list_literals(ALL))
    assert find_sign(Sign(all=("re:anything at all",)), digest) is None
    assert find_sign(Sign(), digest) is None
