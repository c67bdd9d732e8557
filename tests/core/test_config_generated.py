"""Two hundred generated configurations: what is the user's stays byte for byte through several merges."""

import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from provision.core.config_doc import diff_config, merge_config
from tests.support.config_patches import build_patch, keep_foreign, list_values

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
