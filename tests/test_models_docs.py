"""docs/models.md says what profiles/models.yaml says. Rewrite it with `python -m tests.test_models_docs`."""

from pathlib import Path

from provision.core.models_table import BEGIN, END, render_models_table
from provision.model.catalogue import Catalogue, Generation, ModelSpec
from provision.model.profile import Evidence, EvidenceStatus
from tests.support.profiles import load_data

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "models.md"


def list_families() -> set[str]:
    """What the worker has a module for: beside the package's own file, each is one family."""
    return {path.stem for path in (ROOT / "smoke" / "families").glob("*.py")} - {"__init__"}


def render_page(text: str) -> str:
    table = render_models_table(load_data("models", Catalogue).models, list_families())
    return text.partition(BEGIN)[0] + table.rstrip("\n") + text.partition(END)[2]


def test_the_documentation_is_the_data() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == render_page(text), "python -m tests.test_models_docs"


def test_every_model_is_in_the_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    models = load_data("models", Catalogue).models
    assert [model.key for model in models if f"| `{model.key}` |" not in text] == []


def test_the_table_of_one_model() -> None:
    model = ModelSpec(
        key="some_ocr",
        name="Some OCR",
        family="some",
        model_type="some_ocr",
        transformers=">=5,<6",
        repo_id="some/ocr",
        generation=Generation(prompt="<image>\nRead.", max_new_tokens=64, card="top_p 0.8 | <image> first"),
        licence="MIT",
        weights_bytes=3_000_000_000,
        context_length=4096,
        production=True,
        packages=("einops",),
        needs_torchvision=True,
        trust_remote_code=True,
        evidence=(
            Evidence(claim="it reads", status=EvidenceStatus.UNKNOWN, source="no word", date="2026-11-21"),
        ),
    )
    assert render_models_table([model], {"other"}) == (
        "<!-- generated from profiles/models.yaml: begin -->\n"
        "\n"
        "## What each needs\n"
        "\n"
        "| model | from | revision | licence | transformers | besides | own code | smoke asks it |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
        "| `some_ocr` | some/ocr | unknown | MIT | `>=5,<6` | einops torchvision | yes | not yet |\n"
        "\n"
        "## Sizes\n"
        "\n"
        "| model | parameters | weights | memory in bf16 | a token adds |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| `some_ocr` | unknown | 3.00 GB (2.79 GiB) | unknown | unknown |\n"
        "\n"
        "## How each is asked\n"
        "\n"
        "| model | prompt | tokens | pixels | its makers set | notes |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| `some_ocr` | `<image>⏎Read.` | 64 | as its processor says | top_p 0.8 \\| &lt;image> first |  |\n"
        "\n"
        "## Evidence\n"
        "\n"
        "| model | claim | status | source | date |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| `some_ocr` | it reads | unknown | no word | 2026-11-21 |\n"
        "\n"
        "<!-- generated from profiles/models.yaml: end -->\n"
    )


if __name__ == "__main__":
    PAGE.write_text(render_page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
