"""The embedded model's folder as it is committed, and the grid that its pages are drawn on. No torch needed."""

from __future__ import annotations

import hashlib
import json
from math import prod
from pathlib import Path
from typing import Any

import pytest

from provision.core.page_text import GRID_COLUMNS, GRID_ROWS
from smoke.pages import grid
from smoke.training import card, evaluation_pages, vocabulary

FOLDER = Path(__file__).parents[2] / "smoke" / "embedded" / "tiny_qwen2_vl"
MOST_BYTES = 6_000_000


def load_json(name: str) -> Any:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def weights() -> bytes:
    return (FOLDER / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def header(weights: bytes) -> dict[str, Any]:
    """The safetensors header: 8 bytes of length, little-endian, then JSON."""
    return json.loads(weights[8 : 8 + int.from_bytes(weights[:8], "little")])


def test_the_folder_holds_these_files_and_no_pickle() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == [
        "README.md",
        "chat_template.jinja",
        "config.json",
        "evaluation.json",
        "generation_config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= MOST_BYTES


def test_the_classes_are_those_of_qwen2_vl() -> None:
    config = load_json("config.json")
    assert config["architectures"] == ["Qwen2VLForConditionalGeneration"]
    assert config["model_type"] == "qwen2_vl"
    assert load_json("tokenizer_config.json")["tokenizer_class"] == "Qwen2Tokenizer"
    preprocessor = load_json("preprocessor_config.json")
    assert preprocessor["processor_class"] == "Qwen2VLProcessor"
    assert preprocessor["image_processor_type"] == "Qwen2VLImageProcessor"


def test_no_configuration_says_where_it_was_written() -> None:
    for name in (
        "config.json",
        "generation_config.json",
        "tokenizer_config.json",
        "preprocessor_config.json",
    ):
        assert not {"_name_or_path", "name_or_path", "transformers_version"} & load_json(name).keys()


def test_token_0_is_the_exclamation_mark_and_the_tokenizer_is_the_one_that_was_trained() -> None:
    tokenizer = load_json("tokenizer.json")
    assert tokenizer["model"]["vocab"]["!"] == 0
    assert tokenizer == vocabulary.build_tokenizer()


def test_configured_token_ids_are_those_of_the_tokenizer() -> None:
    ids = vocabulary.build_vocabulary()
    config = load_json("config.json")
    assert config["vocab_size"] == len(ids) == 264
    assert {key: config[key] for key in config if key.endswith("_token_id")} == {
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "vision_token_id": ids["<|vision_pad|>"],
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
    }
    assert load_json("generation_config.json") == {
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]],
        "pad_token_id": ids["<|endoftext|>"],
        "do_sample": False,
    }


def test_weights_are_bf16_and_fill_the_file(weights: bytes, header: dict[str, Any]) -> None:
    assert header.pop("__metadata__") == {"format": "pt"}
    assert {tensor["dtype"] for tensor in header.values()} == {"BF16"}
    parameters = sum(prod(tensor["shape"]) for tensor in header.values())
    header_bytes = 8 + int.from_bytes(weights[:8], "little")
    assert len(weights) == header_bytes + 2 * parameters
    training = load_json("evaluation.json")["training"]
    assert (training["parameters"], training["weights_bytes"]) == (parameters, len(weights))


def test_weights_have_the_names_of_the_hubs_checkpoints_and_no_tied_copy(header: dict[str, Any]) -> None:
    assert {
        "model.embed_tokens.weight",
        "visual.patch_embed.proj.weight",
        "visual.merger.mlp.2.weight",
    } <= set(header)
    assert "lm_head.weight" not in header


def test_what_was_evaluated_is_what_is_committed(weights: bytes) -> None:
    assert load_json("evaluation.json")["weights_sha256"] == hashlib.sha256(weights).hexdigest()


def test_every_evaluation_reached_the_bar() -> None:
    runs = load_json("evaluation.json")["evaluations"]
    assert {run["dtype"] for run in runs} == {"bfloat16"}
    assert {run["pages"] for run in runs} == {300}
    assert all(run["exact"] >= 0.98 * run["pages"] for run in runs)
    assert {("CPU" in run["device"], run["attention"]) for run in runs} == {
        (True, "eager"),
        (True, "sdpa"),
        (False, "eager"),
        (False, "sdpa"),
    }


def test_no_seed_serves_both_training_and_evaluation() -> None:
    record = load_json("evaluation.json")
    assert record["training"]["seeds"] == [0, record["training"]["steps"] - 1]
    for run in record["evaluations"]:
        assert run["seeds"] == [evaluation_pages.FIRST_SEED, evaluation_pages.FIRST_SEED + run["pages"] - 1]
        assert run["seeds"][0] > record["training"]["seeds"][1]


def test_the_card_says_what_was_measured() -> None:
    record = load_json("evaluation.json")
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert readme == card.render_card(record)
    assert [line for line in readme.splitlines() if " of 300 |" in line] == [
        card.render_row(run) for run in record["evaluations"]
    ]


def test_a_card_is_not_made_from_runs_of_different_weights() -> None:
    with pytest.raises(ValueError, match=r"^the runs are of 2 different weights$"):
        card.build_record({}, [{"weights_sha256": "a"}, {"weights_sha256": "b"}])


def test_the_grid_is_the_one_that_page_texts_are_built_for() -> None:
    assert (grid.ROWS, grid.COLUMNS) == (GRID_ROWS, GRID_COLUMNS)
    assert (grid.PAGE_WIDTH, grid.PAGE_HEIGHT) == (448, 112)
    assert len(grid.CHARACTERS) == 95


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a"] * 5, "a grid page has 4 lines at most, not 5"),
        (["a", "b" * 33], "line 2 has 33 characters, a grid line has 32 at most"),
        (["Größe in €"], "line 1 has characters that the grid has not: 'ßö€'"),
        (["a\tb"], "line 1 has characters that the grid has not: '\\t'"),
    ],
)
def test_lines_that_do_not_fit_the_grid_are_refused(lines: list[str], message: str) -> None:
    with pytest.raises(ValueError, match="grid") as caught:
        grid.render_grid(lines)
    assert str(caught.value) == message


def test_evaluation_pages_fit_the_grid_and_are_of_three_kinds() -> None:
    pages = evaluation_pages.draw_evaluation_pages(300)
    for page in pages:
        grid.check_lines(page.lines)
    assert len({page.text for page in pages}) == 300
    kinds = [page.kind for page in pages]
    assert {kind: kinds.count(kind) for kind in kinds} == {"characters": 150, "invoice": 100, "words": 50}
