import pytest

from provision.core.diagnosis.digest import build_digest, split_lines
from provision.core.diagnosis.log import read_log
from provision.core.diagnosis.matching import find_sign, list_literals
from provision.core.diagnosis.reduction import LogReducer
from provision.model.failure import LogLine, Sign
from tests.core.diagnosis.samples import ALL

NOISE = b"2026-11-21 12:00:00,123 INFO page 17 of 4000, 345.2 tokens/s\n"
LITERALS = list_literals(ALL)
SIGN = Sign(all=("no kernel image is available",))


def read(text):
    return read_log([text.encode()], LITERALS)


def find(digest, sign=SIGN):
    match = find_sign(sign, digest)
    return None if match is None else match.evidence


def test_lines_keep_their_numbers():
    digest = read("one\n\n  two  \t words\r\nfour")
    assert (digest.text, digest.numbers, digest.lines_total) == ("one two words four", (1, 3, 4), 4)


def test_what_a_progress_bar_overwrote_is_of_its_line():
    digest = read("a\n 10%|#\r 20%|##\rdone\nb\n")
    assert (digest.text, digest.numbers) == ("a 10%|# 20%|## done b", (1, 2, 2, 2, 3))


def test_a_message_is_found_across_a_line_break_and_any_case():
    evidence = find(read("x\nRuntimeError: NO KERNEL\n   image is   available for execution\n"))
    assert evidence == (
        LogLine(line=2, text="RuntimeError: NO KERNEL"),
        LogLine(line=3, text="image is available for execution"),
    )


def test_the_last_place_is_taken():
    log = "no kernel image is available (1)\n" + "x\n" * 100 + "no kernel image is available (2)\n"
    assert find(read(log)) == (LogLine(line=102, text="no kernel image is available (2)"),)


def test_fragments_must_be_near_each_other():
    sign = Sign(all=("no kernel image is available", "flash_attn"), within=5)
    near = "import flash_attn\n" + "x\n" * 4 + "no kernel image is available\n"
    far = "import flash_attn\n" + "x\n" * 5 + "no kernel image is available\n"
    assert find(read(near), sign) == (
        LogLine(line=1, text="import flash_attn"),
        LogLine(line=6, text="no kernel image is available"),
    )
    assert find(read(far), sign) is None


def test_what_may_not_be_near_is_looked_for_there_only():
    sign = Sign(all=("no kernel image is available",), none=("re:xformers",), within=2)
    assert find(read("xformers\nno kernel image is available"), sign) is None
    assert find(read("xformers\n\n\n\nno kernel image is available"), sign) is not None


def test_a_long_log_keeps_its_ends_and_what_was_found():
    pieces = [NOISE * 8000, NOISE * 20000, b"E no kernel image is available\n", NOISE * 30000, b"end"]
    digest = read_log(pieces, LITERALS)
    assert digest.lines_total == 58002
    assert digest.numbers[0] == 1
    assert digest.numbers[-1] == 58002
    assert find(digest) == (LogLine(line=28001, text="E no kernel image is available"),)
    assert len(digest.text) < 2_000_000


def test_it_is_found_wherever_the_pieces_are_cut():
    log = NOISE * 45000 + b"E no kernel image is available\n" + NOISE * 20000
    at = log.index(b"kernel")
    for cut in (at, at + 3, at + 20):
        assert find(read_log([log[:cut], log[cut:]], LITERALS)) == (
            LogLine(line=45001, text="E no kernel image is available"),
        )


def test_a_line_that_a_log_repeats_does_not_hide_another():
    warning = b"W import flash_attn\n"
    log = NOISE * 5000 + warning * 100_000 + b"E no kernel image is available\n" + warning * 100_000
    digest = read_log([log], LITERALS)
    assert find(digest) == (LogLine(line=105001, text="E no kernel image is available"),)


def test_a_long_log_in_utf_16():
    text = NOISE.decode() * 20000 + "no kernel image is available\n" + NOISE.decode() * 20000
    data = text.encode("utf-16")
    pieces = [data[i : i + 99_999] for i in range(0, len(data), 99_999)]
    assert find(read_log(pieces, LITERALS)) == (LogLine(line=20001, text="no kernel image is available"),)


def test_a_line_without_an_end_is_no_burden():
    reducer = LogReducer(LITERALS)
    for _ in range(40):
        reducer.feed(b"x" * 2**20)
    reducer.feed(b" no kernel image is available ")
    digest = reducer.close()
    assert len(digest.text) < 4 * 2**20
    evidence = find(digest)
    assert evidence is not None
    assert evidence[0].text.endswith("no kernel image is available")


@pytest.mark.parametrize("end", [b"", b"\n", b"\nlast"])
def test_lines_are_counted_wherever_the_log_is_cut(end):
    """2 MiB is where a line without an end is cut: what is fed last may end with it."""
    log = b"x" * (4 * 2**20 - len(end)) + end
    assert len(log) == 4 * 2**20
    assert read_log([log], LITERALS).lines_total == 1 + end.endswith(b"last")
    assert read_log([log[: 2**20], log[2**20 :], b""], LITERALS).lines_total == 1 + end.endswith(b"last")


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"], ids=["lf", "cr", "crlf"])
def test_short_lines_are_no_burden(end):
    """One letter per line: as many lines as bytes, of which the ends are kept and what was found."""
    log = (b"x" + end) * 500_000 + b"E no kernel image is available" + end + (b"x" + end) * 500_000
    digest = read_log([log], LITERALS)
    newlines = log.count(b"\n")
    assert digest.lines_total == (newlines or 1)
    assert 40_000 <= len(digest.numbers) < 41_000
    assert (digest.numbers[0], digest.numbers[-1]) == (1, newlines or 1)
    line = 500_001 if newlines else 1
    assert find(digest) == (LogLine(line=line, text="E no kernel image is available"),)


def test_a_log_of_many_lines_is_cut_even_when_it_is_short():
    assert len(read_log([b"x\n" * 60_000], LITERALS).numbers) == 60_000
    assert len(read_log([b"x\n" * 60_001], LITERALS).numbers) == 40_000


@pytest.mark.parametrize("before", [3, 40, 2000])
def test_lines_around_what_was_found_have_their_numbers(before):
    """Wherever in a piece it stands: lines are counted by blocks of some kilobytes."""
    log = NOISE * 60_000 + b"y\n" * before + b"E no kernel image is available\nz\n" + NOISE * 60_000
    digest = read_log([log[i : i + 2**20] for i in range(0, len(log), 2**20)], LITERALS)
    numbers = [n for n in digest.numbers if abs(n - 60_001 - before) <= min(before, 5)]
    assert numbers == list(range(60_001 + before - min(before, 5), 60_002 + before + min(before, 5)))
    assert find(digest) == (LogLine(line=60_001 + before, text="E no kernel image is available"),)


def test_what_is_near_on_a_line_that_was_overwritten_is_bounded():
    """All parts have the number 1: only 200 on either side are near, and 64 KiB."""
    sign = Sign(all=("no kernel image is available", "flash_attn"), within=5)
    for part, near, far in (("x\r", 199, 200), ("y" * 1023 + "\r", 63, 64)):
        for log in (
            "import flash_attn\r{}no kernel image is available",
            "no kernel image is available\r{}flash_attn",
        ):
            assert find(read(log.format(part * near)), sign) is not None
            assert find(read(log.format(part * far)), sign) is None


def test_a_long_run_of_one_letter_is_found_by_its_ends():
    reducer = LogReducer(["!!!!!!!!"])
    reducer.feed(b"page 3: " + b"!" * 3_000_000 + b"\nend\n")
    digest = reducer.close()
    sign = Sign(all=("!!!!!!!!",))
    assert digest.lines_total == 2
    assert find(digest, sign) == (LogLine(line=1, text="\u2026" + "!" * 68),)


def test_evidence_of_a_long_line_shows_the_place():
    digest = build_digest(split_lines("a" * 500 + " no kernel image is available " + "b" * 500), 1)
    assert find(digest) == (
        LogLine(line=1, text="\u2026" + "a" * 59 + " no kernel image is available " + "b" * 151),
    )


def test_nothing_is_a_log_too():
    assert read_log([], LITERALS).numbers == ()
    assert read_log([b"\n\n \n"], LITERALS).lines_total == 3
