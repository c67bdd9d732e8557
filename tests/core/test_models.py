"""Which models are meant, and what their stack holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from provision.core.models import build_requirements, choose_models, find_family, name_stack
from provision.core.yaml_text import convert, parse_yaml
from provision.errors import UsageError
from provision.model.catalogue import Catalogue
from provision.model.profile import Profile

FOLDER = Path(__file__).parents[2] / "profiles"
CATALOGUE = convert(
    parse_yaml((FOLDER / "models.yaml").read_text("utf-8"), where="models"), Catalogue, where=""
)
CPU = convert(parse_yaml((FOLDER / "cpu.yaml").read_text("utf-8"), where="cpu"), Profile, where="")


def keys(requested: tuple[str, ...], configured: tuple[str, ...]) -> tuple[list[str], tuple[str, ...]]:
    selection = choose_models(requested, configured, CATALOGUE)
    return [model.key for model in selection.models], selection.unknown


def test_nothing_asked_and_nothing_configured_is_the_embedded_model() -> None:
    assert keys((), ()) == (["tiny_qwen2_vl"], ())


def test_config_yaml_names_the_models_and_what_we_do_not_know_is_told() -> None:
    assert keys((), ("qwen3_vl_2b", "their_own")) == (["qwen3_vl_2b"], ("their_own",))


def test_a_request_goes_before_config_yaml_and_counts_once() -> None:
    assert keys(("qwen_vl_2b", "qwen_vl_2b"), ("qwen3_vl_2b",)) == (["qwen_vl_2b"], ())


def test_an_unknown_request_gets_the_nearest_name() -> None:
    with pytest.raises(UsageError) as caught:
        choose_models(("qwen_vl_2",), (), CATALOGUE)
    assert (caught.value.message, caught.value.hint) == (
        "there is no model 'qwen_vl_2' in the catalogue",
        "did you mean qwen_vl_2b?",
    )


def test_the_profiles_pins_are_what_a_stack_asks_for() -> None:
    models = choose_models(("tiny_qwen2_vl", "qwen3_vl_2b"), (), CATALOGUE).models
    assert build_requirements(models, CPU, preferred=True) == (
        ("accelerate==1.15.0", "pillow==13.0.0", "transformers==5.22.2"),
    )


def test_a_model_for_another_transformers_keeps_the_other_pins_where_they_hold() -> None:
    tiny = CATALOGUE.models[0]
    old = replace(
        tiny, transformers=">=4.46.3,<4.48", packages=("Einops", "timm[x]>=1 ; python_version<'3.13'")
    )
    assert build_requirements([old, replace(tiny, transformers="!=4.47")], CPU, preferred=False) == (
        (
            "accelerate==1.15.0",
            "einops",
            "pillow==13.0.0",
            'timm[x]>=1 ; python_version < "3.13"',
            "transformers!=4.47,<4.48,>=4.46.3",
        ),
        (
            "accelerate",
            "einops",
            "pillow",
            'timm[x]>=1 ; python_version < "3.13"',
            "transformers!=4.47,<4.48,>=4.46.3",
        ),
    )


def test_bounds_take_the_place_of_pins() -> None:
    model = replace(CATALOGUE.models[0], transformers=">=5.18")
    bounds = {"transformers": ">=5.22.2,<6", "pillow": ">=13"}
    assert build_requirements([model], CPU, preferred=True, bounds=bounds) == (
        ("pillow>=13", "transformers<6,>=5.18,>=5.22.2"),
    )


def test_stacks_are_called_by_what_sets_them_apart() -> None:
    versions = {"transformers": "4.47.1"}
    assert name_stack(versions, []) == "main"
    assert name_stack(versions, ["main"]) == "transformers-4.47"
    assert name_stack(versions, ["main", "transformers-4.47"]) == "transformers-4.47-2"


def test_a_folder_is_asked_as_its_architecture_is() -> None:
    found = {
        model_type: find_family(model_type, CATALOGUE, where="config.json").key
        for model_type in ("qwen2_vl", "qwen3_vl", "got_ocr2")
    }
    assert found == {"qwen2_vl": "qwen_vl_2b", "qwen3_vl": "qwen3_vl_2b", "got_ocr2": "got_ocr_hf"}
    with pytest.raises(UsageError) as caught:
        find_family("bert", CATALOGUE, where="x/config.json")
    assert caught.value.message == "x/config.json: model_type 'bert' is none that can be smoked"


def test_a_folder_of_an_architecture_that_only_a_test_model_has_is_asked_as_that_one() -> None:
    tests_only = Catalogue(
        schema=1, models=tuple(model for model in CATALOGUE.models if not model.production)
    )
    assert find_family("qwen3_vl", tests_only, where="config.json").key == "tiny_qwen3_vl"


def test_every_revision_is_a_whole_commit() -> None:
    for model in CATALOGUE.models:
        assert (model.embedded is None) != (model.repo_id is None), model.key
        assert model.revision is None or len(bytes.fromhex(model.revision)) == 20, model.key
