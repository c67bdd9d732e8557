"""The list of a bundle is believed only when every name in it may be used as a path."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from provision.core.bundle import (
    build_readme,
    find_lock_problem,
    find_problem,
    parse_manifest,
    render_manifest,
)
from provision.core.lock_text import parse_lock_text
from provision.errors import BadFileError
from provision.model.bundle import Member
from tests.support.bundles import build_manifest, render_lock


def build_with(name: str) -> str | None:
    """What is said of a list with one more file called `name`."""
    manifest = build_manifest()
    extra = Member(name=name, size_bytes=1, sha256="0" * 64)
    return find_problem(replace(manifest, members=(*manifest.members, extra)))


def test_a_list_is_read_back() -> None:
    assert parse_manifest(render_manifest(build_manifest()), where="b.tar") == build_manifest()


@pytest.mark.parametrize(
    "name",
    [
        *("/etc/passwd", "../up", "weights/tiny/../../up", "weights//tiny", "weights/tiny/", "", "."),
        *("weights/tiny/a\\b", "C:/x", "weights/tiny/con", "weights/tiny/NUL.txt", "weights/tiny/.hidden"),
        *(
            "weights/tiny/dot.",
            "weights/tiny/line\nfeed",
            "weights/tiny/n\0l",
            "weights/tiny/\u00e9",
            "other.txt",
        ),
        *("bundle.json", "wheels", "etc/x", "-x/y", "weights/" + "a" * 201, "weights/a/b/c/d/e/f/g/h"),
    ],
)
def test_what_may_not_be_a_name(name: str) -> None:
    assert build_with(name) == f"{name!r} may not be the name of a file in a bundle"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("README.txt", "'README.txt' is there twice"),
        ("weights/tiny/CONFIG.json", "'weights/tiny/CONFIG.json' is there twice"),
        ("weights/tiny/config.json/x", "'weights/tiny/config.json' is a file and a folder"),
        ("wheels/other.whl", "nothing asks for 'wheels/other.whl'"),
        ("locks/other.txt", "nothing asks for 'locks/other.txt'"),
        ("weights/other/config.json", "nothing asks for 'weights/other/config.json'"),
        ("weights/tiny/tokenizer.json", None),
        ("tool/provision-0.1.0-py3-none-any.whl", None),
    ],
)
def test_files_that_clash_or_that_nothing_asks_for(name: str, problem: str | None) -> None:
    assert build_with(name) == problem


def test_values_that_cannot_be() -> None:
    manifest = build_manifest()
    first, *others = manifest.members
    stack, model = manifest.stacks[0], manifest.weights[0]
    for changed, problem in (
        ({"members": (replace(first, size_bytes=-1), *others)}, "'README.txt' has an impossible size"),
        ({"members": (replace(first, sha256="A" * 64), *others)}, "the hash of 'README.txt' is no SHA-256"),
        ({"members": (first, *others[1:])}, "the lock of stack 'main' is missing or another one"),
        ({"members": (first, *others[:-1])}, "numpy 2.4.6 of stack 'main' has no file"),
        ({"members": (first, others[0], *others[2:])}, "'weights/tiny' holds no config.json"),
        ({"stacks": (stack, stack)}, "stack 'main' is there twice"),
        ({"stacks": (replace(stack, name="../x"),)}, "'../x' cannot be the name of a stack"),
        ({"weights": (replace(model, key="a/b"),)}, "'a/b' cannot be the name of a model"),
    ):
        assert find_problem(build_manifest(**changed)) == problem


def test_a_newer_list_is_named_as_such() -> None:
    data = msgspec.json.encode({"schema": 2, "everything": "else"})
    with pytest.raises(BadFileError) as caught:
        parse_manifest(data, where="b.tar")
    assert caught.value.message == "b.tar was made by a newer provision (schema 2, this one reads 1)"


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_one_sentence(data: bytes) -> None:
    with pytest.raises(BadFileError, match="^b.tar is refused: its list cannot be read: "):
        parse_manifest(data, where="b.tar")


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(BadFileError, match="^b.tar is refused: its list cannot be read: "):
        parse_manifest(b'{"schema": 1, "members": ' + b"[" * 100_000, where="b.tar")


def test_the_wheels_must_be_those_of_the_lock() -> None:
    manifest = build_manifest()
    stack = manifest.stacks[0]
    lock = parse_lock_text(render_lock(), where="lock")
    assert find_lock_problem(stack, lock, manifest.members) is None
    fewer = replace(stack, wheels=stack.wheels[:1])
    assert find_lock_problem(fewer, lock, manifest.members) == (
        "the wheels of stack 'main' are not those of its lock"
    )
    older = replace(stack, wheels=(replace(stack.wheels[0], version="2.12.0"), stack.wheels[1]))
    assert find_lock_problem(older, lock, manifest.members) == (
        "'wheels/torch-2.13.0-py3-none-any.whl' is not the torch of the lock of stack 'main'"
    )
    swapped = replace(
        stack, wheels=(replace(stack.wheels[0], member=stack.wheels[1].member), stack.wheels[1])
    )
    assert find_lock_problem(swapped, lock, manifest.members) == (
        "'wheels/numpy-2.4.6-py3-none-any.whl' is not the torch of the lock of stack 'main'"
    )


def test_the_text_for_people_says_for_which_machine_and_what_to_type() -> None:
    assert build_readme(build_manifest(), tool=True) == (
        "A bundle of provision 0.1.0, made 2026-11-21T12:00:00+00:00.\n"
        "\n"
        "For linux-x86_64 with Python 3.12, profile cpu.\n"
        "Models: tiny\n"
        "\n"
        "On that machine, which needs no network, with this file as FILE:\n"
        "\n"
        "    tar -xf FILE tool\n"
        "    python3.12 -m venv provision\n"
        "    provision/bin/python -m pip install --no-index --find-links tool provision\n"
        "    provision/bin/provision apply --bundle FILE\n"
        "\n"
        "bundle.json lists every file with its size and SHA-256.\n"
    )


def test_windows_has_other_words_for_the_same() -> None:
    target = replace(build_manifest().target, platform="windows-amd64")
    lines = build_readme(build_manifest(target=target), tool=True).splitlines()
    assert lines[7:11] == [
        "    tar -xf FILE tool",
        "    py -3.12 -m venv provision",
        "    provision/Scripts/python -m pip install --no-index --find-links tool provision",
        "    provision/Scripts/provision apply --bundle FILE",
    ]
