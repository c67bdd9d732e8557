"""The folders of tiny_qwen3_vl and tiny_got_ocr2 as they are committed, and how cards are written. No torch needed."""

from __future__ import annotations

import hashlib
import json
from math import prod
from typing import Any

import pytest

from smoke.training import card, evaluation_pages, registry, vocabulary
from smoke.training.registry import TINY_GOT_OCR2, TINY_QWEN2_VL, TINY_QWEN3_VL, Architecture

MOST_BYTES = 6_000_000
CLASSES = {
    "tiny_qwen3_vl": (
        "Qwen3VLForConditionalGeneration",
        "qwen3_vl",
        "Qwen2Tokenizer",
        "Qwen3VLProcessor",
        "Qwen2VLImageProcessor",
    ),
    "tiny_got_ocr2": (
        "GotOcr2ForConditionalGeneration",
        "got_ocr2",
        "PreTrainedTokenizerFast",
        "GotOcr2Processor",
        "GotOcr2ImageProcessor",
    ),
}
# As the published checkpoints name them.
WEIGHT_NAMES = {
    "tiny_qwen3_vl": {
        "model.language_model.embed_tokens.weight",
        "model.visual.deepstack_merger_list.0.norm.weight",
        "model.visual.pos_embed.weight",
    },
    "tiny_got_ocr2": {
        "language_model.model.embed_tokens.weight",
        "multi_modal_projector.conv_upsampler1.weight",
        "vision_tower.layers.0.attn.rel_pos_h",
    },
}
ATTENTIONS = {"tiny_qwen3_vl": {"eager", "sdpa"}, "tiny_got_ocr2": {"eager", "eager+sdpa"}}

of_both = pytest.mark.parametrize("model", [TINY_QWEN3_VL, TINY_GOT_OCR2], ids=lambda model: model.name)


def load_json(model: Architecture, name: str) -> Any:
    return json.loads((model.folder / name).read_text(encoding="utf-8"))


def read_header(weights: bytes) -> dict[str, Any]:
    """The safetensors header: 8 bytes of length, little-endian, then JSON."""
    return json.loads(weights[8 : 8 + int.from_bytes(weights[:8], "little")])


def list_own_runs(model: Architecture) -> list[dict[str, Any]]:
    return [
        run for run in load_json(model, "evaluation.json")["evaluations"] if run["prompt"] == model.prompt
    ]


def test_every_embedded_folder_is_registered_under_its_name() -> None:
    folders = {path.name for path in registry.EMBEDDED_DIR.iterdir() if (path / "evaluation.json").exists()}
    trained_here = {name: model.folder.name for name, model in registry.ARCHITECTURES.items()}
    assert trained_here == {name: name for name in ("tiny_qwen2_vl", "tiny_qwen3_vl", "tiny_got_ocr2")}
    assert set(trained_here) <= folders


@of_both
def test_the_folder_holds_these_files_and_no_pickle(model: Architecture) -> None:
    written = {"README.md", "evaluation.json", "model.safetensors", "tokenizer.json"}
    assert {path.name for path in model.folder.iterdir()} == {*model.description, *written}
    assert ("chat_template.jinja" in model.description) is (model is TINY_QWEN3_VL)
    assert sum(path.stat().st_size for path in model.folder.iterdir()) <= MOST_BYTES


@of_both
def test_the_classes_are_transformers_own(model: Architecture) -> None:
    config, preprocessor = load_json(model, "config.json"), load_json(model, "preprocessor_config.json")
    assert (
        *config["architectures"],
        config["model_type"],
        load_json(model, "tokenizer_config.json")["tokenizer_class"],
        preprocessor["processor_class"],
        preprocessor["image_processor_type"],
    ) == CLASSES[model.name]
    assert "auto_map" not in config


@of_both
def test_no_configuration_says_where_it_was_written(model: Architecture) -> None:
    for name in model.description:
        if name.endswith(".json"):
            assert (
                not {"_name_or_path", "name_or_path", "transformers_version"} & load_json(model, name).keys()
            )


@of_both
def test_token_0_is_the_exclamation_mark_and_the_tokenizer_is_the_one_that_was_trained(
    model: Architecture,
) -> None:
    tokenizer = load_json(model, "tokenizer.json")
    assert tokenizer["model"]["vocab"]["!"] == 0
    assert tokenizer == vocabulary.build_tokenizer(model.special_tokens)


def test_pages_are_taught_in_ids_that_both_vocabularies_share() -> None:
    shared = {token: index for token, index in vocabulary.build_vocabulary().items() if index < 256}
    got = vocabulary.build_vocabulary(vocabulary.GOT_TOKENS)
    assert {token: got[token] for token in shared} == shared
    assert got["<|im_end|>"] == vocabulary.build_vocabulary()["<|im_end|>"] == 258


def test_configured_token_ids_are_those_of_the_tokenizer() -> None:
    ids = vocabulary.build_vocabulary()
    config = load_json(TINY_QWEN3_VL, "config.json")
    assert {key: value for key, value in config.items() if key.endswith("_token_id")} == {
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
    }
    assert config["text_config"]["vocab_size"] == len(ids) == 264
    got_ids = vocabulary.build_vocabulary(vocabulary.GOT_TOKENS)
    config = load_json(TINY_GOT_OCR2, "config.json")
    assert (config["image_token_index"], config["pad_token_id"]) == (
        got_ids["<imgpad>"],
        got_ids["<|endoftext|>"],
    )
    assert config["text_config"]["vocab_size"] >= len(got_ids) == 262


@of_both
def test_an_answer_ends_with_its_turn_or_with_the_text(model: Architecture) -> None:
    ids = vocabulary.build_vocabulary(model.special_tokens)
    assert load_json(model, "generation_config.json") == {
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]],
        "pad_token_id": ids["<|endoftext|>"],
        "do_sample": False,
    }


@of_both
def test_weights_are_bf16_and_fill_the_file_under_the_hubs_names(model: Architecture) -> None:
    weights = (model.folder / "model.safetensors").read_bytes()
    header = read_header(weights)
    assert header.pop("__metadata__") == {"format": "pt"}
    assert {tensor["dtype"] for tensor in header.values()} == {"BF16"}
    parameters = sum(prod(tensor["shape"]) for tensor in header.values())
    assert len(weights) == 8 + int.from_bytes(weights[:8], "little") + 2 * parameters
    training = load_json(model, "evaluation.json")["training"]
    assert (training["parameters"], training["weights_bytes"]) == (parameters, len(weights))
    assert WEIGHT_NAMES[model.name] <= set(header)
    assert not [name for name in header if name.endswith("lm_head.weight")], "a tied weight is kept once"


@of_both
def test_what_was_evaluated_is_what_is_committed(model: Architecture) -> None:
    weights = (model.folder / "model.safetensors").read_bytes()
    record = load_json(model, "evaluation.json")
    assert record["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    assert record["training"]["model"] == model.name


@of_both
def test_every_evaluation_reached_the_bar(model: Architecture) -> None:
    runs = list_own_runs(model)
    assert {run["dtype"] for run in runs} == {"bfloat16"}
    assert min(run["pages"] for run in runs) >= 200
    assert all(run["exact"] >= 0.98 * run["pages"] for run in runs)
    for on_cpu in (True, False):
        attentions = {run["attention"] for run in runs if ("CPU" in run["device"]) is on_cpu}
        assert attentions == ATTENTIONS[model.name]


@of_both
def test_no_seed_serves_both_training_and_evaluation(model: Architecture) -> None:
    record = load_json(model, "evaluation.json")
    assert record["training"]["seeds"] == [0, record["training"]["steps"] - 1]
    for run in record["evaluations"]:
        assert run["seeds"] == [evaluation_pages.FIRST_SEED, evaluation_pages.FIRST_SEED + run["pages"] - 1]
        assert run["seeds"][0] > record["training"]["seeds"][1]


@of_both
def test_the_card_says_what_was_measured(model: Architecture) -> None:
    record = load_json(model, "evaluation.json")
    readme = (model.folder / "README.md").read_text(encoding="utf-8")
    assert readme == card.render_card(record)
    assert set(map(card.render_row, list_own_runs(model))) <= set(readme.splitlines())


TRAINING = {"model": "tiny_got_ocr2", "batch": 256, "most_steps": 12_000, "limit_s": 440.0}


@pytest.mark.parametrize(
    ("training", "command"),
    [
        ({"limit_s": 530.0}, "python -m smoke.training.train --limit-s 530"),
        (TRAINING, "python -m smoke.training.train tiny_got_ocr2 --limit-s 440"),
        (
            TRAINING | {"batch": 64, "most_steps": 100},
            "python -m smoke.training.train tiny_got_ocr2 --batch 64 --steps 100 --limit-s 440",
        ),
    ],
)
def test_a_card_names_the_command_that_trained(training: dict[str, Any], command: str) -> None:
    assert card.render_command(training) == command


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ([{}], "On an empty page it answers with a space."),
        ([{"empty_page": ""}, {"empty_page": ""}], "On an empty page it answers with nothing."),
        (
            [{"empty_page": "\n."}, {"empty_page": ""}],
            'On an empty page it answers with nothing or with `"\\n."`.',
        ),
    ],
)
def test_a_card_says_what_became_of_an_empty_page(answers: list[dict[str, Any]], sentence: str) -> None:
    assert card.render_empty_page(answers) == sentence


def test_runs_with_another_prompt_have_a_table_of_their_own() -> None:
    run = {"prompt": "Read.", "attention": "sdpa", "device": "a GPU", "exact": 3, "pages": 4, "cer": 0.25}
    assert card.render_other_prompts([]) == ""
    assert card.render_other_prompts([run]).splitlines() == [
        "",
        "Asked in other words:",
        "",
        "| prompt | attention | device | pages exact | CER |",
        "|---|---|---|---|---|",
        "| `Read.` | sdpa | a GPU | 3 of 4 | 0.25000 |",
    ]


def test_the_figures_of_a_configuration_go_by_the_keys_that_lead_to_them() -> None:
    assert card.flatten({"a": 1, "b": {"c": [1, 2], "d": {"e": True}}}) == {
        "a": "1",
        "b_c": "1, 2",
        "b_d_e": "True",
    }


def test_a_record_without_a_name_is_of_the_first_model() -> None:
    assert card.find_architecture({"training": {}}) is TINY_QWEN2_VL
    assert card.find_architecture({"training": {"model": "tiny_qwen3_vl"}}) is TINY_QWEN3_VL
