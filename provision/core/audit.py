"""Reads what uv and pip-audit say of known vulnerabilities, and joins it with the stacks that hold the packages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from provision.model.audit import AuditedPackage, AuditStatus, ServiceAnswer, Vulnerability
from provision.model.packages import StackLock

_Said = TypeVar("_Said")
_SUMMARY_CHARS = 300
# What `uv audit` calls its format while it is a preview: another may mean something else by the same words.
_UV_SCHEMA = "preview"


class Verdict(Struct, frozen=True, kw_only=True):
    """What one service says of one package: advisories, or why it does not say."""

    vulnerabilities: tuple[Vulnerability, ...] = ()
    reason: str | None = None


_UNASKED = Verdict(reason="it was not asked about")


class AuditSubject(Struct, frozen=True, kw_only=True):
    """A stack to audit."""

    name: str
    models: tuple[str, ...]
    lock: StackLock


class _UvDependency(Struct):
    name: str
    version: str | None = None


class _UvVulnerability(Struct):
    dependency: _UvDependency
    id: str
    display_id: str | None = None
    aliases: list[str] = []
    summary: str | None = None
    description: str | None = None
    link: str | None = None
    fix_versions: list[str] = []


class _UvSchema(Struct):
    version: str


class _UvSummary(Struct):
    audited_packages: int


class _UvReport(Struct):
    schema: _UvSchema
    summary: _UvSummary
    vulnerabilities: list[_UvVulnerability]


class _PipVulnerability(Struct):
    id: str
    fix_versions: list[str] = []
    aliases: list[str] = []
    description: str = ""


class _PipDependency(Struct):
    name: str
    skip_reason: str | None = None
    vulns: list[_PipVulnerability] | None = None


class _PipReport(Struct):
    dependencies: list[_PipDependency]


def build_question(lock: StackLock) -> dict[str, str]:
    """Versions by name as advisories name them: the label of a local build (`2.13.0+cpu`) is left out."""
    return {wheel.name: wheel.version.partition("+")[0] for wheel in lock.wheels}


def parse_uv_audit(answer: ServiceAnswer, asked: Mapping[str, str]) -> dict[str, Verdict]:
    """What `uv audit --output-format json` says of each package of `asked`.

    One that audited fewer packages than were asked about says nothing of any: which, it does not tell.
    """
    report = _decode(answer, _UvReport)
    if isinstance(report, str):
        return _refuse(asked, report)
    if report.schema.version != _UV_SCHEMA:
        return _refuse(asked, f"uv answers in format {report.schema.version!r}, which is not known here")
    if report.summary.audited_packages != len(asked):
        return _refuse(asked, f"uv audited {report.summary.audited_packages} of {len(asked)} packages")
    found: dict[str, list[Vulnerability]] = {name: [] for name in asked}
    for one in report.vulnerabilities:
        if one.dependency.name not in found:
            return _refuse(asked, f"uv tells of {one.dependency.name}, which nobody asked about")
        name = one.display_id or one.id
        found[one.dependency.name].append(
            _build(name, [one.id, *one.aliases], one.fix_versions, one.summary or one.description, one.link)
        )
    return {name: Verdict(vulnerabilities=_sort(found[name])) for name in asked}


def parse_pip_audit(answer: ServiceAnswer, asked: Mapping[str, str]) -> dict[str, Verdict]:
    """What `pip-audit --format json` says of each package of `asked`.

    It ends with 0 and "no known vulnerabilities" although it skipped packages: what it skipped was not audited.
    """
    report = _decode(answer, _PipReport)
    if isinstance(report, str):
        return _refuse(asked, report)
    verdicts = _refuse(asked, "pip-audit does not mention it")
    for one in report.dependencies:
        if one.name not in asked:
            continue
        if one.vulns is None:
            verdicts[one.name] = Verdict(reason=_explain_skip(one.skip_reason))
            continue
        vulnerabilities = [
            _build(known.id, known.aliases, known.fix_versions, known.description, None)
            for known in one.vulns
        ]
        verdicts[one.name] = Verdict(vulnerabilities=_sort(vulnerabilities))
    return verdicts


def _explain_skip(reason: str | None) -> str:
    """pip-audit's reason without the package in it, so that the same reason reads the same for all."""
    if reason is not None and reason.startswith("Dependency not found on PyPI"):
        return "PyPI does not know it"
    return reason or "pip-audit skipped it"


def needs_asking(verdicts: Mapping[str, Verdict]) -> dict[str, str]:
    """The packages of which a service did not say anything, with its reason."""
    return {name: verdict.reason for name, verdict in verdicts.items() if verdict.reason is not None}


def join_verdicts(first: Mapping[str, Verdict], second: Mapping[str, Verdict]) -> dict[str, Verdict]:
    """The first service's word, the second's where the first had none; the reasons of both where neither had."""
    joined = dict(first)
    for name, verdict in second.items():
        said = joined.get(name, Verdict(reason=""))
        if said.reason is not None:
            both = "; ".join(filter(None, (said.reason, verdict.reason)))
            joined[name] = verdict if verdict.reason is None else Verdict(reason=both)
    return joined


def build_packages(
    subjects: Sequence[AuditSubject], verdicts: Mapping[str, Mapping[str, Verdict]]
) -> tuple[AuditedPackage, ...]:
    """Every version of every package once, with the stacks that hold it; `verdicts` by stack and name."""
    places: dict[tuple[str, str], list[AuditSubject]] = {}
    for subject in subjects:
        for wheel in subject.lock.wheels:
            places.setdefault((wheel.name, wheel.version), []).append(subject)
    packages = []
    for (name, version), holders in sorted(places.items()):
        heard = [verdicts[holder.name].get(name, _UNASKED) for holder in holders]
        said = next((verdict for verdict in heard if verdict.reason is None), heard[0])
        packages.append(
            AuditedPackage(
                name=name,
                version=version,
                stacks=tuple(holder.name for holder in holders),
                models=tuple(dict.fromkeys(key for holder in holders for key in holder.models)),
                status=_judge(said),
                vulnerabilities=said.vulnerabilities,
                reason=said.reason,
            )
        )
    return tuple(packages)


def _judge(verdict: Verdict) -> AuditStatus:
    if verdict.reason is not None:
        return AuditStatus.NOT_AUDITED
    return AuditStatus.VULNERABLE if verdict.vulnerabilities else AuditStatus.CLEAN


def _decode(answer: ServiceAnswer, kind: type[_Said]) -> _Said | str:
    """What was said, or why it cannot be read."""
    if answer.text is None:
        return answer.reason or f"{answer.service} gave no answer"
    try:
        return msgspec.json.decode(answer.text, type=kind)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        return f"the answer about {answer.service} cannot be read: {error}"


def _refuse(asked: Iterable[str], reason: str) -> dict[str, Verdict]:
    return dict.fromkeys(asked, Verdict(reason=reason))


def _build(
    name: str, names: Iterable[str], fixed_in: Iterable[str], summary: str | None, link: str | None
) -> Vulnerability:
    words = " ".join((summary or "").split())
    return Vulnerability(
        id=name,
        aliases=tuple(sorted(set(names) - {name})),
        fixed_in=tuple(fixed_in),
        summary=words if len(words) <= _SUMMARY_CHARS else f"{words[: _SUMMARY_CHARS - 1]}…",
        link=link,
    )


def _sort(found: Iterable[Vulnerability]) -> tuple[Vulnerability, ...]:
    return tuple(sorted(found, key=lambda one: one.id))
