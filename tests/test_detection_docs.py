"""docs/detection.md names exactly what can be pasted.

Rewrite its list with `python -m tests.test_detection_docs`.
"""

from pathlib import Path

from provision.core.parse.overrides import OVERRIDES
from provision.core.parse.recognise import LAST_RESORT, SOURCES

PAGE = Path(__file__).parent.parent / "docs" / "detection.md"
BEGIN, END = "<!-- kinds: begin -->\n", "<!-- kinds: end -->"


def render_kinds() -> str:
    kinds = sorted({source.kind for source in (*SOURCES, *LAST_RESORT)}, key=str.lower)
    lines, line = [], ""
    for kind in kinds:
        item = f"`{kind}`" + ("." if kind == kinds[-1] else ",")
        if len(line) + len(item) > 118:
            lines.append(line)
            line = ""
        line = f"{line} {item}".strip()
    return "\n".join([*lines, line]) + "\n"


def render_page(text: str) -> str:
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + render_kinds() + END + rest.partition(END)[2]


def test_the_kinds_that_can_be_pasted() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == render_page(text), "python -m tests.test_detection_docs"


def test_every_override_is_documented() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in OVERRIDES if f"`{name}`" not in text] == []


if __name__ == "__main__":
    PAGE.write_text(render_page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
