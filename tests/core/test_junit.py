"""Findings as JUnit XML that every reader takes."""

from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from provision.core.junit import render_junit
from provision.model.finding import BrokenCheck, Examination, Finding, Severity

EXAMINATION = Examination(
    findings=(
        Finding(id="disk.space", severity=Severity.FAIL, evidence="1 GB free", cure="uv cache prune"),
        Finding(id="stack.files", severity=Severity.PASS, evidence="all there", subject="stack main"),
        Finding(id="disk.links", severity=Severity.WARN, evidence="copies", cure="move it"),
        Finding(id="network.hub", severity=Severity.SKIP, evidence="asked with --network only"),
        Finding(id="tool.uv", severity=Severity.SKIP, evidence="this check broke: TypeError: x"),
    ),
    broken=(BrokenCheck(id="tool.uv", error="TypeError: x"),),
)


def test_a_suite_for_each_group_and_a_case_for_each_finding() -> None:
    assert render_junit(EXAMINATION) == (
        '<testsuites name="provision doctor" tests="5" failures="1" errors="1" skipped="1">\n'
        '  <testsuite name="disk" tests="2" failures="1" errors="0" skipped="0">\n'
        '    <testcase classname="doctor.disk" name="disk.space">\n'
        '      <failure message="1 GB free" type="fail">cure: uv cache prune</failure>\n'
        "    </testcase>\n"
        '    <testcase classname="doctor.disk" name="disk.links">\n'
        "      <system-out>warning: copies\ncure: move it</system-out>\n"
        "    </testcase>\n"
        "  </testsuite>\n"
        '  <testsuite name="network" tests="1" failures="0" errors="0" skipped="1">\n'
        '    <testcase classname="doctor.network" name="network.hub">\n'
        '      <skipped message="asked with --network only" />\n'
        "    </testcase>\n"
        "  </testsuite>\n"
        '  <testsuite name="stack" tests="1" failures="0" errors="0" skipped="0">\n'
        '    <testcase classname="doctor.stack" name="stack.files [stack main]">\n'
        "      <system-out>all there</system-out>\n"
        "    </testcase>\n"
        "  </testsuite>\n"
        '  <testsuite name="tool" tests="1" failures="0" errors="1" skipped="0">\n'
        '    <testcase classname="doctor.tool" name="tool.uv">\n'
        '      <error message="this check broke: TypeError: x" type="broken-check">TypeError: x</error>\n'
        "    </testcase>\n"
        "  </testsuite>\n"
        "</testsuites>"
    )


def test_what_xml_cannot_hold_becomes_visible() -> None:
    finding = Finding(id="a.b", severity=Severity.FAIL, evidence="\x1b[31m<&>\x00 \ud800")
    text = render_junit(Examination(findings=(finding,)))
    [case] = ElementTree.fromstring(text).iter("failure")  # noqa: S314 - our own text
    assert case.get("message") == r"\x1b[31m<&>\x00 \ud800"


@given(st.text(st.characters(codec=None)), st.none() | st.text(), st.sampled_from(Severity))
def test_whatever_a_finding_says_the_xml_is_whole(
    evidence: str, cure: str | None, severity: Severity
) -> None:
    finding = Finding(id="a.b", severity=severity, evidence=evidence, cure=cure, subject=cure)
    text = render_junit(Examination(findings=(finding,)))
    root = ElementTree.fromstring(text.encode())  # noqa: S314 - our own text
    assert len(list(root.iter("testcase"))) == 1
