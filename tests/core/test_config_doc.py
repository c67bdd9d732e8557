import json
import re
import textwrap
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from provision.core.config_doc import (
    HEADER,
    check_config,
    configured_models,
    diff_config,
    merge_config,
    read_owned,
)
from provision.errors import BadFileError, ProvisionError
from provision.model.config import (
    OWNED_KEYS,
    ConfigPatch,
    Drift,
    EntryOrigin,
    OwnedConfig,
    ProvisionSection,
)
from tests.support.config_patches import build_entry, build_managed, build_patch

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


def list_values(key: str) -> dict:
    """The owned keys that a patch of `key` sets, as YAML reads them."""
    entry = build_entry(key)
    values = {name: value for name in OWNED_KEYS if (value := getattr(entry, name)) is not None}
    return {**values, "status": "production"}


def keep_foreign(text: str, *keys: str) -> dict:
    """What an application reads from `text` besides the keys that a patch of `keys` sets."""
    data = yaml.safe_load(text) or {}
    data.pop("provision", None)
    models = data.pop("models", None) or {}
    for key, entry in models.items():
        owned = {*list_values(key), "dtype"}
        rest = {name: value for name, value in (entry or {}).items() if key not in keys or name not in owned}
        if key not in keys or rest:
            data[f"models.{key}"] = rest
    return data


# Whole texts -----------------------------------------------------------------------------------------------


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


# Entries that are no longer wanted ---------------------------------------------------------------------------


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
    assert merge_config(merged, patch) == merged


def test_a_model_of_another_stack_is_listed_and_has_no_entry():
    section = ProvisionSection(
        generation=1, profile="cpu", models={"a": build_managed(), "b": build_managed(stack="legacy")}
    )
    merged = merge_config("", ConfigPatch(entries=(build_entry("a"),), section=section))
    assert configured_models(merged) == ("a",)
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


# Generated configurations ------------------------------------------------------------------------------------

KEYS = ("qwen_vl_2b", "tiny_qwen2_vl", "dots_ocr")
FOREIGN_BLOCKS = (
    'ocr:\n  formats: ["jpg",\n            "png"]\n  size:   10485760\n',
    "# Комментарий # и ещё\n",
    "\n\n",
    "templates: &t\n  паспорт: {поля: [ \"имя\",  'дата' ]}\n",
    "app: 'it''s'   # своё: \"models:\"\n",
    "text: |\n  models:\n    qwen_vl_2b:\n\n   # no comment\n",
    "folded: >+\n  a\n\n  b\n\n\n",
    "list:\n- a\n-   b: 1\n    c: 2\n",
    "number: .nan\n",
    '"quoted key" : ~\n',
)
FOREIGN_LINES = (
    "description: 'Читает: счета'",
    "load_in_4bit: no",
    'ocr_color: ""   # empty',
    "# VRAM: FP16=4.7GB",
    "",
    "fields: [ a,  b ]",
    "prompt: |\n  two\n  lines",
    "nested:\n- 1\n- {x: 2}",
)
OWNED_TEXTS = {
    "name": ("Old", "'Old: one'", '"Старое имя"', "", "~"),
    "precision": ("fp16", '"bf16"', "bf16", "'fp16'"),
    "trust_remote_code": ("true", "yes", "false"),
    "max_new_tokens": ("2048", "1024", "0x10"),
    "device_map": ("auto", ">-\n  auto", "[a, b]"),
    "status": ('"production"', "experimental"),
    "dtype": ("float16", "bfloat16"),
}

# A configuration is a list of pieces: text and whose it is. "" is the user's, "*" that of any patch with an
# entry, and a key that of a patch which configures that model.
Pieces = list[tuple[str, str]]


@st.composite
def draw_entry(draw, key: str, indent: str) -> Pieces:
    pieces: Pieces = []
    owned = draw(st.lists(st.sampled_from(sorted(OWNED_TEXTS)), unique=True, max_size=4))
    lines = draw(st.lists(st.sampled_from(FOREIGN_LINES), unique=True, max_size=3))
    for item in draw(st.permutations([*owned, *lines])):
        if item in OWNED_TEXTS:
            value = draw(st.sampled_from(OWNED_TEXTS[item])).replace("\n", "\n" + indent)
            comment = draw(st.sampled_from(("", "  # своё"))) if ">" not in value else ""
            pieces += [(f"{indent}{item}:{' ' if value else ''}", ""), (value, key), (f"{comment}\n", "")]
        else:
            text = "\n".join(indent + line if line else "" for line in item.split("\n"))
            pieces.append((text + "\n", ""))
    if not owned and not any(line and not line.startswith("#") for line in lines):
        pieces.append((f"{indent}own: 1\n", ""))
    return pieces


@st.composite
def draw_models(draw) -> Pieces:
    empty = draw(st.sampled_from((None, None, None, "", " {}", " null")))
    if empty is not None:
        return [("models:", ""), (empty, "*"), ("  # пусто\n", "")]
    indent = " " * draw(st.sampled_from((1, 2, 4)))
    pieces: Pieces = [("models:\n", "")]
    for key in draw(st.lists(st.sampled_from([*KEYS, "foreign"]), unique=True, min_size=1)):
        quote = draw(st.sampled_from(("", "'", '"')))
        pieces.append((f"{indent}{quote}{key}{quote}:\n", ""))
        pieces += draw(draw_entry("" if key == "foreign" else key, indent * 2))
    return pieces


@st.composite
def draw_flow_models(draw) -> Pieces:
    pieces: Pieces = [("models: {", "")]
    for key in draw(st.lists(st.sampled_from([*KEYS, "foreign"]), unique=True, min_size=1)):
        value = draw(st.sampled_from(("fp16", "'fp16'", '"fp16"')))
        owner = "" if key == "foreign" else key
        pieces += [(f"{key}: {{ own: [1,  2], precision: ", ""), (value, owner), ("  }", ""), (",\n    ", "")]
    return [*pieces, ("}\n", "")]


@st.composite
def draw_config(draw) -> Pieces:
    blocks = draw(st.lists(st.sampled_from(FOREIGN_BLOCKS), unique=True, max_size=5))
    models = draw(st.one_of(draw_models(), draw_flow_models(), st.just([])))
    at = draw(st.integers(0, len(blocks)))
    pieces = [*((block, "") for block in blocks[:at]), *models, *((block, "") for block in blocks[at:])]
    newline = draw(st.sampled_from(("\n", "\r\n")))
    pieces = [(text.replace("\n", newline), owner) for text, owner in pieces]
    # A block of text (| or >) without its last line break is refused, see above.
    if draw(st.booleans()) and pieces and not set("|>") & set("".join(text for text, _ in pieces[-3:])):
        text, owner = pieces.pop()
        pieces.append((text.rstrip("\r\n"), owner))
    return [("\ufeff", ""), *pieces] if draw(st.booleans()) else pieces


def check_kept(pieces: Pieces, managed: set[str], text: str, newline: str) -> None:
    """All that is not owned stands in `text`, in the same order, and whole lines as whole lines."""
    cursor, at_start = 0, True
    for piece, owner in pieces:
        if owner in managed or (owner == "*" and managed):
            at_start = False
            continue
        for line in piece.splitlines(keepends=True):
            found = text.index(line, cursor)
            while at_start and line.endswith(newline) and found and not text.endswith(newline, 0, found):
                found = text.index(line, found + 1)
            cursor = found + len(line)
            at_start = line.endswith(newline)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(draw_config(), st.lists(st.sets(st.sampled_from(KEYS)).map(sorted), min_size=1, max_size=3))
def test_generated_configurations_survive(pieces, selections):
    before = text = "".join(piece for piece, _ in pieces)
    assume(before.strip("\ufeff\r\n"))  # a blank file becomes a new one
    for number, keys in enumerate(selections):
        patch = build_patch(*keys, generation=number + 1)
        text = merge_config(text, patch)
        assert merge_config(text, patch) == text
        assert diff_config(text, patch) == ()

        data = yaml.safe_load(text)
        assert data["provision"]["generation"] == number + 1
        for key in keys:
            wanted = list_values(key)
            assert {name: data["models"][key][name] for name in wanted} == wanted

    assert repr(keep_foreign(text, *KEYS)) == repr(keep_foreign(before, *KEYS))
    newline = "\r\n" if "\r\n" in before else "\n"
    check_kept(pieces, {key for keys in selections for key in keys}, text, newline)
    assert text.replace(newline, "").count("\n") == before.replace(newline, "").count("\n") == 0
