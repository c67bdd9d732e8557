"""Findings as JUnit XML, which build servers show: a suite for each group, a case for each finding."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby
from xml.etree import ElementTree

from provision.model.finding import Examination, Finding, Severity

# What XML 1.0 cannot hold, not even escaped: https://www.w3.org/TR/xml/#charsets
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_junit(examination: Examination) -> str:
    """The document. A warning passes and says so in its output; a check that broke is an error."""
    broken = {check.id: check.error for check in examination.broken}
    root = ElementTree.Element("testsuites", name="provision doctor")
    ordered = sorted(examination.findings, key=lambda finding: finding.group)
    for group, found in groupby(ordered, key=lambda finding: finding.group):
        _add_suite(root, group, list(found), broken)
    _count(root, [case for suite in root for case in suite])
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False)


def _add_suite(
    root: ElementTree.Element, group: str, findings: list[Finding], broken: dict[str, str]
) -> None:
    suite = ElementTree.SubElement(root, "testsuite", name=group)
    for finding in findings:
        suite.append(_build_case(finding, broken.get(finding.id)))
    _count(suite, suite)


def _build_case(finding: Finding, broken: str | None) -> ElementTree.Element:
    name = finding.id if finding.subject is None else f"{finding.id} [{finding.subject}]"
    case = ElementTree.Element("testcase", classname=f"doctor.{finding.group}", name=_escape(name))
    cure = f"cure: {finding.cure}" if finding.cure else ""
    message = _escape(finding.evidence)
    if broken is not None:
        ElementTree.SubElement(case, "error", message=message, type="broken-check").text = _escape(broken)
    elif finding.severity is Severity.FAIL:
        ElementTree.SubElement(case, "failure", message=message, type="fail").text = _escape(cure)
    elif finding.severity is Severity.SKIP:
        ElementTree.SubElement(case, "skipped", message=message)
    else:
        warning = "warning: " if finding.severity is Severity.WARN else ""
        lines = [f"{warning}{finding.evidence}", *([cure] if cure else [])]
        ElementTree.SubElement(case, "system-out").text = _escape("\n".join(lines))
    return case


def _count(element: ElementTree.Element, cases: Iterable[ElementTree.Element]) -> None:
    listed = list(cases)
    element.set("tests", str(len(listed)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(attribute, str(sum(case.find(tag) is not None for case in listed)))


def _escape(text: str) -> str:
    """What XML cannot hold becomes visible: `\\x1b` for an escape character."""
    return _FORBIDDEN.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
