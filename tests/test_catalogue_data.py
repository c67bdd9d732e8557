"""The catalogue that ships: the client's models are there, figures agree with each other, claims have sources."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from provision.core.partition import can_meet
from provision.core.yaml_text import parse_yaml
from provision.model.catalogue import Catalogue, ModelSpec
from provision.model.profile import EvidenceStatus
from tests.support.profiles import PROFILES, load_data
from tests.test_models_docs import list_families

MODELS = load_data("models", Catalogue).models
BY_KEY = {model.key: model for model in MODELS}
FROM_THE_HUB = [model for model in MODELS if model.embedded is None]
EMBEDDED = [model for model in MODELS if model.embedded is not None]
CLIENT = Path(__file__).parents[2] / "shared" / "client" / "config_full.yaml"
EMBEDDED_DIR = Path(__file__).parents[1] / "smoke" / "embedded"
# GOT-OCR 2.0 with code of its repositories' own: got_ocr_hf is the same model in transformers' own class.
LEFT_OUT = {"got_ocr", "got_ocr_ucas"}
# Families that the worker has no module for yet. Adding one makes this test fail: take its name out here.
PENDING_FAMILIES = {"dots_ocr", "deepseek_ocr", "deepseek_ocr2", "phi3_vision"}

of_the_hub = pytest.mark.parametrize("model", FROM_THE_HUB, ids=lambda model: model.key)
of_the_embedded = pytest.mark.parametrize("model", EMBEDDED, ids=lambda model: model.key)
of_all = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.key)


def test_the_models_and_where_they_come_from() -> None:
    assert {model.key: model.repo_id for model in MODELS} == {
        "tiny_qwen2_vl": None,
        "tiny_qwen3_vl": None,
        "tiny_got_ocr2": None,
        "qwen_vl_2b": "Qwen/Qwen2-VL-2B-Instruct",
        "qwen_vl_7b": "Qwen/Qwen2-VL-7B-Instruct",
        "qwen3_vl_2b": "Qwen/Qwen3-VL-2B-Instruct",
        "qwen3_vl_4b": "Qwen/Qwen3-VL-4B-Instruct",
        "qwen3_vl_8b": "Qwen/Qwen3-VL-8B-Instruct",
        "got_ocr_hf": "stepfun-ai/GOT-OCR-2.0-hf",
        "dots_ocr": "rednote-hilab/dots.ocr",
        "deepseek_ocr": "deepseek-ai/DeepSeek-OCR",
        "deepseek_ocr2": "deepseek-community/DeepSeek-OCR-2",
        "phi3_vision": "microsoft/Phi-3.5-vision-instruct",
    }


@pytest.mark.skipif(not CLIENT.exists(), reason="the client's configuration is not beside this checkout")
def test_every_model_that_the_client_configures_has_the_clients_key() -> None:
    configured = parse_yaml(CLIENT.read_text("utf-8"), where="client")
    assert isinstance(configured, dict)
    models = {key: entry["model_path"] for key, entry in configured["models"].items() if key not in LEFT_OUT}
    ours = {key: str(BY_KEY[key].repo_id) for key in models}
    assert {key: path.lower() for key, path in ours.items()} == {
        key: path.lower() for key, path in models.items()
    }


@of_all
def test_a_model_is_embedded_or_of_the_hub(model: ModelSpec) -> None:
    assert (model.embedded is None) is not (model.repo_id is None)
    if model.repo_id is None:
        assert model.revision is None


def test_a_revision_is_a_commit_or_not_known() -> None:
    revisions = {model.key: model.revision for model in FROM_THE_HUB}
    assert {key for key, revision in revisions.items() if revision is None} == {"deepseek_ocr2"}
    known = [revision for revision in revisions.values() if revision is not None]
    assert all(re.fullmatch(r"[0-9a-f]{40}", revision) for revision in known)
    assert len(set(known)) == len(known)


@of_all
def test_a_model_that_brings_its_own_code_is_pinned_to_a_commit(model: ModelSpec) -> None:
    assert model.revision is not None or not model.trust_remote_code


def test_which_models_bring_their_own_code() -> None:
    own = {model.key for model in MODELS if model.trust_remote_code}
    assert own == {"dots_ocr", "deepseek_ocr", "phi3_vision"}


@of_the_hub
def test_sizes_agree(model: ModelSpec) -> None:
    """Two bytes a parameter, on the disk and in memory."""
    assert model.parameters is not None
    assert (model.weights_bytes, model.vram_bytes) == (model.parameters * 2, model.parameters * 2)


def test_every_embedded_folder_is_in_the_catalogue() -> None:
    folders = {path.name for path in EMBEDDED_DIR.iterdir() if path.is_dir()}
    assert folders == {model.key for model in EMBEDDED} == {str(model.embedded) for model in EMBEDDED}


@of_the_embedded
def test_the_embedded_models_file_is_its_weights_and_a_header(model: ModelSpec) -> None:
    folder = EMBEDDED_DIR / str(model.embedded)
    assert model.weights_bytes == (folder / "model.safetensors").stat().st_size
    assert model.parameters is not None
    assert model.vram_bytes == 2 * model.parameters
    assert 0 < model.weights_bytes - model.vram_bytes < 10_000


@of_the_embedded
def test_the_embedded_model_is_asked_as_it_was_evaluated(model: ModelSpec) -> None:
    """The prompt and the architecture of the run that its card shows."""
    folder = EMBEDDED_DIR / str(model.embedded)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    record = json.loads((folder / "evaluation.json").read_text("utf-8"))
    assert config["model_type"] == model.model_type
    assert model.generation.prompt in {run["prompt"] for run in record["evaluations"]}
    assert not model.production


@pytest.mark.parametrize(
    ("key", "layers", "heads", "width"),
    [
        ("tiny_qwen2_vl", 3, 2, 32),
        ("tiny_qwen3_vl", 3, 2, 32),
        ("tiny_got_ocr2", 3, 2, 32),
        ("qwen_vl_2b", 28, 2, 128),
        ("qwen_vl_7b", 28, 4, 128),
        ("qwen3_vl_2b", 28, 8, 128),
        ("qwen3_vl_4b", 36, 8, 128),
        ("qwen3_vl_8b", 36, 8, 128),
        ("got_ocr_hf", 24, 16, 64),
        ("dots_ocr", 28, 2, 128),
        ("deepseek_ocr", 12, 10, 128),
        ("deepseek_ocr2", 12, 10, 128),
        ("phi3_vision", 32, 32, 96),
    ],
)
def test_what_a_token_adds_is_keys_and_values_of_every_layer(
    key: str, layers: int, heads: int, width: int
) -> None:
    assert BY_KEY[key].kv_bytes_per_token == 2 * layers * heads * width * 2


@pytest.mark.parametrize(
    ("key", "runs", "refuses"),
    [
        ("tiny_qwen2_vl", ("5.18.0", "5.22.2", "5.23.0"), ("5.17.0", "6.0.0")),
        ("tiny_qwen3_vl", ("5.18.0", "5.22.2", "5.23.0"), ("5.17.0", "6.0.0")),
        ("tiny_got_ocr2", ("4.57.6", "5.22.2", "5.23.0"), ("4.57.5", "6.0.0")),
        ("qwen_vl_2b", ("4.57.6", "5.22.2"), ("4.51.3", "6.0.0")),
        ("qwen3_vl_8b", ("4.57.6", "5.22.2"), ("4.57.0", "4.47.1")),
        ("got_ocr_hf", ("4.57.6", "5.23.0"), ("4.48.3",)),
        ("deepseek_ocr2", ("5.10.1", "5.22.2"), ("5.10.0", "4.57.6")),
        ("dots_ocr", ("4.51.3",), ("4.53.3", "5.0.0", "5.22.2")),
        ("deepseek_ocr", ("4.46.3", "4.47.1"), ("4.48.0", "5.22.2")),
        ("phi3_vision", ("4.46.3", "4.47.1", "4.48.3"), ("4.49.0", "5.22.2")),
    ],
)
def test_the_versions_that_ran_are_in_range_and_those_that_broke_are_not(
    key: str, runs: tuple[str, ...], refuses: tuple[str, ...]
) -> None:
    span = SpecifierSet(BY_KEY[key].transformers)
    assert [version for version in (*runs, *refuses) if span.contains(version)] == list(runs)


def test_three_ranges_hold_the_six_models_and_no_two_of_them_meet() -> None:
    groups = [("qwen_vl_2b", "qwen3_vl_2b", "got_ocr_hf"), ("deepseek_ocr", "phi3_vision"), ("dots_ocr",)]
    shared = [[SpecifierSet(BY_KEY[key].transformers) for key in group] for group in groups]
    assert [can_meet(ranges) for ranges in shared] == [True, True, True]
    firsts = [ranges[0] for ranges in shared]
    pairs = [(0, 1), (0, 2), (1, 2)]
    assert [can_meet([firsts[one], firsts[other]]) for one, other in pairs] == [False, False, False]
    assert not can_meet([shared[1][1], firsts[0]])
    assert not can_meet([shared[1][1], firsts[2]])


def test_the_profiles_pins_run_every_native_model() -> None:
    pins = {profile.packages["transformers"] for profile in PROFILES}
    for model in MODELS:
        if not model.trust_remote_code:
            assert {pin for pin in pins if SpecifierSet(model.transformers).contains(pin)} == pins, model.key


@of_all
def test_packages_are_requirements_without_an_address(model: ModelSpec) -> None:
    requirements = [Requirement(text) for text in model.packages]
    assert [item.url for item in requirements] == [None] * len(requirements)
    names = {item.name for item in requirements}
    assert not names & {"torch", "torchvision", "transformers", "flash-attn"}


def test_models_with_their_own_code_need_torchvision() -> None:
    needy = {model.key for model in MODELS if model.needs_torchvision}
    assert needy == {"dots_ocr", "deepseek_ocr", "phi3_vision"}


@of_all
def test_pixels_are_named_together_and_in_order(model: ModelSpec) -> None:
    if model.min_pixels is None or model.max_pixels is None:
        assert model.min_pixels is model.max_pixels
    else:
        assert 0 < model.min_pixels < model.max_pixels


@of_all
def test_every_claim_has_its_source_and_its_date(model: ModelSpec) -> None:
    assert model.evidence
    for item in model.evidence:
        assert item.claim.strip(), item
        assert item.source.strip(), item
        assert re.fullmatch(r"2026-\d{2}-\d{2}", item.date), item


@of_the_hub
def test_no_real_model_is_said_to_read(model: ModelSpec) -> None:
    """Until somebody runs the real weights: then this test names those that it holds for."""
    claims = {item.claim: item.status for item in model.evidence}
    assert claims["the real weights read our pages"] is EvidenceStatus.UNKNOWN


def test_which_families_the_smoke_cannot_ask_yet() -> None:
    named = {model.family for model in MODELS}
    assert named - list_families() == PENDING_FAMILIES
    assert {BY_KEY[key].family for key in ("tiny_qwen2_vl", "qwen_vl_7b", "qwen3_vl_8b")} == {"qwen_vl"}


def test_ranges_name_plain_versions() -> None:
    """No label and no wildcard: what the search for the fewest stacks reads."""
    for model in MODELS:
        for part in SpecifierSet(model.transformers):
            assert str(Version(part.version)) == part.version
