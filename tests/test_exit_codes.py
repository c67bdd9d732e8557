"""The table of exit codes is one: in `errors.py` and in the docs."""

from __future__ import annotations

import re
from pathlib import Path

from provision.errors import EXIT_CODE_MEANINGS, ExitCode

DOC = Path(__file__).parent.parent / "docs" / "exit-codes.md"


def test_docs_show_the_table_of_the_code() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", DOC.read_text(encoding="utf-8"), re.MULTILINE)
    assert {int(code): meaning for code, meaning in rows} == {
        int(c): m for c, m in EXIT_CODE_MEANINGS.items()
    }
    assert set(EXIT_CODE_MEANINGS) == set(ExitCode)
