"""docs/doctor.md lists every check with its question, as the registry has them."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from provision.core.checks import CHECKS, Needs

DOC = Path(__file__).parent.parent / "docs" / "doctor.md"
_NEEDS = {Needs.FACTS: "", Needs.HERE: "", Needs.NETWORK: " (`--network`)", Needs.DEEP: " (`--deep`)"}


def render_tables() -> str:
    """The section `## Checks` of the page."""
    parts = []
    for group, checks in groupby(CHECKS.values(), key=lambda check: check.group):
        rows = "".join(f"| `{check.id}` | {check.question}{_NEEDS[check.needs]} |\n" for check in checks)
        parts.append(f"### {group}\n\n| id | question |\n|---|---|\n{rows}")
    return "\n".join(parts)


def test_the_page_lists_the_registry() -> None:
    """When this fails: `python -m tests.test_doctor_docs` writes the page anew."""
    assert DOC.read_text(encoding="utf-8").partition("## Checks\n\n")[2] == render_tables()


if __name__ == "__main__":
    head = DOC.read_text(encoding="utf-8").partition("## Checks\n\n")[0]
    DOC.write_text(f"{head}## Checks\n\n{render_tables()}", encoding="utf-8")
