"""`provision.lock`: the same bytes for the same content, and nothing strange is believed."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from provision.core.lockfile import (
    NewerLockError,
    is_safe_path,
    parse_lock_document,
    parse_lockfile,
    render_lockfile,
    render_stack_text,
    sort_lockfile,
)
from provision.errors import BadFileError
from tests.support.locks import make_document, make_lock, make_model, make_stack

EXPECTED = f"""\
# What `provision apply` uses: packages, weights, the models' own code, and how they read.
# Written by `provision lock`, held by `provision lock --check`. Commit it with its folder.
schema = 1
profile = "blackwell"
platform = "linux-x86_64"
python = "3.12"
exclude_newer = "2026-11-14T00:00:00Z"

[[stacks]]
name = "main"
models = ["qwen_vl_2b"]
requirements = ["pillow==13.0.0", "transformers==5.22.2"]
torch = "2.13.0+cu130"
tag = "cu130"
cuda = "13.0"
packages = 3
sha256 = "{make_lock().sha256}"

[[models]]
key = "qwen_vl_2b"
stack = "main"
repo_id = "Qwen/Qwen2-VL-2B-Instruct"
revision = "895c3a49bc3fa70a340399125c650a463535e71c"
smoke = {{ verdict = "pass", dtype = "bfloat16", attention = "sdpa", cer = 0.0 }}
files = [
  {{ path = "config.json", size_bytes = 3, sha256 = "{"2" * 64}" }},
  {{ path = "model.safetensors", size_bytes = 7, sha256 = "{"1" * 64}" }},
]
remote_code = [
  {{ path = "modeling.py", size_bytes = 5, sha256 = "{"3" * 64}" }},
]
"""


def test_the_text_is_this_and_reads_back() -> None:
    lockfile = make_document().lockfile
    assert render_lockfile(lockfile) == EXPECTED
    assert parse_lockfile(EXPECTED, where="provision.lock") == sort_lockfile(lockfile)
    assert parse_lockfile("\ufeff" + EXPECTED.replace("\n", "\r\n"), where="x") == sort_lockfile(lockfile)


def test_the_order_of_the_content_does_not_show() -> None:
    lockfile = make_document().lockfile
    other = make_stack(make_lock(numpy="1.0"), name="second", models=("b", "a"))
    models = (*lockfile.models, make_model(key="a", stack="second"), make_model(key="b", stack="second"))
    forth = replace(lockfile, stacks=(*lockfile.stacks, other), models=models)
    back = replace(lockfile, stacks=(other, *lockfile.stacks), models=models[::-1])
    assert render_lockfile(forth) == render_lockfile(back)


def test_files_that_are_not_here_are_said_to_be() -> None:
    lockfile = make_document(models=(make_model(files=(), remote_code=()),)).lockfile
    text = render_lockfile(lockfile)
    assert "files = []  # not on the machine that wrote this: provision apply, then provision lock\n" in text
    assert parse_lockfile(text, where="x").models[0].files == ()


def test_stacks_are_bound_by_the_hash_of_their_text() -> None:
    document = make_document()
    text = render_stack_text(document, "main")
    assert text.startswith(
        "# Stack main of provision.lock, for linux-x86_64 and Python 3.12.\nnumpy==2.4.6 \\\n"
    )
    whole = render_lockfile(document.lockfile)
    assert parse_lock_document(whole, {"main": text}, where="provision.lock").locks == document.locks
    with pytest.raises(BadFileError) as caught:
        parse_lock_document(whole, {"main": text.replace("2.4.6", "2.4.7")}, where="provision.lock")
    assert caught.value.message == "provision.lock.d/main.txt: it is not the text that provision.lock binds"
    with pytest.raises(BadFileError) as caught:
        parse_lock_document(whole, {"other": text}, where="provision.lock")
    assert caught.value.message == "provision.lock.d/main.txt: it is missing, and provision.lock binds it"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema = 1", 'schema = "1"', "schema: must be a whole number, not text"),
        ("schema = 1", "schema = 0", "schema: must be 1"),
        ("schema = 1", "", "the key `schema` is missing"),
        ('profile = "blackwell"', "", "the key `profile` is missing"),
        ('profile = "blackwell"', 'profile = "../x"', "profile: '../x' is not a profile's name"),
        ('python = "3.12"', 'python = "3"', "python: '3' is not a minor version such as 3.12"),
        ('name = "main"', 'name = "../main"', "stacks[0].name: '../main' is not a stack's name"),
        ('name = "main"', 'name = "/etc/x"', "stacks[0].name: '/etc/x' is not a stack's name"),
        ("packages = 3", 'packages = "3"', "stacks[0].packages: must be a whole number, not text"),
        ("packages = 3", "packages = 3\nurl = 1", "stacks[0]: the key `url` is not known"),
        (
            'path = "config.json"',
            'path = "../../.bashrc"',
            "models[0].files[0].path: '../../.bashrc' leads out of the model's folder",
        ),
        (
            'path = "modeling.py"',
            'path = "/etc/passwd"',
            "models[0].remote_code[0].path: '/etc/passwd' leads out of the model's folder",
        ),
        (
            'path = "model.safetensors"',
            'path = "config.json"',
            "models[0].files[1].path: 'config.json' stands in models[0].files[0] already",
        ),
        ("size_bytes = 3", "size_bytes = -3", "models[0].files[0].size_bytes: must not be negative"),
        (f'"{"2" * 64}"', '"2"', "models[0].files[0].sha256: '2' is not a SHA-256 in hex"),
        (
            "895c3a49bc3fa70a340399125c650a463535e71c",
            "main",
            "models[0].revision: 'main' is not a commit in 40 hex digits",
        ),
        (
            "Qwen/Qwen2-VL",
            "../Qwen/Qwen2-VL",
            "models[0].repo_id: '../Qwen/Qwen2-VL-2B-Instruct' is not OWNER/MODEL",
        ),
        (
            'repo_id = "Qwen/Qwen2-VL-2B-Instruct"',
            "",
            "models[0]: must have one of `repo_id` and `embedded`",
        ),
        ('stack = "main"', 'stack = "x"', "models[0].stack: 'x' is no stack that serves 'qwen_vl_2b'"),
        (
            'models = ["qwen_vl_2b"]',
            'models = ["qwen_vl_2b", "b"]',
            "stacks[0].models: there is no model 'b'",
        ),
        (
            'verdict = "pass"',
            'verdict = "good"',
            "models[0].smoke.verdict: the value 'good' is not one of those allowed",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_key_path(old: str, new: str, message: str) -> None:
    assert old in EXPECTED
    with pytest.raises(BadFileError) as caught:
        parse_lockfile(EXPECTED.replace(old, new, 1), where="provision.lock")
    assert caught.value.message == f"provision.lock: {message}"
    assert caught.value.exit_code == 2


def test_a_key_that_stands_twice_is_an_error() -> None:
    with pytest.raises(BadFileError, match=r"^provision.lock: Cannot overwrite a value \(at line 4"):
        parse_lockfile(EXPECTED.replace("schema = 1", "schema = 1\nschema = 1"), where="provision.lock")


def test_a_newer_schema_is_told_before_its_keys_are_looked_at() -> None:
    with pytest.raises(NewerLockError) as caught:
        parse_lockfile("schema = 2\nnew = true\n", where="provision.lock")
    assert caught.value.message == (
        "provision.lock: a newer provision wrote it: its schema is 2, this one reads 1"
    )


@pytest.mark.parametrize("text", ["[" * 100_000, "a = " + "9" * 5000, "a = {" * 5000, "\0", "<<<<<<< HEAD\n"])
def test_no_text_does_more_than_be_refused(text: str) -> None:
    with pytest.raises(BadFileError, match="^provision.lock: "):
        parse_lockfile(text, where="provision.lock")


@given(st.text(max_size=60))
def test_any_path_that_is_taken_stays_in_its_folder(path: str) -> None:
    if is_safe_path(path):
        assert ".." not in path.split("/")
        assert not path.startswith("/")
        assert "\\" not in path
        assert ":" not in path


@pytest.mark.parametrize(
    "path", ["", ".", "..", "a/../b", "./a", "a//b", "C:/x", "\\\\host\\x", "a\nb", "/a", "~/../a"]
)
def test_these_paths_are_refused(path: str) -> None:
    assert not is_safe_path(path)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_any_words_survive_the_trip_through_toml(words: str) -> None:
    lockfile = make_document(exclude_newer=words).lockfile
    text = render_lockfile(lockfile)
    assert msgspec.to_builtins(parse_lockfile(text, where="x"))["exclude_newer"] == words
