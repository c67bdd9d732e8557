"""What becomes of entries that are no longer wanted, and how a file is compared with a patch."""

import pytest
import yaml

from provision.core.config_doc import (
    configured_models,
    diff_config,
    merge_config,
    read_owned,
    wanted_models,
)
from provision.model.config import ConfigPatch, Drift, EntryOrigin, OwnedConfig, ProvisionSection
from tests.support.config_patches import build_entry, build_managed, build_patch, list_values

EMPTY_PATCH = ConfigPatch(entries=(), section=ProvisionSection(generation=1, profile="cpu", models={}))
EMPTY_SECTION = """\
provision:
  # Written by provision as a whole: changes made here are lost.
  generation: 1
  profile: cpu
  models: {}
"""


def test_an_entry_that_provision_created_goes_again():
    before = "models:\n  mine: {name: x}\n"
    both = merge_config(before, build_patch("a", "b"))
    assert merge_config(both, build_patch("a")) == merge_config(before, build_patch("a"))
    none = merge_config(both, EMPTY_PATCH)
    assert none == before + "\n" + EMPTY_SECTION


@pytest.mark.parametrize("end", ["\n", ""])
def test_the_last_entry_leaves_an_empty_mapping(end):
    before = f"a: 1\nmodels: {{}} # none{end}"
    merged = merge_config(before, build_patch("m"))
    emptied = merge_config(merged, EMPTY_PATCH)
    assert emptied.startswith("a: 1\nmodels: # none\n  {}\n\nprovision:\n")
    assert configured_models(emptied) == ()
    assert merge_config(emptied, build_patch("m")) == merged


@pytest.mark.parametrize(
    ("models", "left"),
    [
        ("{a: {name: x}, c: 1}", "{c: 1}"),
        ("{c: 1, a: {name: x}}", "{c: 1}"),
        ("{c: 1, a: {name: x}, }", "{c: 1, }"),
        ("{a: {name: x}, }", "{ }"),
        ("{a: {name: x}, b: {name: x}, c: 1, }", "{c: 1, }"),
        ("{c: 1, a: {name: x}, d: 2, b: {name: x}}", "{c: 1, d: 2}"),
    ],
)
def test_entries_are_taken_out_of_braces(models, left):
    patch = ConfigPatch(entries=(), section=EMPTY_PATCH.section, taken_out=("a", "b"))
    assert merge_config(f"models: {models}\n", patch) == f"models: {left}\n\n{EMPTY_SECTION}"


def test_an_entry_can_be_taken_out_whoever_wrote_it():
    before = "models:\n  a:\n    name: x # mine\n\n  # about b\n  b: {c: d}"
    patch = build_patch(excluded={"b": "reads nothing"}, taken_out=("b", "unheard_of"))
    merged = merge_config(before, patch)
    assert merged.startswith("models:\n  a:\n    name: x # mine\n\n  # about b\n\nprovision:\n")
    assert yaml.safe_load(merged)["provision"]["excluded"] == {"b": "reads nothing"}
    assert (configured_models(merged), wanted_models(merged)) == (("a",), ("a", "b"))
    assert merge_config(merged, patch) == merged


def test_a_model_of_another_stack_is_listed_and_has_no_entry():
    section = ProvisionSection(
        generation=1, profile="cpu", models={"a": build_managed(), "b": build_managed(stack="legacy")}
    )
    merged = merge_config("", ConfigPatch(entries=(build_entry("a"),), section=section))
    assert configured_models(merged) == ("a",)
    assert wanted_models(merged) == ("a", "b")
    found = read_owned(merged)
    assert found.section is not None
    origins = {key: (model.stack, model.entry) for key, model in found.section.models.items()}
    assert origins == {"a": ("main", EntryOrigin.CREATED), "b": ("legacy", EntryOrigin.ABSENT)}


def test_an_excluded_reason_stands_until_the_model_is_named_again():
    before = "models:\n  a: {description: mine}\n"
    first = merge_config(before, build_patch("a"))
    second = merge_config(first, build_patch("b"))
    reason = "no longer among the models that provision was asked for"
    assert yaml.safe_load(second)["provision"]["excluded"] == {"a": reason}
    third = merge_config(second, build_patch("b", excluded={"a": "out of memory"}))
    fourth = merge_config(third, build_patch("b", generation=9))
    assert yaml.safe_load(fourth)["provision"]["excluded"] == {"a": "out of memory"}
    assert "excluded" not in yaml.safe_load(merge_config(fourth, build_patch("a", "b")))["provision"]


# Reading -----------------------------------------------------------------------------------------------------


def test_drift_names_each_difference():
    patch = build_patch("a", "b")
    text = merge_config("", build_patch("a", "c"))
    text = text.replace("precision: bf16", "precision: fp16", 1).replace("generation: 3", "generation: 2")
    section = {
        "stack": "main",
        "interpreter": ".provision/stacks/main-1a2b3c/bin/python",
        "revision": "0f1e2d3c",
    }
    section |= {"verdict": "pass", "evidence": {"verified": "2026-11-21", "cer": 0.0}, "entry": "created"}
    entry = list_values("b")
    assert diff_config(text, patch) == (
        Drift(key_path="models.a.precision", expected="bf16", found="fp16"),
        Drift(key_path="models.b", expected=entry, found=None),
        Drift(
            key_path="models.c",
            expected=None,
            found={**entry, "name": "Model c", "model_path": "Org/c"},
        ),
        Drift(key_path="provision.generation", expected=3, found=2),
        Drift(key_path="provision.models.b", expected=section, found=None),
        Drift(key_path="provision.models.c", expected=None, found=section),
    )


def test_drift_tells_a_truth_value_from_a_number():
    text = merge_config("", build_patch("a")).replace("trust_remote_code: false", "trust_remote_code: 0")
    drift = Drift(key_path="models.a.trust_remote_code", expected=False, found=0)
    assert diff_config(text, build_patch("a")) == (drift,)


def test_what_is_owned_can_be_read_back():
    patch = build_patch("a", "b", excluded={"c": "does not fit"})
    text = merge_config("models:\n  a: {description: mine}\n", patch).replace(
        "precision: bf16", "precision: 16"
    )
    found = read_owned(text)
    assert found.models == {"a": {**list_values("a")}, "b": {**list_values("b"), "precision": 16}}
    assert found.section == ProvisionSection(
        generation=3,
        profile="blackwell",
        models={
            "a": build_managed(entry=EntryOrigin.ADOPTED),
            "b": build_managed(entry=EntryOrigin.CREATED),
        },
        excluded={"c": "does not fit"},
    )
    assert read_owned("a: 1") == OwnedConfig(section=None, models={})


@pytest.mark.parametrize(
    ("text", "models"),
    [
        ("", ()),
        ("models:\n", ()),
        ("models: {b: {}, a: 1}", ("b", "a")),
        ("models:\n  'ю': {}\n  7b: {}\n  8: {}\n", ("ю", "7b", "8")),
        ("base: &base {a: 1}\nmodels:\n  <<: *base\n  b: 2\n", ("a", "b")),
    ],
)
def test_the_configured_models_are_those_that_the_application_reads(text, models):
    assert configured_models(text) == models
