"""The embedded models' vocabularies: 256 bytes in the order of Qwen's own, then each family's special tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

END_OF_TEXT = "<|endoftext|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
VISION_START = "<|vision_start|>"
VISION_END = "<|vision_end|>"
VISION_PAD = "<|vision_pad|>"
IMAGE_PAD = "<|image_pad|>"
VIDEO_PAD = "<|video_pad|>"
GOT_IMAGE_START = "<img>"
GOT_IMAGE_END = "</img>"
GOT_IMAGE_PAD = "<imgpad>"

# Qwen2-VL's and Qwen3-VL's.
QWEN_TOKENS = (
    END_OF_TEXT,
    TURN_START,
    TURN_END,
    VISION_START,
    VISION_END,
    VISION_PAD,
    IMAGE_PAD,
    VIDEO_PAD,
)
# Of GOT-OCR 2.0's own, those that its processor writes and the two that end a text.
GOT_TOKENS = (END_OF_TEXT, TURN_START, TURN_END, GOT_IMAGE_START, GOT_IMAGE_END, GOT_IMAGE_PAD)


def build_byte_alphabet() -> dict[int, str]:
    """The character that stands for each byte, in vocabulary order, as byte-level BPE has it since GPT-2.

    Bytes that print stand for themselves and come first, so the first of all is `!`; the others are
    moved up past U+0100. Source: `bytes_to_unicode` of https://github.com/openai/gpt-2.
    """
    printing = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printing]
    return {byte: chr(byte) for byte in printing} | {byte: chr(256 + n) for n, byte in enumerate(others)}


def build_vocabulary(special_tokens: Sequence[str] = QWEN_TOKENS) -> dict[str, int]:
    """Token to id: the bytes from 0, the special tokens from 256."""
    tokens = (*build_byte_alphabet().values(), *special_tokens)
    return {token: index for index, token in enumerate(tokens)}


def build_byte_ids() -> list[int]:
    """The token id of each byte, by byte value; it is the same in every vocabulary."""
    vocabulary = build_vocabulary()
    alphabet = build_byte_alphabet()
    return [vocabulary[alphabet[byte]] for byte in range(256)]


def build_tokenizer(special_tokens: Sequence[str] = QWEN_TOKENS) -> dict[str, Any]:
    """The content of `tokenizer.json`: one token per byte of UTF-8, so that no text is unknown.

    Byte-level BPE with no merges; normalisation and decoding are those of Qwen2's own tokenizer.
    """
    vocabulary = build_vocabulary(special_tokens)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_build_added_token(vocabulary[token], token) for token in special_tokens],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": _build_byte_level(add_prefix_space=False, use_regex=False),
        "post_processor": None,
        "decoder": _build_byte_level(add_prefix_space=True, use_regex=True),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: index for token, index in vocabulary.items() if token not in special_tokens},
            "merges": [],
        },
    }


def _build_added_token(index: int, token: str) -> dict[str, Any]:
    return {
        "id": index,
        "content": token,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }


def _build_byte_level(*, add_prefix_space: bool, use_regex: bool) -> dict[str, Any]:
    return {
        "type": "ByteLevel",
        "add_prefix_space": add_prefix_space,
        "trim_offsets": True,
        "use_regex": use_regex,
    }
