import json
import re
import textwrap
from pathlib import Path

import pytest
import yaml
from msgspec.structs import replace

from provision.core.config_doc import HEADER, check_config, configured_models, diff_config, merge_config
from provision.errors import BadFileError, ProvisionError
from provision.model.config import (
    OWNED_KEYS,
    ConfigPatch,
    ProvisionSection,
)
from tests.support.config_patches import build_entry, build_patch, keep_foreign, list_values

ROOT = Path(__file__).parents[2]
CASES = sorted((ROOT / "tests" / "data" / "config").iterdir())
APPLICATION = ROOT.parent / "shared" / "client"

EMPTY_PATCH = ConfigPatch(entries=(), section=ProvisionSection(generation=1, profile="cpu", models={}))
EMPTY_SECTION = """\
provision:
  # Written by provision as a whole: changes made here are lost.
  generation: 1
  profile: cpu
  models: {}
"""


def read_text(path: Path) -> str:
    return path.read_bytes().decode("utf-8")


# Whole texts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_text_after_a_merge(case):
    patch = build_patch("qwen_vl_2b", "tiny_qwen2_vl")
    merged = merge_config(read_text(case / "before.yaml"), patch)
    assert merged == read_text(case / "after.yaml")
    assert merge_config(merged, patch) == merged
    assert diff_config(merged, patch) == ()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", HEADER + "\n" + EMPTY_SECTION),
        ("{}\n", HEADER + "\n" + EMPTY_SECTION),
        (" \r\n", (HEADER + "\n" + EMPTY_SECTION).replace("\n", "\r\n")),
        ("# mine\n", "# mine\n\n" + EMPTY_SECTION),
        ("# mine", "# mine\n\n" + EMPTY_SECTION),
        ("---\n...\n", "---\n\n" + EMPTY_SECTION + "...\n"),
        ("a: 1", "a: 1\n\n" + EMPTY_SECTION.removesuffix("\n")),
        ("a: 1\n\n# end\n\n", "a: 1\n\n# end\n\n" + EMPTY_SECTION + "\n"),
        ("a: |\n  x\n", "a: |\n  x\n" + EMPTY_SECTION),
        ("provision:\na: 1\n", EMPTY_SECTION + "a: 1\n"),
        ("'provision': {generation: 7, profile: cpu, models: {}} # old\na: 1\n", EMPTY_SECTION + "a: 1\n"),
        (
            "{a: 1}\n",
            '{a: 1, "provision": {"generation": 1, "profile": "cpu", "models": {}}}\n',
        ),
        (
            "{a}",
            '{a , "provision": {"generation": 1, "profile": "cpu", "models": {}}}',
        ),
    ],
)
def test_the_section_alone(before, after):
    assert merge_config(before, EMPTY_PATCH) == after
    assert merge_config(after, EMPTY_PATCH) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("models:\n", "models:\n  m:\n<4>\n"),
        ("models:   # none\n\n", "models:   # none\n  m:\n<4>\n"),
        ("models: null # none\n", "models: # none\n  m:\n<4>\n"),
        ("models:\n  # one\n  ~\n", "models:\n  # one\n  m:\n<4>\n"),
        ("models: {}\n", "models:\n  m:\n<4>\n"),
        ("models: {m: }\n", "models: {m: <json> }\n"),
        ("models:\n   m: # mine\n", "models:\n   m: # mine\n<6>\n"),
        ("models:\n   m: {   } # mine\n", "models:\n   m: # mine\n<6>\n"),
        ("models:\n  a: 1 # last\n  # end\n", "models:\n  a: 1 # last\n  # end\n  m:\n<4>\n"),
        ("models:\n  a: 1 # last\n# next\n", "models:\n  a: 1 # last\n  m:\n<4>\n# next\n"),
        ("models: {a: {b: 1},}\n", 'models: {a: {b: 1}, "m": <json>,}\n'),
        ("models: { # first\n }\n", 'models: {"m": <json> # first\n }\n'),
    ],
)
def test_where_a_new_entry_goes(before, after):
    values = list_values("m")
    block = yaml.safe_dump(values, sort_keys=False).replace("cuda:0", '"cuda:0"').strip()
    for indent in ("    ", "      "):
        after = after.replace(f"<{len(indent)}>", textwrap.indent(block, indent))
    merged = merge_config(before, build_patch("m"))
    assert merged.partition("\nprovision:\n")[0] == after.replace("<json>", json.dumps(values))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("precision: fp16", "precision: bf16"),
        ("precision:   'fp16'   # mine", "precision:   'bf16'   # mine"),
        ('precision: "fp16"', 'precision: "bf16"'),
        ("precision: bf16", "precision: bf16"),
        ("precision: 'bf16'", "precision: 'bf16'"),
        ("'precision' : !!str fp16", "'precision' : bf16"),
        ("precision:", "precision: bf16"),
        ("precision: # mine", "precision: bf16 # mine"),
        ("precision: ~", "precision: bf16"),
        ("precision: >-\n      fp16\n", "precision: bf16\n"),
        ("precision:\n      fp16", "precision:\n      bf16"),
        ("precision:\n    - fp16\n    - x", "precision: bf16"),
        ("precision: # mine\n    - fp16\n    # own\n    - x", "precision: bf16 # mine"),
        ("precision: [fp16, # own\n      x] # mine", "precision: bf16 # mine"),
        ("precision: *shared", "precision: bf16"),
    ],
)
def test_how_a_value_is_replaced(before, after):
    head = "shared: &shared fp16\nmodels:\n  m:\n    "
    values = {name: value for name, value in list_values("m").items() if name != "precision"}
    rest = textwrap.indent(yaml.safe_dump(values, sort_keys=False), "    ")
    merged = merge_config(f"{head}{before}\n{rest}", build_patch("m"))
    assert merged.startswith(f"{head}{after}\n{rest}\nprovision:\n")


def test_text_that_yaml_would_take_for_something_else_is_quoted():
    texts = [
        "yes",
        "1e3",
        "2026-01-01",
        "a: b",
        "#",
        "ключ",
        "C:\\new",
        "it's",
        "a\nb",
        "",
        " x",
        "12:30",
        "null",
    ]
    for text in texts:
        patch = ConfigPatch(
            entries=(build_entry("m", notes=text),), section=build_patch("m", excluded={"n": text}).section
        )
        for before in ("", "models: {m: {notes: x}}\n", "models:\n  m:\n    notes: 'x'\n"):
            data = yaml.safe_load(merge_config(before, patch))
            assert data["models"]["m"]["notes"] == text
            assert data["provision"]["excluded"]["n"] == text


def test_optional_keys_that_are_not_set_stay_as_they_are():
    before = "models:\n  m:\n    min_pixels: 256\n    notes: mine\n"
    assert yaml.safe_load(merge_config(before, build_patch("m")))["models"]["m"]["min_pixels"] == 256
    patch = ConfigPatch(entries=(build_entry("m", min_pixels=784),), section=build_patch("m").section)
    merged = yaml.safe_load(merge_config(before, patch))["models"]["m"]
    assert (merged["min_pixels"], merged["notes"]) == (784, "mine")


def test_line_breaks_and_the_byte_order_mark_stay():
    before = "\ufeff# Привет\r\nmodels:\r\n  m:\r\n    name: 'x'\r\nlast: 1"
    merged = merge_config(before, build_patch("m"))
    assert merged.startswith(
        "\ufeff# Привет\r\nmodels:\r\n  m:\r\n    name: 'Model m'\r\n    model_path: Org/m\r\n"
    )
    assert not re.search("[^\r]\n", merged)
    assert merged.endswith("entry: adopted")
    assert merge_config(merged, build_patch("m")) == merged


# Refusals ----------------------------------------------------------------------------------------------------


NOT_VALID = [
    (
        "a: [1,\n2\nb: 2",
        "line 3: expected ',' or ']', but got ':', while parsing a flow sequence that begins in line 1",
    ),
    ("a:\n\tb: 1\n", "line 2: a tab is used for indentation, YAML wants spaces"),
    ("a: 1\n---\nb: 2\n", "line 2: a second document begins here, and only one is allowed"),
    ("models: {}\na: 1\nmodels: {}\n", "line 3: the key `models` stands twice"),
    ("# c\n- a\n", "line 2: the top level must be a mapping"),
    ("null\n", "line 1: the top level must be a mapping"),
    ("a: 1\nmodels:\n  - a\n", "line 3: `models` must be a mapping"),
    ("models: текст\n", "line 1: `models` must be a mapping"),
    ("a: \x07\n", "line 1: the character U+0007 is not allowed in YAML"),
    ("a: !include b\n", "line 1: could not determine a constructor for the tag '!include'"),
    ("a: 2026-02-30\n", "line 1: `2026-02-30` is no valid timestamp"),
]


@pytest.mark.parametrize(("text", "reason"), NOT_VALID)
def test_a_file_that_is_not_valid_is_refused_with_its_line(text, reason):
    for refused in (
        lambda: check_config(text),
        lambda: configured_models(text),
        lambda: diff_config(text, build_patch("m")),
        lambda: merge_config(text, build_patch("m")),
    ):
        with pytest.raises(BadFileError) as caught:
            refused()
        assert caught.value.message == f"config.yaml, {reason}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("models:\n  m: text\n", "line 2: `models.m` must be a mapping"),
        ("models:\n  m: [a]\n", "line 2: `models.m` must be a mapping"),
        (
            "? models\n: m: {}\n",
            "line 2: the key `m` must stand at the beginning of its line, without `?`",
        ),
        (
            "models:\n  ? m\n",
            "line 2: the key `m` must stand at the beginning of its line, without `?`",
        ),
        (
            "models:\n  m:\n    ? name\n",
            "line 3: the colon of `name` must stand in the line of the key, without `?`",
        ),
        (
            "x: &x {name: a}\nmodels:\n  m: *x\n",
            "line 3: `models.m` is the alias *x; writing into it would change both places",
        ),
        (
            "x: &x {m: {name: a}}\nmodels:\n  <<: *x\n",
            "line 3: `models.m` comes from another place through a merge key (<<)",
        ),
        (
            "models:\n  m:\n    name: &n a\n  other:\n    name: *n\n",
            "line 3: the anchor &n is used in line 5 and cannot be replaced",
        ),
        (
            "models:\n  m: &m\n    precision: fp16\n  other:\n    <<: *m\n    name: x\n",
            "line 5: through this alias `models.other` would change as well",
        ),
        ("a: |\n  x", "line 1: a line break is missing at the end of the file, within a block of text"),
    ],
)
def test_a_file_that_cannot_be_changed_in_place_is_refused_with_its_line(text, reason):
    check_config(text)
    with pytest.raises(BadFileError) as caught:
        merge_config(text, build_patch("m"))
    assert caught.value.message == f"config.yaml, {reason}"


def test_an_alias_is_left_alone_when_it_says_what_is_wanted():
    values = list_values("m")
    before = f"shared: &shared {yaml.safe_dump(values, default_flow_style=True, width=9999)}models:\n  m: *shared\n"
    assert merge_config(before, build_patch("m")).startswith(before)


def test_a_damaged_section_is_refused_with_its_key_path():
    text = merge_config("", build_patch("m")).replace("generation: 3", "generation: three")
    with pytest.raises(BadFileError) as caught:
        merge_config(text, build_patch("m"), where="/srv/config.yaml")
    assert caught.value.message == (
        "/srv/config.yaml: provision.generation: must be a whole number, not text"
    )
    assert caught.value.hint == (
        "remove the section `provision:` from the file and run the command again: it is written anew"
    )
    text = text.replace("generation: three", "generation: 3").replace("verdict: pass", "verdict: fine")
    with pytest.raises(BadFileError) as caught:
        check_config(text)
    assert caught.value.message == (
        "config.yaml: provision.models.m.verdict: the value 'fine' is not one of those allowed"
    )


def test_a_fault_of_the_merge_is_no_text(monkeypatch):
    monkeypatch.setattr("provision.core.yaml_splice.render_scalar", lambda value, quote="": "wrong")
    with pytest.raises(ProvisionError) as caught:
        merge_config("models: {m: {precision: fp16}}\n", build_patch("m"))
    assert type(caught.value) is ProvisionError
    assert caught.value.message == "config.yaml cannot be merged: `models.m.precision` would be wrong"


def test_a_patch_that_contradicts_itself_cannot_be_built():
    with pytest.raises(ValueError, match=r"^not in the section: m$"):
        ConfigPatch(entries=(build_entry("m"),), section=EMPTY_PATCH.section)
    with pytest.raises(ValueError, match=r"^configured and excluded at once: m$"):
        build_patch("m", taken_out=("m",))
    with pytest.raises(ValueError, match=r"^an entry stands twice in the patch: m, m$"):
        build_patch("m", "m")


# The application's own files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["config", "config_blackwell_optimized", "config_full"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_applications_files_keep_every_other_line(name, newline, mark):
    path = APPLICATION / f"{name}.yaml"
    if not path.exists():
        pytest.skip("the application's files are not here")
    before = mark + read_text(path).replace("\n", newline)
    keys = ("qwen_vl_2b", "qwen3_vl_2b", "tiny_qwen2_vl")
    merged = merge_config(before, build_patch(*keys))
    assert merge_config(merged, build_patch(*keys)) == merged

    # Line by line: what is not an owned key of a managed entry stands there in the same order.
    lines = iter(merged.splitlines(keepends=True))
    section, entry = "", ""
    for line in before.splitlines(keepends=True):
        if match := re.match(r"(\w+):", line):
            section, entry = match[1], ""
        elif match := re.match(r"  (\w+):", line):
            entry = match[1]
        key = re.match(r"    (\w+):", line)
        if not (section == "models" and entry in keys and key and key[1] in OWNED_KEYS):
            assert line.rstrip("\r\n") in {found.rstrip("\r\n") for found in _until(lines, line)}
    assert keep_foreign(merged, *keys) == keep_foreign(before, *keys)
    entries = yaml.safe_load(merged)["models"]
    for key in keys:
        wanted = list_values(key)
        assert {name: entries[key][name] for name in wanted} == wanted


def _until(lines, wanted):
    """The lines up to and with the wanted one."""
    for line in lines:
        yield line
        if line == wanted:
            return


@pytest.mark.parametrize("flow", [False, True])
def test_an_attention_that_nobody_verified_goes(flow: bool) -> None:
    """GOT-OCR2's parts take different ones, and the name that an application had would be refused."""
    before = (
        "models: {a: {attn_implementation: sdpa, mine: 1}}\n"
        if flow
        else "models:\n  a:\n    attn_implementation: sdpa  # everywhere\n    mine: 1\n"
    )
    patch = build_patch("a", generation=3)
    patch = replace(patch, entries=(build_entry("a", attn_implementation=None),))
    after = merge_config(before, patch)
    entry = yaml.safe_load(after)["models"]["a"]
    assert ("attn_implementation" in entry, entry["mine"]) == (False, 1)
    assert merge_config(after, patch) == after
    assert diff_config(after, patch) == ()
    assert [item.key_path for item in diff_config(before, patch) if "attn" in item.key_path] == [
        "models.a.attn_implementation"
    ]
