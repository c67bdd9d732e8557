"""The requirements of a stack: written with sizes, read strictly."""

from __future__ import annotations

import hashlib

import pytest

from provision.core.lock_text import parse_lock_text, render_lock_text
from provision.errors import BadFileError
from tests.support.locks import make_wheel

A, B = "a" * 64, "b" * 64
PLAIN = (
    f"numpy==2.4.6 \\\n    --hash=sha256:{A} \\\n    --hash=sha256:{B}\n"
    f"torch==2.13.0+cpu \\\n    --hash=sha256:{A}\n"
)


def test_a_text_is_read_with_its_sizes_and_its_hash_is_of_the_text_without_them() -> None:
    text = "# Stack main of provision.lock.\n# 16912345 bytes\n" + PLAIN
    lock = parse_lock_text(text, where="main.txt")
    assert [(wheel.name, wheel.version, wheel.size_bytes) for wheel in lock.wheels] == [
        ("numpy", "2.4.6", 16_912_345),
        ("torch", "2.13.0+cpu", None),
    ]
    assert lock.wheels[0].hashes == (f"sha256:{A}", f"sha256:{B}")
    assert lock.text == PLAIN
    assert lock.sha256 == hashlib.sha256(PLAIN.encode()).hexdigest()


@pytest.mark.parametrize("text", [PLAIN.replace("\n", "\r\n"), "\ufeff" + PLAIN, PLAIN.rstrip("\n")])
def test_what_git_and_editors_do_to_line_ends_does_not_count(text: str) -> None:
    assert parse_lock_text(text, where="main.txt").text == PLAIN


def test_what_is_rendered_reads_the_same() -> None:
    wheels = (make_wheel("numpy", "2.4.6", 7), make_wheel("torch", "2.13.0+cu130"))
    assert parse_lock_text(render_lock_text(wheels, sizes=True), where="x").wheels == wheels


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "main.txt: it locks no package"),
        ("numpy==2.4.6\n", "main.txt, line 1: numpy lacks its hash"),
        ("numpy==2.4.6 \\\n", "main.txt, line 1: numpy lacks its hash"),
        (f"numpy==2.4.6 \\\n    --hash=md5:{A}\n", "main.txt, line 2: numpy lacks its hash"),
        (f"numpy==2.4.6 \\\n    --hash=sha256:{A} \\\n", "main.txt, line 2: numpy lacks its hash"),
        (
            f"{PLAIN}numpy==2.4.7 \\\n    --hash=sha256:{A}\n",
            "main.txt, line 6: numpy stands in line 1 already",
        ),
        (
            "numpy @ https://x.example/numpy.whl\n",
            "main.txt, line 1: a URL has no place in a lock, only NAME==VERSION and its hashes",
        ),
        (
            "--index-url=x\n",
            "main.txt, line 1: an option has no place in a lock, only NAME==VERSION and its hashes",
        ),
        (
            "<<<<<<< HEAD\n",
            "main.txt, line 1: this has no place in a lock, only NAME==VERSION and its hashes",
        ),
        (
            "../evil==1.0 \\\n",
            "main.txt, line 1: this has no place in a lock, only NAME==VERSION and its hashes",
        ),
        (
            f"Flash_Attn==2.8 \\\n    --hash=sha256:{A}\n",
            "main.txt, line 1: Flash_Attn must be written flash-attn",
        ),
        (f"numpy==two \\\n    --hash=sha256:{A}\n", "main.txt, line 1: two is no version"),
        (f"a.==1.0 \\\n    --hash=sha256:{A}\n", "main.txt, line 1: a. can be no package's name"),
    ],
)
def test_all_else_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(BadFileError) as caught:
        parse_lock_text(text, where="main.txt")
    assert caught.value.message == message
